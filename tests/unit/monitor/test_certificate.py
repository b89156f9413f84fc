"""Certificates: given for what is true, never for what is not more often than stated, withdrawn when it changes."""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from services.monitor.domain.certificate import PATIENCE, Audit, Bets, Evidence, Rules, Watch, loss_of, lowest
from services.monitor.domain.pooling import Decision, Granted, Groups, Withdrawn, weigh
from tests.support import lanes

RULES = Rules(target=0.05, confidence=0.9, floor=0.8)


def audits(losses: Sequence[float], confidence: float = 0.99) -> list[Audit]:
    return [Audit(confidence, loss, lanes.START + timedelta(minutes=n)) for n, loss in enumerate(losses)]


def weighed(losses: Sequence[float], confidence: float = 0.99) -> tuple[Groups, list[Decision]]:
    known = Groups.none(RULES)
    return known, weigh(known, audits(losses, confidence), RULES)


def test_thresholds_run_from_the_strictest_to_the_floor() -> None:
    assert RULES.thresholds[0] == 0.999
    assert RULES.thresholds[-1] == 0.8
    assert list(RULES.thresholds) == sorted(set(RULES.thresholds), reverse=True)
    assert Rules(0.05, 0.9, 0.83).thresholds[-1] == 0.83


def test_audits_without_a_loss_are_believed_after_about_log_over_target() -> None:
    known, said = weighed([0.0] * 300, confidence=0.82)
    assert known.pool.certified == 0.8
    assert isinstance(said[0], Granted)
    assert math.log(1 / 0.1) / 0.05 < said[0].audits < 3 * math.log(len(RULES.thresholds) / 0.1) / 0.05
    assert said[0].error == 0.0


def test_audits_speak_only_of_their_confidence_and_below() -> None:
    known, _ = weighed([0.0] * 300, confidence=0.91)
    strict = [test for threshold, test in zip(RULES.thresholds, known.pool.tests, strict=True) if threshold > 0.91]
    assert all(test.audits == 0 for test in strict)
    assert known.pool.certified is not None
    assert known.pool.certified <= 0.9


@pytest.mark.parametrize("error", [0.05, 0.08])
def test_too_high_an_error_is_certified_no_more_often_than_stated(error: float) -> None:
    """At the target, where it is hardest, and above; people err as well."""
    runs, ever = 100, 0
    for seed in range(runs):
        draw, known = random.Random(f"{seed} {error}"), Groups.none(RULES)
        shares = [lanes.people(draw, wrong=draw.random() < error) for _ in range(400)]
        losses = [loss_of(share, 1 / lanes.CLASSES, RULES.target) for share in shares]
        ever += any(isinstance(one, Granted) for one in weigh(known, audits(losses), RULES))
    stated = 1.0 - RULES.confidence
    assert ever / runs <= stated + 2.0 * math.sqrt(stated * (1.0 - stated) / runs)


def test_the_mean_loss_is_the_target_where_the_error_is_however_people_err() -> None:
    for skill in (0.6, 0.8, 0.95):
        draw = random.Random(f"{skill}")
        for error, low, high in ((0.05, 0.045, 0.055), (0.15, 0.06, 1.0), (0.01, 0.0, 0.045)):
            losses = [
                loss_of(lanes.people(draw, wrong=draw.random() < error, skill=skill), 1 / lanes.CLASSES, 0.05)
                for _ in range(30_000)
            ]
            assert low <= sum(losses) / len(losses) <= high, (skill, error)


def test_a_refuted_threshold_passes_its_share_of_the_level_on() -> None:
    rules = Rules(0.05, 0.9, 0.99)
    assert len(rules.thresholds) == 3
    share = 0.0999 / 3
    sure, enough, half = (Bets(best=-math.log(level)) for level in (share, 2 * share, share))
    none = Bets()
    assert lowest([sure, enough, none], 0.0999) == 1
    assert lowest([none, enough, none], 0.0999) is None  # alone it has its own share only
    assert lowest([none, half, Bets(best=-math.log(2 * share))], 0.0999) == 2
    assert lowest([none, none, none], 0.0999) is None
    now = Bets(wealth=[-math.log(share)] * 5, best=-math.log(share))
    assert lowest([now, sure, none], 0.0999, still=True) == 0  # the second had enough once, and has it no more


