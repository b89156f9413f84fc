"""Low-confidence disagreements, highest expected correction first, within the budget."""

from datetime import timedelta

import pytest

from services.monitor.domain.relabel import Candidate, candidate, candidates, choose, request
from shared.events import Evidence, Label, Path, RelabelPolicy
from tests.support import events as make

POLICY = RelabelPolicy(budget_per_day=2, max_confidence=0.6)


def doubtful(item_id: str = "i1", *, confidence: float = 0.5, model: str = "negative", **more: object) -> Label:
    """A single person's label `positive` beside a model that says otherwise."""
    evidence = Evidence(proposal=make.proposal(model, confidence=confidence))
    fields: dict[str, object] = {"path": Path.SINGLE, "posterior": None, "evidence": evidence}
    return make.label(item_id, **(fields | more))  # type: ignore[arg-type]


def test_a_low_confidence_disagreement_is_in_doubt() -> None:
    found = candidate(doubtful(), POLICY)
    assert found is not None
    assert found.expected_correction == pytest.approx(0.75)  # 1 - the model's 0.25 for `positive`


@pytest.mark.parametrize(
    "label",
    [
        doubtful(confidence=0.6),
        doubtful(model="positive"),
        doubtful(path=Path.EXPERT),
        doubtful(path=Path.AUTO),
        doubtful(version=3),
        doubtful(version=2, renames=1),
        doubtful(evidence=Evidence()),
    ],
)
def test_others_are_not(label: Label) -> None:
    assert candidate(label, POLICY) is None


def test_a_consensus_posterior_is_the_better_estimate() -> None:
    found = candidate(doubtful(path=Path.CONSENSUS, posterior=0.9), POLICY)
    assert found is not None
    assert found.expected_correction == pytest.approx(0.1)


def test_without_a_distribution_the_confidence_is_the_bound() -> None:
    evidence = Evidence(proposal=make.proposal("negative", confidence=0.4, distribution=None))
    found = candidate(doubtful(evidence=evidence), POLICY)
    assert found is not None
    assert found.expected_correction == pytest.approx(0.4)


def test_the_budget_goes_to_the_highest_expected_correction() -> None:
    doubts = [Candidate(doubtful(f"i{n}"), n / 10, "") for n in (1, 5, 3, 4)]
    chosen = choose(doubts, {make.PROJECT: 2})
    assert [one.label.item_id for one in chosen] == ["i5", "i4"]
    assert choose(doubts, {make.PROJECT: 0}) == choose(doubts, {make.PROJECT: -3}) == choose(doubts, {}) == []


def test_labels_decided_on_in_an_earlier_life_are_left_alone() -> None:
    label = doubtful()
    policies = {make.PROJECT: POLICY}
    assert candidates([label], policies, {})
    assert not candidates([label], policies, {make.PROJECT: label.labelled_at})
    assert candidates([label], policies, {make.PROJECT: label.labelled_at - timedelta(seconds=1)})
    assert not candidates([label], {}, {})


def test_the_request_names_the_round_in_doubt() -> None:
    found = candidate(doubtful(version=2), POLICY)
    assert found is not None
    event = request(found, now=make.at(99))
    assert (event.round, event.requested_by, event.urgency) == (2, "monitor", found.expected_correction)
    assert "m1" in event.evidence
