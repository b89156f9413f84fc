"""What is remembered of how one person works in one project: pace, and the test for drift. Constant size."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple
from uuid import UUID

from services.qc.domain.drift import Alarm, Drift
from services.qc.domain.drift import judged as drifted
from services.qc.domain.facts import judged_by
from services.qc.domain.item import Answer, ItemState, LiveLabel
from services.qc.domain.numeric import near
from services.qc.domain.pace import bin_of
from services.qc.domain.scale import Kind, Scale, number_of
from shared.events import Annotation, Outcome

Person = tuple[str, str]
"""(project, annotator)."""
ItemKey = tuple[str, str]


class Judged(NamedTuple):
    """An answer that was just told right or wrong, once in its life."""

    person: Person
    correct: bool
    gold: bool


@dataclass(slots=True)
class Conduct:
    """Somebody's work in one project.

    Attributes:
        pace: bin of log time -> answers; a fact, equal to the sum over the annotations.
        drift: the state of the test.
        said: kind of decision -> how many of them were published, here or by an earlier database.
    """

    pace: Counter[int] = field(default_factory=Counter)
    drift: Drift = field(default_factory=Drift)
    said: Counter[str] = field(default_factory=Counter)


DRIFT = "drift"


def dump(known: Conduct) -> tuple[str, str]:
    """Pace and the rest as JSON."""
    pace = {str(place): number for place, number in sorted(known.pace.items()) if number}
    return json.dumps(pace), json.dumps({"drift": asdict(known.drift), "said": dict(sorted(known.said.items()))})


def load(pace: str, state: str) -> Conduct:
    """What `dump` gave; a state without a part is one of before that part was kept."""
    parts = json.loads(state)
    drift = parts.get("drift", {})
    if drift:
        drift["evidence"] = tuple(drift["evidence"])
    counts = Counter({int(place): number for place, number in json.loads(pace).items()})
    return Conduct(counts, Drift(**drift), Counter(parts.get("said", {})))


def worked(known: Conduct, event: Annotation) -> None:
    """One more annotation by this person."""
    if event.outcome is Outcome.ANSWERED:
        known.pace[bin_of(event.duration_ms)] += 1


def heard(known: Conduct, told: Judged) -> Alarm | None:
    """One more judged answer; an alarm that was not published yet."""
    known.drift, alarm = drifted(known.drift, correct=told.correct)
    if alarm is None or alarm.number <= known.said[DRIFT]:
        return None
    known.said[DRIFT] = alarm.number
    return alarm


def was_said(known: Conduct, kind: str, number: int) -> None:
    """A decision comes back from the own output: it is not published again."""
    known.said[kind] = max(known.said[kind], number)


def _is_right(answer: Answer, label: LiveLabel) -> bool:
    number = None if answer.value is None else number_of(answer.value)
    if label.kind is Kind.NUMERIC:
        scale = Scale(label.kind, tolerance=label.tolerance)
        return number is not None and label.number is not None and near(number, label.number, scale)
    return answer.symbol == label.symbol


def judged_answers(items: Mapping[ItemKey, ItemState]) -> frozenset[UUID]:
    """The answers that the items' labels judge."""
    return frozenset(
        answer.annotation_id
        for item in items.values()
        if item.label is not None
        for answer in item.answers.values()
        if judged_by(answer, item.label)
    )


def newly_judged(
    items: Mapping[ItemKey, ItemState], order: Iterable[ItemKey], before: frozenset[UUID]
) -> Iterable[Judged]:
    """Those that were not judged before, by the order in which their items were touched."""
    for key in dict.fromkeys(order):
        project, item = key[0], items[key]
        for answer in item.answers.values():
            if item.label is None or answer.annotation_id in before or answer.annotator_id is None:
                continue
            if judged_by(answer, item.label):
                yield Judged((project, answer.annotator_id), _is_right(answer, item.label), gold=False)
