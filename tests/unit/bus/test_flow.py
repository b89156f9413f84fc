"""The limit on poison trips on a bad deploy and never on a bad producer among good ones."""

import pytest

from shared.bus.flow import PoisonLimit
from shared.errors import InvariantBroken


def feed(limit: PoisonLimit, read: int, poison: int) -> None:
    limit.check("items.v1", read, poison)
    limit.add(read, poison)


def test_everything_poison_trips_once_the_window_is_full() -> None:
    limit = PoisonLimit(records=1000, ratio=0.9)
    feed(limit, 500, 500)
    with pytest.raises(InvariantBroken, match=r"items\.v1"):
        limit.check("items.v1", 500, 500)


def test_a_tenth_of_poison_never_trips() -> None:
    limit = PoisonLimit(records=100, ratio=0.9)
    for _ in range(100):
        feed(limit, 100, 10)


def test_a_few_bad_records_on_a_quiet_topic_never_trip() -> None:
    limit = PoisonLimit(records=1000, ratio=0.9)
    for _ in range(50):
        feed(limit, 1, 1)


def test_the_window_forgets() -> None:
    limit = PoisonLimit(records=100, ratio=0.9)
    feed(limit, 90, 90)
    for _ in range(10):
        feed(limit, 100, 0)
    feed(limit, 80, 80)
