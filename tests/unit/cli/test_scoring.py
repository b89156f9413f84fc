"""Scores of a run: majority by expectation, live labels, opinions counted once."""

import pytest

from cli.scoring import Ledger, majority_accuracy
from tests.support import events as make


@pytest.mark.parametrize(
    ("votes", "truth", "expected"),
    [
        ({"a": ["x", "x", "y"]}, {"a": "x"}, 1.0),
        ({"a": ["x", "y"]}, {"a": "x"}, 0.5),
        ({"a": ["x", "y", "z"]}, {"a": "z"}, 1 / 3),
        ({"a": ["x", "y"]}, {"a": "z"}, 0.0),
        ({"a": ["x"], "b": []}, {"a": "x", "b": "x"}, 1.0),
        ({"a": ["x"]}, {}, None),
        ({}, {"a": "x"}, None),
    ],
)
def test_majority_ties_count_by_expectation(
    votes: dict[str, list[str]], truth: dict[str, str], expected: float | None
) -> None:
    assert majority_accuracy(votes, truth) == pytest.approx(expected)


def test_the_highest_version_is_live_and_every_version_was_paid_for() -> None:
    ledger = Ledger()
    for label in (
        make.label("a", value="neutral", version=2, supersedes=1, opinions=0, cost=0.4),
        make.label("a", value="positive", opinions=3, cost=0.1),
        make.label("a", value="positive", opinions=3, cost=0.1),
        make.auto_label("b", value="negative"),
    ):
        ledger.add_label(label)
    truth = {"a": "neutral", "b": "positive"}
    assert ledger.accuracy(truth) == 0.5
    assert ledger.cost == pytest.approx(0.5002)
    paths = ledger.by_path(truth)
    assert (paths["consensus"].labels, paths["consensus"].opinions) == (1, 3)
    assert paths["consensus"].cost == pytest.approx(0.5)
    assert paths["auto"].accuracy == 0.0
    assert paths["expert"].accuracy is None


def test_gold_skips_and_repeats_are_no_opinions() -> None:
    ledger = Ledger()
    for annotation in (
        make.annotation("a", by="x", value="positive"),
        make.annotation("a", by="x", value="positive"),
        make.annotation("a", by="y", value="neutral"),
        make.annotation("g", by="x", gold=True),
        make.skip("a", by="z"),
        make.exhausted("a"),
    ):
        ledger.add_annotation(annotation)
    assert ledger.opinion_count == 2
    assert len(ledger.gold_answers) == 1
    assert ledger.majority({"a": "neutral"}) == 0.5
