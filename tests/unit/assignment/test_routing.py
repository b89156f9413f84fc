"""Routing, draws, priority: every branch, and what chance must look like."""

import math
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.domain.draws import Draws, draw, draws_of, is_blind, is_gold
from services.assignment.domain.guess import Guess, newest
from services.assignment.domain.priority import priority
from services.assignment.domain.routing import Standing, Terms, Way, route
from services.assignment.domain.superseding import outdated
from shared import events as ev
from shared.labels import ChoiceSchema, Names, RatingSchema
from tests.support import events as make

AUTO = make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.1), sample_share=0.4)
MANUAL = make.policy(auto_accept=None)


def guess(confidence: float = 0.7, **more: Any) -> Guess:
    return Guess.of(make.prediction("i1", confidence=confidence, **more))


@pytest.mark.parametrize(
    ("seen", "policy", "audit", "sample", "way", "would_auto", "inclusion"),
    [
        (guess(0.9), AUTO, 0.5, 0.9, Way.AUTO, False, 1.0),
        (guess(0.95), AUTO, 0.0999, 0.9, Way.PEOPLE, True, 0.1),
        (guess(0.95), AUTO, 0.1, 0.9, Way.AUTO, False, 1.0),
        (guess(0.8999), AUTO, 0.0, 0.3999, Way.PEOPLE, False, 0.4),
        (guess(0.8999), AUTO, 0.0, 0.4, Way.SAMPLED_OUT, False, 0.4),
        (None, AUTO, 0.0, 0.9, Way.SAMPLED_OUT, False, 0.4),
        (Guess.of(make.abstention("i1")), AUTO, 0.0, 0.1, Way.PEOPLE, False, 0.4),
        (guess(1.0), MANUAL, 0.0, 0.999, Way.PEOPLE, False, 1.0),
        (None, MANUAL, 0.0, 0.0, Way.PEOPLE, False, 1.0),
    ],
)
def test_routes(
    *,
    seen: Guess | None,
    policy: ev.Policy,
    audit: float,
    sample: float,
    way: Way,
    would_auto: bool,
    inclusion: float,
) -> None:
    found = route(seen, policy, Draws(audit, sample), None, make.AT)
    assert (found.way, found.would_auto, found.inclusion) == (way, would_auto, inclusion)
    assert found.reason


def standing(**more: Any) -> Standing:
    fields: dict[str, Any] = {
        "id": UUID(int=7), "generation": 1, "threshold": 0.9, "audit_share": 0.1, "target_error": 0.03,
        "valid_until": make.at(60),
    }  # fmt: skip
    return Standing(**(fields | more))


PROVEN = make.policy(
    auto_accept=ev.AutoAccept(threshold=0.8, audit_share=0.1, guarantee=ev.Guarantee(target_error=0.03))
)


@pytest.mark.parametrize(
    ("confidence", "audit", "held", "way", "inclusion"),
    [
        (0.95, 0.2, standing(), Way.AUTO, 1.0),
        (0.95, 0.05, standing(), Way.PEOPLE, 0.1),
        (0.85, 0.05, standing(), Way.PEOPLE, 0.1),  # audited below the certified threshold too
        (0.85, 0.2, standing(), Way.PEOPLE, 1.0),
        (0.95, 0.2, None, Way.PEOPLE, 0.5),  # nothing proven yet: half are audits
        (0.95, 0.6, None, Way.PEOPLE, 1.0),
        (0.95, 0.6, standing(threshold=None), Way.PEOPLE, 1.0),
        (0.95, 0.6, standing(generation=2), Way.PEOPLE, 1.0),
        (0.95, 0.2, standing(model_version="m1"), Way.AUTO, 1.0),
        (0.95, 0.6, standing(model_version="m0"), Way.PEOPLE, 1.0),
        (0.95, 0.6, standing(valid_until=make.AT), Way.PEOPLE, 1.0),
        (0.95, 0.6, standing(target_error=0.05), Way.PEOPLE, 1.0),
        (0.75, 0.0, standing(threshold=0.5), Way.PEOPLE, 1.0),  # below what the project would try
    ],
)
def test_with_a_guarantee_only_a_certificate_accepts(
    confidence: float, audit: float, held: Standing | None, way: Way, inclusion: float
) -> None:
    found = route(guess(confidence, generation=1), PROVEN, Draws(audit, 0.0), held, make.AT)
    assert (found.way, found.inclusion) == (way, inclusion)
    assert found.would_auto == (inclusion < 1.0)
    assert (found.certificate is not None) == (way is Way.AUTO)


@pytest.mark.parametrize(
    ("name", "confidence", "audit", "way", "inclusion", "own"),
    [
        ("positive", 0.82, 0.2, Way.AUTO, 1.0, "positive"),  # its own threshold is lower
        ("positive", 0.82, 0.15, Way.PEOPLE, 0.16, None),  # and so is its own share of audits
        ("negative", 0.99, 0.6, Way.PEOPLE, 1.0, None),  # nothing of it is accepted
        ("negative", 0.99, 0.4, Way.PEOPLE, 0.5, None),
        ("neutral", 0.95, 0.2, Way.AUTO, 1.0, None),  # as all others
        ("neutral", 0.85, 0.2, Way.PEOPLE, 1.0, None),
    ],
)
def test_a_class_is_accepted_by_its_own_terms(
    *, name: str, confidence: float, audit: float, way: Way, inclusion: float, own: str | None
) -> None:
    until = make.at(60)
    held = standing(
        classes={
            "positive": Terms(0.8, 0.16, until),
            "negative": Terms(None, 0.5, until),
        }
    )
    seen = guess(confidence, generation=1, value=name)
    found = route(seen, PROVEN, Draws(audit, 0.0), held, make.AT)
    assert (found.way, found.inclusion, found.certified_class) == (way, inclusion, own)


