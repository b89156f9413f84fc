"""Which of the waiting doubts are asked for now: the best of a day's, one at a time, within the day's budget.

A rolling day never has more requests than the budget. What a day's worst request is worth shows in the day before: the
bar above which as many doubts came as the budget has. What is above it goes as soon as an hour's part of the budget is
free; what is below goes only where more than a quarter of the budget is unspent, the best first. On the first day
nothing is known of what a day brings, so the budget goes to what comes.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from services.monitor.domain.relabel import Doubt

BINS = 100
HOURS = 12
"""In which a whole budget may be spent again."""
RESERVE = 0.25
"""Of the budget, kept for what is above the bar."""
KEPT = 4
"""Times the budget: how many of the best wait."""
LEAST_KEPT = 100

D = TypeVar("D", bound=Doubt)


def bin_of(wrong: float) -> int:
    """The bin of a probability."""
    return min(int(wrong * BINS), BINS - 1)


def bar(came: Mapping[int, int], n: int) -> float:
    """The lowest probability from which on at most `n` doubts came; `came`: how many by bin."""
    above = 0
    for place in reversed(range(BINS)):
        above += came.get(place, 0)
        if above > n:
            return (place + 1) / BINS
    return 0.0


def keeps(budget: int) -> int:
    """How many of a project's doubts wait at most."""
    return max(KEPT * budget, LEAST_KEPT)


def choose(waiting: Sequence[D], *, budget: int, day: int, hour: int, least: float | None) -> list[D]:
    """The doubts to ask for now.

    Args:
        waiting: the best first.
        budget: requests per rolling day.
        day: requests within the last day.
        hour: and within the last hour.
        least: the bar; None on the first day.
    """
    left = max(budget - day, 0)
    if least is None:
        return list(waiting[:left])
    pace = max(-(-budget // HOURS) - hour, 0)
    spare = int(budget * (1.0 - RESERVE)) - day
    chosen: list[D] = []
    for one in waiting[: min(left, pace)]:
        if one.wrong >= least or len(chosen) < spare:
            chosen.append(one)
    return chosen
