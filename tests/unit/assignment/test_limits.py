"""Token buckets: what a caller may do, what another's calls change (nothing), and how much memory it all takes."""

import pytest

from services.assignment.api import limits as module
from services.assignment.api.limits import Limits
from services.assignment.api.problems import Problem


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def spend(limits: Limits, who: str, most: int = 10_000) -> int:
    """How many calls go through now."""
    for done in range(most):
        try:
            limits.take(who)
        except Problem:
            return done
    return most


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limits = Limits(2.0, 5, clock=clock)
    assert spend(limits, "ann") == 5
    clock.now += 1.0
    assert spend(limits, "ann") == 2
    assert spend(limits, "bob") == 5  # nobody pays for another
    clock.now += 1000.0
    assert spend(limits, "ann") == 5  # a pause saves no more than a burst


def test_it_says_when_to_come_back() -> None:
    clock = Clock()
    limits = Limits(0.25, 1, clock=clock)
    limits.take("ann")
    with pytest.raises(Problem) as refused:
        limits.take("ann")
    assert (refused.value.status, refused.value.code, refused.value.headers) == (
        429,
        "rate_limited",
        {"retry-after": "4"},
    )
    clock.now += 4.0
    limits.take("ann")


def test_memory_is_bounded_and_full_buckets_are_let_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    clock = Clock()
    limits = Limits(1.0, 10, clock=clock)
    assert spend(limits, "busy") == 10
    for n in range(1000):
        limits.take(f"p{n}")
        clock.now += 0.001
        assert len(limits._buckets) <= 100
    clock.now += 0.5
    limits2 = Limits(1.0, 10, clock=clock)
    for n in range(99):
        limits2.take(f"p{n}")
    assert spend(limits2, "busy") == 10
    clock.now += 2.0  # the others are full again, and go
    limits2.take("new")
    assert spend(limits2, "busy") == 2
