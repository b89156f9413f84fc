"""What an alarm's change has cost: whose items, up to when, and how surely."""

from datetime import timedelta
from pathlib import Path as File
from typing import Any

import pytest

from services.monitor.domain.accuracy import AUDIT
from services.monitor.domain.cause.telling import LONGEST, impact, settled, until
from services.monitor.domain.counters import MILLION, Counts, Key, Kind
from services.monitor.domain.drift.telling import RUNBOOK
from shared.events import AlarmImpact, AlarmSubject, DriftAlarm
from shared.events import Suspect as TellSuspect
from tests.support import events as make

HOUR = 3600
CHANGE = make.at(10 * HOUR + 1200)
NOW = CHANGE + timedelta(hours=3)


def alarm(**changes: Any) -> DriftAlarm:
    made = make.drift_alarm()
    return made.model_copy(update={"effect": made.effect.model_copy(update={"changed_at": CHANGE})} | changes)


def bucket(after: timedelta, width_s: int) -> int:
    return int((CHANGE + after).timestamp()) // width_s * width_s


def counted(*, wrong_since: int = 40) -> Counts:
    """Ten predictions and seven labels without a person every ten minutes; 100 audits in each of two hours."""
    counts: Counts = Counts()
    for n in range(-18, 18):
        at = bucket(timedelta(minutes=10 * n), 600)
        counts[Key("p", Kind.SAID, "m1", "3:a", at)] = 10
        counts[Key("p", Kind.CONFIDENT, "path:auto", "n", at)] = 7
        counts[Key("p", Kind.CONFIDENT, "path:auto", "sum", at)] = 6 * MILLION
    for hours, wrong in ((-2, 10), (0, 100), (1, wrong_since)):  # the change is in the middle of the second one
        at = bucket(timedelta(hours=hours), HOUR)
        for verdict, n in (("agree", 100 - wrong), ("differ", wrong)):
            counts[Key("p", Kind.JUDGED, "m1", f"{AUDIT}:9:{verdict}", at)] = n
            counts[Key("p", Kind.JUDGED_WEIGHT, "m1", f"{AUDIT}:9:{verdict}", at)] = 10 * n * MILLION
    return counts


def of(one: DriftAlarm, counts: Counts) -> AlarmImpact:
    return impact(counts, one, project_id="p", now=NOW, error_cost=2.0)


def test_an_hour_in_which_it_changed_is_of_neither_side() -> None:
    found = of(alarm(), counted())
    assert found.accuracy_before == pytest.approx(0.9)
    assert found.accuracy_after == pytest.approx(0.6)
    assert (found.affected, found.auto_accepted, found.until) == (180, 126, NOW)
    assert found.cost == pytest.approx(126 * 0.3 * 2.0)


def test_a_cost_has_an_interval_and_noise_costs_nothing_for_sure() -> None:
    found, same = of(alarm(), counted()), of(alarm(), counted(wrong_since=12))
    assert found.cost is not None
    assert 0.0 < (found.cost_low or 0.0) < found.cost < (found.cost_high or 0.0)
    assert same.cost == pytest.approx(126 * 0.02 * 2.0)
    assert (same.cost_low, (same.cost_high or 0.0) > 126 * 0.05 * 2.0) == (0.0, True)


def test_what_comes_once_the_alarm_is_over_is_not_counted() -> None:
    ended = alarm(state="resolved", resolved_at=CHANGE + timedelta(minutes=25))
    found = of(ended, counted())
    assert (found.affected, found.auto_accepted, found.until) == (30, 21, ended.resolved_at)
    suspected = {"suspects": (TellSuspect(score=0.9, dimension="source"),)}
    assert settled(ended.model_copy(update={"impact": found} | suspected), NOW)
    assert not settled(ended.model_copy(update={"impact": of(alarm(), counted())} | suspected), NOW)
    assert not settled(alarm(impact=found, **suspected), NOW), "it is open"
    assert until(alarm(), CHANGE + 2 * LONGEST) == CHANGE + LONGEST


def test_of_a_backlog_that_is_labelled_now_no_more_count_than_were_predicted_since() -> None:
    counts = counted()
    counts[Key("p", Kind.CONFIDENT, "path:auto", "n", bucket(timedelta(hours=1), 600))] += 5_000
    found = of(alarm(), counts)
    assert found.auto_accepted == found.affected == 180


def test_of_a_slice_or_a_person_nothing_is_counted() -> None:
    found = of(alarm(subject=AlarmSubject(signal="predicted_class", slice="shop")), counted())
    assert found == AlarmImpact(until=NOW)


def test_the_runbook_of_an_alarm_is_there() -> None:
    page, _, anchor = RUNBOOK.partition("#")
    headings = (File(__file__).parents[3] / page).read_text().lower().replace(" ", "-").splitlines()
    assert f"##-{anchor}" in headings
