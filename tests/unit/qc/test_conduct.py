"""Pace and drift of one person's work."""

import math
import random
from collections import Counter
from statistics import median

import pytest

from services.qc.domain.conduct import DRIFT, Conduct, Judged, dump, heard, load, was_said, worked
from services.qc.domain.drift import BASELINE, FALSE_ALARM, Alarm, Drift, judged
from services.qc.domain.pace import bin_of, pace_of
from shared.events import Action, Collect, Collected, Rule, Then, When
from tests.support import events as make

RULES = tuple(
    Rule(name=what.value.replace("_", "-"), collect=Collect(what=what, over=200), when=When(above=0.99, after=200),
         then=Then(do=Action.FLAG))
    for what in Collected
)  # fmt: skip
WHO = (make.PROJECT, "ann")


def alarm_of(accuracies: list[float], seed: int) -> tuple[int, Alarm] | None:
    """The first alarm over answers of these accuracies, with the answer at which it came."""
    dice, known = random.Random(seed), Drift()
    for number, accuracy in enumerate(accuracies):
        known, alarm = judged(known, correct=dice.random() < accuracy)
        if alarm is not None:
            return number, alarm
    return None


def test_pace_is_the_median_whatever_the_interruptions() -> None:
    dice = random.Random(5)
    times = [int(1000 * math.exp(dice.gauss(1.0, 0.5))) for _ in range(2000)]
    pace = pace_of(Counter(map(bin_of, times)))
    assert pace is not None
    assert pace.median_s == pytest.approx(median(times) / 1000, rel=0.06)
    assert pace.spread == pytest.approx(0.5 * 0.6745, rel=0.2)
    lunches = pace_of(Counter(map(bin_of, [*times, *[3_600_000] * 200])))
    assert lunches is not None
    assert lunches.median_s == pytest.approx(pace.median_s, rel=0.2)
    assert pace_of({}) is None
    assert bin_of(0) == bin_of(1) == 0


def test_pace_is_the_same_in_any_order_and_less_what_was_erased() -> None:
    one, other = Counter({3: 2, 9: 1}), Counter({3: 1})
    both = one + other
    both.subtract(other)
    assert pace_of(both) == pace_of(one)


def test_a_constant_accuracy_is_alarmed_about_no_oftener_than_stated() -> None:
    people, alarms = 120, 0
    for seed in range(people):
        alarms += alarm_of([0.85] * 400, seed) is not None
    assert alarms / people <= FALSE_ALARM


def test_a_fall_is_found_and_said_in_numbers() -> None:
    found = [alarm_of([0.9] * 300 + [0.5] * 100, seed) for seed in range(60)]
    late = [one for one in found if one is not None and one[0] >= 300]
    assert len(late) >= 50
    assert median(number - 300 for number, _ in late) <= 60
    _, alarm = late[0]
    assert alarm.number == 1
    assert alarm.low < alarm.before
    assert alarm.since < alarm.before


def test_getting_better_is_no_drift() -> None:
    assert all(alarm_of([0.6] * 150 + [0.95] * 300, seed) is None for seed in range(50))


def test_after_an_alarm_a_new_baseline_begins() -> None:
    known, alarms = Drift(), []
    for number in range(BASELINE * 4):
        known, alarm = judged(known, correct=number < BASELINE)
        alarms += [alarm] if alarm is not None else []
    assert [one.number for one in alarms] == [1]
    assert known.low == 0.0  # somebody who is never right has nothing to fall from
    assert known.recent_accuracy == pytest.approx(0.0, abs=0.05)


def test_a_rebuilt_database_says_no_alarm_again() -> None:
    def run(known: Conduct) -> int:
        told = [heard(known, Judged(WHO, n < BASELINE, gold=False)) for n in range(BASELINE + 60)]
        return sum(one is not None for one in told)

    first, again = Conduct(), Conduct()
    assert run(first) == 1
    was_said(again, DRIFT, 1)
    assert run(again) == 0
    assert again.drift.alarms == first.drift.alarms == 1


def test_state_is_stored_whole_and_of_bounded_size() -> None:
    dice, known = random.Random(1), Conduct()
    for number in range(3000):
        worked(known, make.annotation(f"i{number}", duration_ms=dice.randrange(1, 2**31)), RULES, make.AT)
        heard(known, Judged(WHO, dice.random() < 0.8, gold=number % 20 == 0))
    parts = dump(known)
    assert load(*parts) == known
    assert sum(map(len, parts)) < 12_000
    worked(known, make.skip(), (), make.AT)
    assert load(*parts).pace == known.pace
