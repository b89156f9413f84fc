"""What a model is asked, and why it may have no answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.prelabel.domain.along import NOWHERE, Along, along_of
from shared.events import Abstention, Content, Item, ProjectSpec, Refresh, content_hash
from shared.heldout import group_of, is_held_out


@dataclass(frozen=True, slots=True)
class Question:
    """One item to predict, whether it came fresh or because its prediction is stale; `held_out` as predictions say."""

    project_id: str
    item_id: str
    content: Content
    created_at: datetime
    along: Along = NOWHERE
    held_out: bool | None = None

    @classmethod
    def of(cls, event: Item | Refresh, spec: ProjectSpec) -> "Question":
        """What an event asks; `spec` names the source and the client of a fresh item."""
        if isinstance(event, Item):
            along = along_of(spec, event.metadata, event.origin)
            return cls(event.project_id, event.item_id, event.content, event.created_at, along, _held_out(event, spec))
        along = Along(event.source, event.client)
        return cls(event.project_id, event.item_id, event.content, event.item_created_at, along)


def _held_out(item: Item, spec: ProjectSpec) -> bool | None:
    """Whether the trainer learns nothing from it; None where it does, or nobody asks."""
    training = spec.training
    if training is None or not spec.explores:
        return None
    named = item.metadata.get(training.group_by) if training.group_by is not None else None
    group = group_of(named, content_hash(item.content) if named is None else "")
    return is_held_out(training.holdout_seed or spec.project, group, training.holdout_share) or None


@dataclass(frozen=True, slots=True)
class Abstained:
    """Why there is no proposal. `detail` never holds the content."""

    reason: Abstention
    detail: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Which promotion of which model speaks."""

    version: str | None
    generation: int


NOBODY = Identity(version=None, generation=0)


def by_project(questions: Sequence[Question]) -> dict[str, list[int]]:
    """Positions of the questions of each project, in the order they came."""
    groups: dict[str, list[int]] = {}
    for position, question in enumerate(questions):
        groups.setdefault(question.project_id, []).append(position)
    return groups
