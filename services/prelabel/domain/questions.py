"""What a model is asked, and why it may have no answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.prelabel.domain.along import NOWHERE, Along, along_of
from shared.events import Abstention, Content, Item, ProjectSpec, Refresh


@dataclass(frozen=True, slots=True)
class Question:
    """One item to predict, whether it came fresh or because its prediction is stale."""

    project_id: str
    item_id: str
    content: Content
    created_at: datetime
    along: Along = NOWHERE

    @classmethod
    def of(cls, event: Item | Refresh, spec: ProjectSpec) -> "Question":
        """What an event asks; `spec` names the source and the client of a fresh item."""
        if isinstance(event, Item):
            along = along_of(spec, event.metadata, event.origin)
            return cls(event.project_id, event.item_id, event.content, event.created_at, along)
        along = Along(event.source, event.client)
        return cls(event.project_id, event.item_id, event.content, event.item_created_at, along)


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