def test_a_certificate_follows_a_class_that_is_renamed() -> None:
    held = standing(classes={"bad": Terms(None, 0.5, make.at(60))}).named(Names({"bad": "negative"}))
    seen = guess(0.99, generation=1, value="negative")
    assert route(seen, PROVEN, Draws(0.6, 0.0), held, make.AT).way is Way.PEOPLE


def test_classes_are_accepted_where_the_others_are_not() -> None:
    held = standing(threshold=None, classes={"positive": Terms(0.85, 0.1, make.at(60))})
    assert held.lowest(make.AT) == 0.85
    assert held.lowest(make.at(60)) is None
    ways = [
        route(guess(0.9, generation=1, value=name), PROVEN, Draws(0.9, 0.0), held, make.AT).way
        for name in ("positive", "neutral")
    ]
    assert ways == [Way.AUTO, Way.PEOPLE]


def test_what_is_explored_is_drawn_by_chance_and_says_so() -> None:
    policy = make.policy(auto_accept=None, order=ev.Order(explore=0.1), sample_share=0.5)
    drawn = route(guess(0.9), policy, Draws(0.9, 0.4, 0.5, 0.0999), None, make.AT)
    assert drawn.way is Way.PEOPLE
    assert drawn.inclusion == pytest.approx(0.05)
    assert "explored with probability 0.1" in drawn.reason
    rest = route(guess(0.9), policy, Draws(0.9, 0.4, 0.5, 0.1), None, make.AT)
    assert (rest.way, rest.inclusion) == (Way.PEOPLE, 0.5)
    assert "explored" not in rest.reason


def test_the_audit_lane_and_the_sample_are_uniform_shares() -> None:
    draws = [draws_of("p", f"i{n}") for n in range(20_000)]
    assert abs(sum(one.audit < 0.05 for one in draws) / 20_000 - 0.05) < 0.006
    both = sum(one.audit < 0.5 and one.sample < 0.5 for one in draws) / 20_000
    assert abs(both - 0.25) < 0.015  # independent of each other
    assert draws_of("p", "i7") == draws_of("p", "i7")
    gold = sum(is_gold(0.1, UUID(int=n)) for n in range(20_000)) / 20_000
    assert abs(gold - 0.1) < 0.01
    blind = sum(is_blind(0.3, "p", f"i{n}", "ann") for n in range(20_000)) / 20_000
    assert abs(blind - 0.3) < 0.015
    assert not is_gold(0.0, UUID(int=1))
    assert draw("a", 1) != draw("b", 1)


def test_a_doubted_label_outranks_a_first_look_and_nothing_starves() -> None:
    now = make.AT
    assert priority(guess(1.0), now, urgency=0.6) > priority(None, now)
    assert priority(guess(1.0), make.at(-86_400.1)) > priority(None, now) - 1e-5
    assert priority(guess(0.99), now, audit=True) == priority(None, now)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e6))
def test_priority_grows_with_doubt_urgency_and_age(confidence: float, urgency: float, age_s: float) -> None:
    base = priority(guess(max(confidence, 0.34)), make.AT, urgency=urgency)
    assert math.isfinite(base)
    assert priority(guess(max(confidence, 0.34)), make.at(-age_s), urgency=urgency) >= base
    assert priority(guess(max(confidence, 0.34)), make.AT, urgency=1.0) >= base


def test_a_lower_generation_never_overrides_a_higher_one() -> None:
    old, new = guess(0.5, generation=1), guess(0.6, generation=2)
    assert newest(old, new) is new
    assert newest(new, old) is new
    assert newest(None, old) is old
    assert newest(old, None) is old


def test_only_a_class_gone_or_another_kind_outdates_a_round() -> None:
    before = make.project_spec()
    assert not outdated(before, make.project_spec(label=ChoiceSchema(classes=(*make.CLASSES, "mixed"))))
    assert not outdated(before, make.project_spec(policy=MANUAL))
    assert outdated(before, make.project_spec(label=ChoiceSchema(classes=make.CLASSES[:2])))
    assert outdated(before, make.project_spec(label=RatingSchema(min=1, max=5)))
    rated = make.project_spec(label=RatingSchema(min=1, max=5))
    assert outdated(rated, make.project_spec(label=RatingSchema(min=1, max=7)))
    assert not outdated(rated, rated)


def sliced(*slices: tuple[str, dict[str, Any], ev.Policy]) -> ev.ProjectSpec:
    made = tuple(
        ev.Slice(name=name, when=ev.SliceOf.model_validate(when), policy=policy) for name, when, policy in slices
    )
    return make.project_spec(slices=made)


def test_an_item_has_the_first_slice_that_it_fits() -> None:
    spec = sliced(
        ("shop", {"source": "shop", "metadata": {"stars": [1, 2]}}, MANUAL),
        ("low", {"metadata": {"stars": [1, "one"]}}, MANUAL),
        ("flagged", {"metadata": {"flag": True}}, MANUAL),
    )
    assert spec.slice_of({"stars": 1}, "shop") == "shop"
    assert spec.slice_of({"stars": 1.0}, None) == "low"
    assert spec.slice_of({"stars": 2}, "mail") is None
    assert spec.slice_of({"flag": 1}, None) is None  # 1 is not true
    assert spec.slice_of({"flag": True}, "shop") == "flagged"
    assert spec.slice_of({}, "shop") is None
