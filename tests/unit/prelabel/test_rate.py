"""The token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prelabel.domain.rate import TokenBucket


def test_it_fills_with_time() -> None:
    bucket = TokenBucket(rate=10.0, filled_at=0.0, tokens=0.0)
    assert bucket.available(0.0) == 0
    assert bucket.wait_s() == pytest.approx(0.1)
    assert bucket.available(0.1) == 1
    bucket.spend(1)
    assert bucket.available(0.15) == 0


def test_a_pause_saves_no_more_than_a_burst() -> None:
    bucket = TokenBucket(rate=100.0, filled_at=0.0)
    assert bucket.available(3600.0) == 20


def test_a_debt_is_paid_first() -> None:
    bucket = TokenBucket(rate=10.0, filled_at=0.0, tokens=1.0)
    bucket.spend(6)
    assert bucket.available(0.5) == 0
    assert bucket.available(0.6) == 1


def test_a_clock_that_steps_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=10.0, filled_at=100.0, tokens=0.0)
    assert bucket.available(50.0) == 0
    assert bucket.available(100.1) == 1


def test_a_lower_rate_lowers_the_burst() -> None:
    bucket = TokenBucket(rate=100.0, filled_at=0.0)
    bucket.change(10.0, 10.0)
    assert bucket.available(10.0) == 2


@given(st.floats(0.5, 1000), st.lists(st.floats(0.001, 0.5), min_size=1, max_size=200))
def test_the_rate_is_never_exceeded(rate: float, pauses: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate=rate, filled_at=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        room = bucket.available(now)
        bucket.spend(room)
        taken += room
    assert taken <= rate * now + bucket.capacity + 1
