"""What is known of one item, as a join: every fact only grows, so neither order between topics nor repeats matter.

Within one topic the order per item is kept. `generation` takes only strictly newer predictions, a route is the one of
the highest (round, step), labels are a set of versions, and everything else is a bit that stays set.
"""

from enum import StrEnum
from typing import NamedTuple

from shared.events import Path, RouteState

MAX_VERSION = 62
"""Label versions are a 64-bit set; three rounds ask people, each rename or revision is one more."""


class State(StrEnum):
    """Where an item is. Routes say most of it; the first two and `labelled` follow from the other topics."""

    AWAITING_PREDICTION = "awaiting_prediction"
    AWAITING_ROUTE = "awaiting_route"
    QUEUED = "queued"
    BLOCKED = "blocked"
    SUPERSEDED = "superseded"
    LABELLED = "labelled"
    SAMPLED_OUT = "sampled_out"
    UNLABELABLE = "unlabelable"
    UNRESOLVED = "unresolved"
    ERASED = "erased"


_STATE_OF_ROUTE = {route: State(route.value) for route in RouteState}


class Facts(NamedTuple):
    """One item's facts.

    Attributes:
        item: its record was seen in `items.v1`.
        erased: somebody asked to forget it; that stays.
        generation: of the newest prediction; -1 before the first.
        proposed: a model made a proposal (not only abstentions).
        round, step, route: the latest route; 0, -1, None before the first.
        labels: bit v is set when the label of version v was seen.
        path: of the highest label version.
    """

    item: bool = False
    erased: bool = False
    generation: int = -1
    proposed: bool = False
    round: int = 0
    step: int = -1
    route: RouteState | None = None
    labels: int = 0
    path: Path | None = None

    @property
    def version(self) -> int:
        """The highest label version; 0 without a label."""
        return max(self.labels.bit_length() - 1, 0)

    def has_label(self, version: int) -> bool:
        return bool(self.labels >> version & 1)

    @property
    def state(self) -> State | None:
        """The item's state, that of its latest round.

        None while only predictions are known: the item itself may have been refused.
        """
        if self.erased:
            return State.ERASED
        if self.labels and self.version >= self.round:
            return State.LABELLED
        if self.route is not None:
            return _STATE_OF_ROUTE[self.route]
        if not self.item:
            return None
        return State.AWAITING_ROUTE if self.generation >= 0 else State.AWAITING_PREDICTION
