"""What the topics say about an item. Facts join: repeats and the order between topics change nothing."""

from dataclasses import dataclass
from datetime import datetime

from services.assignment.domain.guess import Guess
from shared.events import Ask, Audience, Outcome, Proposal, RouteState


@dataclass(frozen=True, slots=True)
class ItemSeen:
    content_hash: str
    created_at: datetime
    slice: str | None = None
    language: str | None = None
    sketch: bytes | None = None


@dataclass(frozen=True, slots=True)
class Predicted:
    guess: Guess


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label; `accepted`: of our own, read back: the proposal that it is."""

    version: int
    accepted: Guess | None = None


@dataclass(frozen=True, slots=True)
class Escalated:
    round: int
    ask: Ask
    opinions_wanted: int
    reason: str


@dataclass(frozen=True, slots=True)
class Relabelled:
    """Somebody doubts what `round` ended in; or its names are former ones, or qc gives it anew: nobody is asked."""

    round: int
    urgency: float
    reason: str
    excluded: frozenset[str] = frozenset()
    rename: bool = False
    opinions: int = 0
    expert: bool = False
    revise: bool = False


@dataclass(frozen=True, slots=True)
class Routed:
    """Our own route, read back after a loss of the database."""

    round: int
    step: int
    state: RouteState
    reason: str
    audience: Audience | None
    opinions_wanted: int
    would_auto: bool
    inclusion: float
    priority: float
    generation: int
    project_version: int
    guideline_version: int
    item_created_at: datetime
    slice: str | None = None
    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Opined:
    """Our own annotation, read back; each reaches the fold once (the store knows who answered what)."""

    round: int
    outcome: Outcome
    role: Audience
    proposal: Proposal | None
    would_auto: bool
    inclusion: float
    project_version: int
    guideline_version: int
    item_created_at: datetime
    at: datetime


Fact = ItemSeen | Predicted | Labelled | Escalated | Relabelled | Routed | Opined
