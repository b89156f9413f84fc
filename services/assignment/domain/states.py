"""The states of an item (DESIGN section 3).

The items table stores a `Standing`; the finer states of an open round are read off its slots and leases.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from shared.events import Ask, RouteState


class Ending(IntEnum):
    """How the latest round stands. The order is the join: of two endings of one round the higher one holds."""

    OPEN = 0
    SAMPLED_OUT = 1
    SUPERSEDED = 2
    UNRESOLVED = 3
    UNLABELABLE = 4
    LABELLED = 5
    ERASED = 6


class Standing(StrEnum):
    """What the items table says. `PARKED`: something is known of an item that itself has not come yet."""

    PARKED = "parked"
    WAITING = "awaiting_prediction"
    OPEN = "open"
    SAMPLED_OUT = "sampled_out"
    SUPERSEDED = "superseded"
    UNRESOLVED = "unresolved"
    UNLABELABLE = "unlabelable"
    LABELLED = "labelled"
    ERASED = "erased"


class State(StrEnum):
    """The state as people see it."""

    PARKED = "parked"
    WAITING = "awaiting_prediction"
    QUEUED = "queued"
    BLOCKED = "blocked"
    LEASED = "leased"
    AWAITING_DECISION = "awaiting_decision"
    SAMPLED_OUT = "sampled_out"
    SUPERSEDED = "superseded"
    UNRESOLVED = "unresolved"
    UNLABELABLE = "unlabelable"
    LABELLED = "labelled"
    ERASED = "erased"


OPEN_STATES = (State.QUEUED, State.BLOCKED, State.LEASED, State.AWAITING_DECISION)


def fill_open(totals: Mapping[str, int], counted: Mapping[str, int]) -> dict[str, int]:
    """Items by state, resting and open, of one project.

    Args:
        totals: items by standing.
        counted: open rounds by state, all but the queued ones; those are the rest of the open items.
    """
    found = {state.value: totals.get(state.value, 0) for state in State if state not in OPEN_STATES}
    del found[State.PARKED.value]
    others = {state.value: counted.get(state.value, 0) for state in OPEN_STATES if state is not State.QUEUED}
    queued = max(0, totals.get(Standing.OPEN.value, 0) - sum(others.values()))
    return found | {State.QUEUED.value: queued} | others


RESTING = (State.LABELLED, State.SAMPLED_OUT, State.UNLABELABLE, State.UNRESOLVED, State.ERASED)

ENDING_OF_ROUTE: dict[RouteState, Ending] = {
    RouteState.QUEUED: Ending.OPEN,
    RouteState.BLOCKED: Ending.OPEN,
    RouteState.SAMPLED_OUT: Ending.SAMPLED_OUT,
    RouteState.SUPERSEDED: Ending.SUPERSEDED,
    RouteState.UNRESOLVED: Ending.UNRESOLVED,
    RouteState.UNLABELABLE: Ending.UNLABELABLE,
    RouteState.ERASED: Ending.ERASED,
}
ENDING_OF_ASK: dict[Ask, Ending] = {Ask.UNLABELABLE: Ending.UNLABELABLE, Ask.UNRESOLVED: Ending.UNRESOLVED}
ROUTE_OF_ENDING: dict[Ending, RouteState] = {
    ending: state for state, ending in ENDING_OF_ROUTE.items() if ending is not Ending.OPEN
}
REFUSED = frozenset({RouteState.UNLABELABLE, RouteState.UNRESOLVED})
"""Ends by people who gave no label."""
