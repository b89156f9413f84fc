"""What a project's policy asks of the service: its method, the model's prediction as an opinion, what opinions cost."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain import fold
from services.qc.domain.answers import Answers, Floats, Ints
from services.qc.domain.consensus import Opinion, posterior
from services.qc.domain.counts import Parameters, build
from services.qc.domain.fold import Context, decide_one
from services.qc.domain.item import Answer, ItemState
from services.qc.domain.methods import resolve
from services.qc.domain.models import Method
from services.qc.domain.refresh import Given, refresh
from services.qc.domain.scale import Kind, Scale
from services.qc.domain.stopping import Request, Verdict
from services.qc.domain.table import table_of
from services.qc.domain.worth import gain, worth_asking
from shared.events import Annotation, ConsensusPolicy, CostModel, Escalation, Label, Path
from shared.events.rounds import Proposal
from shared.labels import Choice
from tests.support import events as make
from tests.support.crowds import coin, constant, crowd
from tests.support.qc_domain import AT_ITS_WORD, CLASSES, CLOSED, NOTHING, PAIR, answers, decision, known, policy, says

SCALE = Scale(Kind.CLOSED, ("k0", "k1", "k2"), 3, ordered=True)
METHODS = list(Method)


def by(method: str, **more: Any) -> Any:
    return policy(2, 9, consensus=ConsensusPolicy(method=method), **more)


def rows(found: Answers, predicted: Floats | None = None, *, blind: bool = True) -> list[Given]:
    def said(item: int) -> str | None:
        return None if predicted is None else json.dumps({f"k{n}": p for n, p in enumerate(predicted[item].tolist())})

    cells = zip(found.item.tolist(), found.annotator.tolist(), found.symbol.tolist(), strict=True)
    return [
        Given(f"i{item:05}", f"p{who}", f"k{symbol}", seq, None, blind, said(item))
        for seq, (item, who, symbol) in enumerate(cells)
    ]


def labels(parameters: Parameters, found: Answers, method: Method, scale: Scale) -> list[int]:
    given_ = rows(found)
    chosen = []
    for item in range(found.items):
        opinions = [Opinion(one.annotator_id, one.symbol) for one in given_ if one.item_id == f"i{item:05}"]
        shares = posterior(opinions, scale, parameters, method)
        chosen.append(max(range(scale.size), key=lambda place, s=shares: s[f"k{place}"]))  # type: ignore[misc]
    return chosen


def test_the_policy_names_every_method() -> None:
    assert {method.value for method in Method} == set(get_args(ConsensusPolicy.model_fields["method"].annotation))


@pytest.mark.parametrize("method", METHODS)
def test_the_service_labels_as_the_batch_of_the_same_method_does(method: Method) -> None:
    people = [*[coin(a, 3) for a in np.linspace(0.5, 0.95, 12)], constant(3, 0)]
    found, truth = crowd(people, items=150, opinions=5)
    snapshot = build(1, *refresh(rows(found), [], SCALE, NOTHING, method))
    batch = resolve(found, method, ordered=True)
    mine = np.array(labels(snapshot, found, method, SCALE))
    top = np.sort(batch.posterior, axis=1)
    clear = top[:, -1] - top[:, -2] > 0.2
    assert clear.mean() > 0.6
    assert (mine == batch.label)[clear].mean() > 0.98
    assert abs((mine == truth).mean() - (batch.label == truth).mean()) <= 0.03


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(CLASSES)), max_size=8), st.sampled_from(METHODS))
def test_every_method_adds_up_to_one_in_any_order(votes: list[tuple[str, str]], method: Method) -> None:
    crowd_ = known({"a": (20, 18), "b": (9, 3)})
    shares = posterior(says(*votes), CLOSED, crowd_, method)
    assert math.isclose(math.fsum(shares.values()), 1.0, abs_tol=1e-9)
    assert shares == posterior(says(*reversed(votes)), CLOSED, crowd_, method)


@pytest.mark.parametrize("method", ["majority", "weighted-majority"])
def test_one_vote_is_no_agreement(method: str) -> None:
    rules = policy(1, 3, target=0.6, consensus=ConsensusPolicy(method=method))
    lone = decision(answers("positive"), rules)
    assert isinstance(lone, Request)
    assert lone.posterior is None
    both = decision(answers("positive", "positive"), rules)
    assert isinstance(both, Verdict)
    assert both.posterior == 1.0
    end = decision(answers("positive"), policy(1, 1, consensus=rules.consensus))
    assert isinstance(end, Verdict)
    assert (end.path, end.posterior, end.agreement) == (Path.SINGLE, None, None)


def test_a_weighted_vote_counts_by_the_accuracy() -> None:
    crowd_ = known({"good": (60, 59), "poor": (60, 24), "bad": (60, 24)})
    votes = says(("good", "positive"), ("poor", "negative"), ("bad", "negative"))
    assert posterior(votes, CLOSED, crowd_, Method.MAJORITY)["negative"] == pytest.approx(2 / 3)
    assert posterior(votes, CLOSED, crowd_, Method.WEIGHTED_MAJORITY)["positive"] > 0.7


def predictions(truth: Ints, right: float, *, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(len(truth)) < right, truth, rng.integers(0, 3, len(truth)))
    found = np.full((len(truth), 3), 0.1)
    found[np.arange(len(truth)), said] = 0.8
    return found


def test_a_prediction_that_helps_is_heard_and_one_that_does_not_is_not() -> None:
    found, truth = crowd([coin(0.6, 3)] * 15, items=300, opinions=3)
    told = refresh(rows(found, predictions(truth, 0.9)), [], SCALE, NOTHING, predictions=True)
    useless = refresh(rows(found, predictions(truth, 0.0)), [], SCALE, NOTHING, predictions=True)
    without = refresh(rows(found), [], SCALE, NOTHING)
    off = refresh(rows(found, predictions(truth, 0.9)), [], SCALE, NOTHING, predictions=False)
    seen = refresh(rows(found, predictions(truth, 0.9), blind=False), [], SCALE, NOTHING, predictions=True)
    assert told[1].prediction_weight > 0
    assert useless == without == off == seen
    assert without[1].prediction_weight == 0
    snapshot = build(1, *told)
    split = [Opinion("p1", "k0"), Opinion("p2", "k1")]
    leaning = {"k0": 0.1, "k1": 0.8, "k2": 0.1}
    assert posterior(split, SCALE, snapshot, prediction=leaning)["k1"] > posterior(split, SCALE, snapshot)["k1"] + 0.1
    alone = build(1, *without)
    assert posterior(split, SCALE, alone, prediction=leaning) == posterior(split, SCALE, alone)


def _asked(
    heard: Parameters,
    *,
    saw: Sequence[bool] = (False, False),
    first: str = "positive",
    switched_on: bool = True,
    audit: bool = False,
) -> Label | Escalation:
    """What is decided after two people, the second of whom differs from what the model proposes."""
    said = Proposal(
        value=Choice(choice="positive"), confidence=0.98, model_version="m1",
        distribution={"positive": 0.98, "negative": 0.01, "neutral": 0.01},
    )  # fmt: skip
    rules = policy(2, 5, target=0.5, consensus=ConsensusPolicy(prediction=switched_on))
    item, decided = ItemState(), None
    for n, value in enumerate((first, "negative")):
        event = make.annotation(
            by=f"p{n}", value=value, policy=rules, proposal=said, saw_proposal=saw[n], would_auto=audit
        )
        item.admit(Answer.of(event))
        decided = decide_one(item, event, Context(CLOSED, CostModel()), heard, make.AT)
    assert isinstance(decided, Label | Escalation)
    return decided


def test_a_prediction_that_somebody_saw_is_in_their_answer_already() -> None:
    heard = build(1, (), replace(AT_ITS_WORD, prediction_weight=1.0))
    blind, told = (_asked(heard, saw=(False, second)) for second in (False, True))
    off = _asked(heard, switched_on=False)
    assert [one.posterior is not None and one.posterior > 0.9 for one in (blind, told, off)] == [True, False, False]


def test_a_label_that_has_heard_the_model_says_what_people_alone_give_to_the_proposal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = build(1, (), replace(AT_ITS_WORD, prediction_weight=1.0))
    off, alone = _asked(heard, switched_on=False), Mock(side_effect=posterior)
    monkeypatch.setattr(fold, "posterior", alone)
    blind = _asked(heard)
    assert isinstance(blind, Label)
    assert alone.call_count == 1, "not while the round waits for the second"
    assert blind.evidence.unaided == pytest.approx(off.posterior)
    assert not isinstance(off, Label) or off.evidence.unaided is None


def test_the_model_does_not_outvote_who_contradicts_it_in_an_audit() -> None:
    heard = build(1, (), replace(AT_ITS_WORD, prediction_weight=3.0))
    seen, audit = (_asked(heard, first="negative", audit=would) for would in (False, True))
    off = _asked(heard, first="negative", switched_on=False)
    assert isinstance(audit, Label)
    assert audit.evidence.unaided is None
    assert audit.posterior == off.posterior
    assert isinstance(seen, Escalation)  # two people and a model that is sure of something else: one more


def told(events: list[Annotation], error: float | None, most: int = 9) -> Any:
    costs = CostModel(opinion=0.1) if error is None else CostModel(opinion=0.1, error=error)
    item = ItemState()
    for event in events:
        item.admit(Answer.of(event))
    rules = policy(2, most, target=0.99)
    return decide_one(item, events[-1].model_copy(update={"policy": rules}), Context(CLOSED, costs), NOTHING, make.AT)


def test_an_opinion_is_asked_for_exactly_while_it_is_worth_its_cost() -> None:
    split, agreed = answers("positive", "negative"), answers("positive", "positive")
    assert isinstance(told(split, 10.0), Escalation)
    assert isinstance(told(split, 0.1), Label)
    assert "cost more" in told(split, 0.1).evidence.reason
    assert isinstance(told(agreed, None), Escalation)
    assert isinstance(told(agreed, 0.5), Label)
    assert isinstance(told(agreed, 1000.0), Escalation)


def test_two_opinions_may_be_worth_what_one_is_not() -> None:
    table = table_of(known({"a": (9, 8)}, PAIR.classes), PAIR.classes)
    stranger = [[math.log(0.8), math.log(0.2)], [math.log(0.2), math.log(0.8)]]
    shares = [0.9, 0.1]
    assert gain(shares, stranger, 1) == pytest.approx(0.0, abs=1e-12)
    # Two that both deny it have .1 * .64 against .9 * .04.
    assert gain(shares, stranger, 2) == pytest.approx(0.1 * 0.64 - 0.9 * 0.04)
    assert not worth_asking(shares, stranger, left=1, opinion=0.01, error=10.0)
    assert worth_asking(shares, stranger, left=2, opinion=0.01, error=10.0)
    assert len(table.stranger()) == 2


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3), st.floats(0.34, 0.99), st.integers(1, 6))
def test_more_opinions_are_never_worth_less(masses: list[float], right: float, number: int) -> None:
    shares = [one / sum(masses) for one in masses]
    stranger = np.log(coin(right, 3)).tolist()
    now, more = gain(shares, stranger, number), gain(shares, stranger, number + 1)
    assert 0.0 <= now <= more + 1e-12 <= 1.0 - max(shares) + 1e-9
