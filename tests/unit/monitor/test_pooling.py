"""Classes judged by themselves: the level they share, who leaves the pool, what a breach of one costs the others."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from services.monitor.domain.certificate import Audit, Bets, Evidence, Rules, gains_of, loss_of
from services.monitor.domain.pooling import (
    Granted,
    Groups,
    Place,
    Withdrawn,
    own_level,
    pool_level,
    sufficient,
    weigh,
)
from tests.support import lanes

RULES = Rules(target=0.05, confidence=0.9, floor=0.8, classes=3)


def audits(draw: random.Random, number: int, errors: dict[str, float], *, first: int = 0) -> Iterator[Audit]:
    """Audits of classes in turn, each wrong as often as said, of a confidence that says nothing."""
    names = sorted(errors)
    for n in range(number):
        symbol = names[n % len(names)]
        at = lanes.START + timedelta(minutes=first + n)
        yield Audit(0.999, float(draw.random() < errors[symbol]), at, symbol)


@pytest.mark.parametrize("classes", [2, 3, 10, 64, 1000])
def test_the_levels_of_all_tests_add_up_to_the_risk_that_is_stated(classes: int) -> None:
    rules = replace(RULES, classes=classes)
    apart = min(classes, 64)
    pools = math.fsum(math.comb(apart, gone) * pool_level(rules, gone) for gone in range(apart + 1))
    assert apart * own_level(rules) + pools == pytest.approx(rules.risk, rel=0.02)
    assert apart * own_level(rules) + pools <= rules.risk


def test_without_classes_the_whole_level_is_the_pools() -> None:
    assert pool_level(replace(RULES, classes=0), 0) == RULES.risk
    known = Groups.none(replace(RULES, classes=0))
    weigh(known, audits(random.Random(1), 400, {"a": 0.0, "b": 0.0}), replace(RULES, classes=0))
    assert known.pool.certified == 0.8
    assert not known.classes


def test_what_is_left_of_the_bets_is_as_if_the_class_had_never_been_among_them() -> None:
    draw = random.Random(2)
    every, part, others = Bets(), Bets(), Bets()
    for n in range(200):
        loss = draw.random() / 10
        gains = gains_of(loss, 0.05)
        every.add(loss, gains)
        (part if n % 3 == 0 else others).count(loss, gains)
    rest = every.without(part)
    assert rest.wealth == pytest.approx(others.wealth)
    assert rest.audits == others.audits
    assert rest.losses == pytest.approx(others.losses)


def test_a_class_with_audits_enough_is_judged_by_itself_and_nothing_leans_on_it() -> None:
    """One of three is wrong too often; together they are good enough."""
    draw, known = random.Random(3), Groups.none(RULES)
    errors = {"bad": 0.06, "fine": 0.002, "good": 0.0}
    said = weigh(known, audits(draw, 3 * sufficient(RULES) + 30, errors), RULES)
    assert said[0] == Granted(0.8, said[0].audits, said[0].error, None)  # type: ignore[union-attr]
    assert known.threshold("good") == 0.8
    assert known.threshold("fine") == 0.8
    assert known.threshold("bad") is None
    assert {one.symbol for one in said if isinstance(one, Granted)} == {None, "fine", "good"}


def test_a_breach_of_a_class_leaves_the_others_as_they_are() -> None:
    draw, known = random.Random(4), Groups.none(RULES)
    errors = {"a": 0.0, "b": 0.0, "c": 0.0}
    weigh(known, audits(draw, 600, errors), RULES)
    before = {symbol: known.threshold(symbol) for symbol in errors}
    assert set(before.values()) == {0.8}
    said = weigh(known, audits(draw, 90, errors | {"b": 0.7}, first=1000), RULES)
    void = [one for one in said if isinstance(one, Withdrawn)]
    assert [one.symbol for one in void] == ["b"]
    assert void[0].since is not None
    assert void[0].since <= lanes.START + timedelta(minutes=1010)
    assert {symbol: known.threshold(symbol) for symbol in errors} == before | {"b": None}
    assert known.classes["b"].place is Place.EXCLUDED
    weigh(known, audits(draw, 6 * sufficient(RULES), errors, first=2000), RULES)
    assert known.threshold("b") == 0.8  # earned by itself


def test_a_breach_of_the_pool_leaves_what_stands_by_itself() -> None:
    draw, known = random.Random(5), Groups.none(RULES)
    own = Evidence.none(RULES)
    weigh(known, audits(draw, 300, {"a": 0.0, "b": 0.0}), RULES)
    known.classes["c"] = type(known.classes["a"])(own, Evidence.none(RULES).tests, Place.OWN)
    own.certified = 0.85
    known.classes["a"].place = known.classes["b"].place = Place.POOLED
    known.pool.certified = 0.8
    said = weigh(known, audits(draw, 120, {"a": 0.3, "b": 0.3}, first=500), RULES)
    assert any(isinstance(one, Withdrawn) for one in said)
    assert known.threshold("c") == 0.85
    assert known.threshold("a") is None


@pytest.mark.parametrize("error", [0.05, 0.08])
def test_no_class_is_certified_more_often_than_stated_where_all_are_too_bad(error: float) -> None:
    """At the target, where it is hardest, and above: neither alone nor together, however the pool is taken apart."""
    runs, ever = 12, 0
    for seed in range(runs):
        draw, known = random.Random(f"{seed} {error}"), Groups.none(RULES)
        given = (
            replace(one, loss=loss_of(lanes.people(draw, wrong=bool(one.loss)), 1.0 / lanes.CLASSES, RULES.target))
            for one in audits(draw, 360, {"a": error, "b": error, "c": error})
        )
        ever += any(isinstance(one, Granted) for one in weigh(known, given, RULES))
    assert ever / runs <= RULES.risk + 2.0 * math.sqrt(RULES.risk * (1.0 - RULES.risk) / runs)


def test_classes_apart_are_accepted_more_and_none_is_worse_than_promised() -> None:
    """One run; `python -m tests.bench.certificates` makes many."""
    kinds = (lanes.Kind(0.4, 6.0), lanes.Kind(0.35, 0.1), lanes.Kind(0.25, 0.1))
    plan = lanes.Plan(items=30_000, floor=0.8, target=0.05, starting_share=0.3, kinds=kinds)
    apart, together = lanes.stream(1, plan), lanes.stream(1, replace(plan, apart=False))
    assert set(apart.own) == {"c0", "c1", "c2"}
    assert all(one.error < plan.target for one in apart.by_class.values())
    assert apart.accepted > together.accepted
