"""Gold: balanced over classes, harder for the proven, less of it for them."""

from collections import Counter

import pytest

from services.qc.domain.goldplan import Tried, arranged, plan_of, proven, share_of
from services.qc.domain.trust import Limits, Trust
from shared.events import GoldPolicy

CLASSES = ("a", "b", "c")
SKEWED = {f"{name}{n}": name for name, number in zip(CLASSES, (60, 20, 8), strict=True) for n in range(number)}
RULES = Limits(0.75, 0.4, 0.01)
POLICY = GoldPolicy(share=0.2)


def first(number: int, seen: dict[str, bool] | None = None, tried: dict[str, Tried] | None = None) -> list[str]:
    return list(arranged(SKEWED, tried or {}, seen or {}, beyond_doubt=False, size=number, salt="ann"))


def test_classes_come_equally_often_whatever_the_pool() -> None:
    for number in range(3, 25):
        counts = Counter(SKEWED[item] for item in first(number))
        assert max(counts.values()) - min(counts.values()) <= 1
    assert sorted(first(1000)) == sorted(SKEWED)
    assert first(10) == first(10)
    assert first(10) != list(arranged(SKEWED, {}, {}, beyond_doubt=False, size=10, salt="ben"))


def test_what_somebody_had_counts_and_is_not_given_again() -> None:
    seen = dict.fromkeys([f"a{n}" for n in range(6)], True)
    chosen = first(12, seen)
    assert not seen.keys() & set(chosen)
    counts = Counter(SKEWED[item] for item in [*seen, *chosen])
    assert max(counts.values()) - min(counts.values()) <= 1


def test_classes_that_somebody_gets_wrong_come_up_to_twice_as_often() -> None:
    seen = {f"{name}{n}": name != "b" for name in CLASSES for n in range(4)}
    counts = Counter(SKEWED[item] for item in first(10, seen))
    assert counts["b"] > max(counts["a"], counts["c"])
    assert counts["b"] <= 8


def test_the_hardest_first_for_those_beyond_doubt_and_never_what_most_get_wrong() -> None:
    tried = {f"a{n}": Tried(40, n // 2) for n in range(60)} | {"b0": Tried(10, 6), "b1": Tried(9, 9)}
    good, fresh = Trust(answers=60, correct=59), Trust(answers=2, correct=2)
    chosen = [item for item in plan_of(SKEWED, tried, {}, good, RULES, salt="ann") if SKEWED[item] == "a"]
    assert chosen[:3] in (["a41", "a40", "a39"], ["a40", "a41", "a39"])
    mixed = [item for item in plan_of(SKEWED, tried, {}, fresh, RULES, salt="ann") if SKEWED[item] == "a"]
    assert mixed[:3] != chosen[:3]
    for known in (good, fresh):
        plan = plan_of(SKEWED, tried, {}, known, RULES, salt="ann")
        assert "b0" not in plan
        assert "a45" not in plan
    assert "b1" in first(1000, tried=tried)  # too few people to doubt it


@pytest.mark.parametrize(
    ("answers", "correct", "share"), [(0, 0, 0.2), (5, 0, 0.2), (20, 12, 0.2), (10, 10, 0.051), (60, 58, 0.04)]
)
def test_the_share_falls_as_gold_proves_somebody(answers: int, correct: int, share: float) -> None:
    assert share_of(POLICY, Trust(answers=answers, correct=correct), RULES) == pytest.approx(share, abs=0.002)


def test_the_share_never_leaves_its_bounds() -> None:
    policy = GoldPolicy(share=0.3, least_share=0.1)
    for answers in range(40):
        for correct in range(answers + 1):
            assert 0.1 <= share_of(policy, Trust(answers=answers, correct=correct), RULES) <= 0.3
    assert proven(Trust(answers=40, correct=40), RULES) > 0.99
    with pytest.raises(ValueError, match="above share"):
        GoldPolicy(share=0.1, least_share=0.2)
