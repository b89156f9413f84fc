"""The gate: what promotes, what refuses, and that it comes to an end."""

import random
from collections.abc import Sequence

import pytest

from services.prelabel.training.domain.gate import (
    Pair,
    Rule,
    Verdict,
    breached,
    difference,
    evidence,
    judge,
    judge_first,
    wilson_lower,
    worse_class,
)
from shared.events import AutoAccept, Gate, Policy, Training
from tests.support.events import project_spec

RULE = Rule(shadowed=50, labels=100, margin=0.02, confidence=0.95)


def pairs(category: str = "a", *, both: int = 0, won: int = 0, lost: int = 0, neither: int = 0) -> list[Pair]:
    """Shuffled, as they would come."""
    made = [
        *[Pair(category, 1.0, live=True, candidate=True)] * both,
        *[Pair(category, 1.0, live=False, candidate=True)] * won,
        *[Pair(category, 1.0, live=True, candidate=False)] * lost,
        *[Pair(category, 1.0, live=False, candidate=False)] * neither,
    ]
    random.Random(4).shuffle(made)
    return made


def verdict(found: Sequence[Pair], *, shadowed: int = 50, overdue: bool = False, rule: Rule = RULE) -> tuple[str, str]:
    ruling = judge(found, rule, shadowed=shadowed, overdue=overdue)
    return ruling.verdict.value, ruling.why


def test_a_clearly_better_candidate_is_promoted_before_the_end() -> None:
    assert verdict(pairs(both=40, won=15, lost=1)) == ("promote", "it is better than the live model")


def test_nothing_is_promoted_before_it_was_on_trial() -> None:
    assert verdict(pairs(both=40, won=15, lost=1), shadowed=49) == ("wait", "49 of 50 predictions on trial")


def test_a_clearly_worse_candidate_is_refused_without_waiting() -> None:
    assert verdict(pairs(both=40, lost=15, won=1), shadowed=0) == ("refuse", "it is worse than the live model")


def test_little_evidence_waits() -> None:
    assert verdict(pairs(both=40, won=3, lost=1)) == ("wait", "44 of 100 held-out labels")


@pytest.mark.parametrize("more", [{"both": 96, "won": 4}, {"both": 50, "won": 25, "lost": 25}, {"neither": 100}])
def test_the_trial_ends_with_its_labels(more: dict[str, int]) -> None:
    assert verdict(pairs("a", **more))[0] != "wait"


@pytest.mark.parametrize("number", [0, 1, 20])
def test_the_trial_ends_with_its_time(number: int) -> None:
    """A few labels without a difference prove nothing: the live model stays."""
    assert verdict(pairs(both=number), shadowed=0, overdue=True) == (
        "refuse",
        "at the end of its trial it may be worse by more than 0.02",
    )


def test_at_the_end_it_need_not_be_better() -> None:
    assert verdict(pairs(both=195, won=3, lost=1))[0] == "promote"
    assert verdict(pairs(both=190, won=3, lost=6))[0] == "refuse"


def test_a_class_that_is_lost_refuses_a_candidate_that_is_better_in_all() -> None:
    found = pairs(both=20, won=40) + pairs("rare", both=2, lost=12)
    assert judge(found, RULE, shadowed=50, overdue=False).gain > 0.3
    assert verdict(found) == ("refuse", "it is worse than the live model on class 'rare'")


def test_a_class_of_few_labels_is_not_judged_alone() -> None:
    assert worse_class(pairs(lost=9), 0.95, ended=True) is None
    assert worse_class(pairs(lost=10), 0.95, ended=True) == "a"
    few = [pair for name in "bcdefgh" for pair in pairs(name, both=9)]
    said = (
        "it is better than the live model; with too few labels to judge them alone: 'b', 'c', 'd', 'e', 'f' and 2 more"
    )
    assert verdict(pairs(both=40, won=30) + pairs("i", both=10) + few) == ("promote", said)
    assert verdict(pairs(both=400, won=3) + pairs("rare", lost=1))[1].endswith("to judge them alone: 'rare'")


def test_rare_labels_stand_for_those_that_never_came_to_people() -> None:
    """Better where people looked, worse in the audit lane of one in twenty: worse in all."""
    rule = Rule(shadowed=0, labels=60, margin=0.02, confidence=0.95, heaviest=20.0)
    won = [Pair("a", 1.0, live=False, candidate=True)] * 30
    audits = [Pair("a", 0.05, live=True, candidate=False)] * 6 + [Pair("a", 0.05, live=True, candidate=True)] * 30
    gain, _ = difference(won + audits, 0.95, rule.heaviest)
    assert gain < 0.0
    assert judge(won + audits, rule, shadowed=0, overdue=False).verdict is Verdict.REFUSE
    assert difference(won + audits, 0.95)[0] > 0.0, "unweighted it would look better"


def test_the_weight_follows_from_the_policy() -> None:
    training = Training(gate=Gate(labels=50))
    audited = project_spec(policy=Policy(auto_accept=AutoAccept(threshold=0.9, audit_share=0.1)), training=training)
    assert Rule.of(audited).heaviest == pytest.approx(10.0)
    assert Rule.of(project_spec(policy=Policy(), training=training)).heaviest == 1.0
    rarely = project_spec(policy=Policy(auto_accept=AutoAccept(threshold=0.9, audit_share=0.001)), training=training)
    assert Rule.of(rarely).heaviest == 20.0


def test_looking_again_and_again_promotes_an_equal_model_no_more_often_than_stated() -> None:
    """An equal candidate is called better, at any of 300 looks, in at most 5 % of 200 streams."""
    source, wrong, endless = random.Random(11), 0, Rule(shadowed=0, labels=100_000, margin=0.02, confidence=0.95)
    for _ in range(200):
        found: list[Pair] = []
        for _ in range(300):
            found.append(Pair("a", 1.0, live=source.random() < 0.8, candidate=source.random() < 0.8))
            if len(found) % 10 == 0 and judge(found, endless, shadowed=0, overdue=False).verdict is Verdict.PROMOTE:
                wrong += 1
                break
    assert wrong <= 10


def test_a_better_model_is_found() -> None:
    source, found_better = random.Random(12), 0
    for _ in range(100):
        found = [Pair("a", 1.0, live=source.random() < 0.8, candidate=source.random() < 0.92) for _ in range(300)]
        found_better += evidence(found) >= 20.0
    assert found_better >= 80


def test_a_breach_is_found_on_the_labels_since_the_promotion() -> None:
    assert breached(pairs(both=30, lost=14, won=1), RULE)
    assert not breached(pairs(both=30, lost=4, won=3), RULE)
    assert not breached([], RULE)


def test_the_first_model_must_know_something() -> None:
    half = [Pair("a", 1.0, live=True, candidate=True)] * 10 + [Pair("b", 1.0, live=True, candidate=False)] * 10
    assert judge_first(half, 0.95).verdict is Verdict.REFUSE
    good = [Pair("ab"[n % 2], 1.0, live=True, candidate=n % 10 > 0) for n in range(40)]
    assert judge_first(good, 0.95).verdict is Verdict.PROMOTE
    assert judge_first(good[:9], 0.95).verdict is Verdict.WAIT


def test_wilson_bounds_like_the_published_example() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 is 0.2553 to 0.3662 at 95 % both sides."""
    assert wilson_lower(81, 263, 0.975) == pytest.approx(0.2553, abs=5e-5)
