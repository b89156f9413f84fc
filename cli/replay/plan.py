"""What a replay asks of the stack, and whose recorded answer comes next. Pure."""

import statistics
from collections.abc import Iterator, Sequence
from datetime import datetime

from cli.replay.dataset import Answer, Crowd
from shared.events import (
    Content,
    GoldPolicy,
    Item,
    JsonContent,
    Overlap,
    Policy,
    ProjectSpec,
    RelabelPolicy,
    TextContent,
)
from shared.labels import ChoiceSchema

PROJECT = "replay"
MAX_OVERLAP = 100
NEVER_S = 31_536_000.0


def overlap_of(crowd: Crowd, smallest: int | None = None, largest: int | None = None) -> Overlap:
    """How many opinions a label may take: by default two (one where most tasks have one) up to all recorded ones."""
    counts = [len(answers) for answers in crowd.answers.values()]
    most = min(max(counts), MAX_OVERLAP) if largest is None else largest
    least = min(2, int(statistics.median(counts)), most) if smallest is None else smallest
    return Overlap(min=max(least, 1), max=most)


def project_of(crowd: Crowd, *, overlap: Overlap, target: float) -> ProjectSpec:
    """The project of a recorded crowd: no model, no gold, no relabels, and nobody but the recorded workers."""
    return ProjectSpec(
        project=PROJECT,
        title="A recorded crowd",
        data="json" if _has_fields(crowd) else "text",
        label=ChoiceSchema(classes=crowd.classes),
        policy=Policy(
            overlap=overlap,
            target_posterior=target,
            lease_s=3600.0,
            blocked_after_s=NEVER_S,
            unresolved_after_s=NEVER_S,
            gold=GoldPolicy(share=0.0),
            relabel=RelabelPolicy(budget_per_day=0, doubts_per_day=0),
        ),
    )


def items_of(crowd: Crowd, *, now: datetime) -> Iterator[Item]:
    """The tasks as items, in recorded order, all of one content kind."""
    fields = _has_fields(crowd)
    for task in crowd.tasks:
        yield Item(project_id=PROJECT, item_id=task, content=_as(crowd.content(task), fields=fields), created_at=now)


def _has_fields(crowd: Crowd) -> bool:
    return any(isinstance(content, JsonContent) for content in crowd.contents.values())


def _as(content: Content, *, fields: bool) -> Content:
    if fields and isinstance(content, TextContent):
        return JsonContent(fields={"text": content.text})
    return content


class Picker:
    """Gives out each recorded answer once, in order."""

    def __init__(self, crowd: Crowd) -> None:
        self._left = {task: list(reversed(answers)) for task, answers in crowd.answers.items()}

    def take(self, task: str, slots: int) -> Sequence[Answer]:
        """The next answers of a task, at most `slots`; none when all are used."""
        left = self._left.get(task, [])
        return [left.pop() for _ in range(min(slots, len(left)))]

    def offer(self, task: str, most: int) -> Sequence[Answer]:
        """Who may answer a task next, at most so many, in order; they stay in the list until `give`."""
        return self._left.get(task, [])[: -most - 1 : -1]

    def give(self, task: str, worker: str) -> None:
        """This worker's answer is used."""
        self._left[task] = [one for one in self._left[task] if one.worker != worker]

    def left(self, task: str) -> int:
        return len(self._left.get(task, ()))