def test_evidence_that_a_later_rise_has_undone_certifies_no_class_though_it_was_enough_once() -> None:
    """Half of a round without a loss, half at three times the target: over the whole it is above."""
    rules, losses = replace(RULES, classes=2), [*[0.0] * 250, *[float(n % 7 == 0) for n in range(250)]]
    known = Evidence.none(rules)
    for audit in audits(losses):
        known.add(audit, rules)
    assert known.prove(rules, rules.risk)
    assert not replace(known, certified=None).prove(rules, rules.risk, still=True)


def test_all_starts_together_see_a_breach_sooner_and_raise_no_more_false_ones_than_stated() -> None:
    def until(losses: Iterable[float], *, sooner: bool) -> int:
        watch = Watch()
        given = (Audit(0.99, loss, lanes.START) for loss in losses)
        return next((n for n, one in enumerate(given) if watch.add(one, 0.05, sooner=sooner)), 10_000)

    risen = [float(n % 8 == 0) for n in range(1000)]
    assert 10 < until(risen, sooner=True) < 0.7 * until(risen, sooner=False) < 700
    draw = random.Random("false")
    stable = [until((float(draw.random() < 0.05) for _ in range(10_000)), sooner=True) for _ in range(60)]
    assert sum(stable) / len(stable) >= 0.9 * PATIENCE


def test_an_error_that_rises_withdraws_the_certificate_from_about_then() -> None:
    draw = random.Random("rise")
    good, bad = [0.0] * 700, [float(draw.random() < 0.4) for _ in range(200)]
    known, said = weighed([*good, *bad])
    breach = next(one for one in said if isinstance(one, Withdrawn))
    assert breach.since is not None
    since = (breach.since - lanes.START) / timedelta(minutes=1)
    assert 400 <= since <= 720  # never later than the change by more than the first wrong ones
    granted = [one for one in said if isinstance(one, Granted)]
    assert granted
    assert known.pool.certified is None
    assert sum(test.audits for test in known.pool.tests) < len(known.pool.tests) * 200  # evidence began anew


def test_a_breach_opens_again_all_since_a_round_began_that_has_proven_nothing() -> None:
    """The second round has audits enough at 1,000, but shows no error below the target: no third one begins."""
    at_the_target = [float(n % 20 == 0) for n in range(700)]
    _, said = weighed([*[0.0] * 500, *at_the_target, *[1.0] * 9])
    assert [one.since for one in said if isinstance(one, Withdrawn)] == [lanes.START + timedelta(minutes=500)]


def test_an_error_that_stays_is_rarely_taken_for_a_breach() -> None:
    alarms = 0
    for seed in range(20):
        draw = random.Random(seed)
        _, said = weighed([float(draw.random() < 0.02) for _ in range(3000)])
        alarms += sum(isinstance(one, Withdrawn) for one in said)
    assert alarms <= 3  # of 60,000 audits; at the target itself it would be one in 200


@pytest.mark.parametrize("plan", [lanes.Plan(), lanes.Plan(worse=6.0, heard=True), lanes.Plan(worse=6.0, ramp=5000)])
def test_what_stands_at_the_end_is_below_the_target(plan: lanes.Plan) -> None:
    """A few runs; `python -m tests.bench.certificates` makes a thousand."""
    found = [lanes.stream(seed, plan) for seed in range(5)]
    assert all(one.granted and one.standing > 0 for one in found)
    assert all(one.error < plan.target for one in found)
    assert any(one.withdrawn for one in found) == (plan.worse > 1.0)
