"""Whether a label still stands when somebody's word is taken out."""

from collections.abc import Set as AbstractSet

from services.qc.domain import numeric
from services.qc.domain.consensus import Opinion, posterior
from services.qc.domain.counts import Parameters
from services.qc.domain.facts import judged_by
from services.qc.domain.item import Answer, ItemState, LiveLabel
from services.qc.domain.models import Method
from services.qc.domain.scale import Kind, Scale, number_of, symbol_of
from services.qc.domain.stopping import fused
from shared.events import Audience, Path, Policy

TWO = 2


def stands_without(
    item: ItemState, excluded: AbstractSet[str], scale: Scale, parameters: Parameters, *, policy: Policy
) -> bool:
    """Whether the live label holds without these people, by the project's policy.

    It does where they had no part in it, where a model or an expert gave it, or where the answers of the others, at
    least two, give the same value with the posterior that the project asks for.
    """
    label = item.label
    if label is None or label.path in (Path.AUTO, Path.EXPERT):
        return True
    votes = [a for a in item.answers.values() if a.is_answer and not a.late and a.round <= label.version]
    rest = [a for a in votes if a.annotator_id not in excluded]
    if len(rest) == len(votes):
        return True
    if len(rest) < TWO:
        return any(a.role is Audience.EXPERT and a.symbol == label.symbol for a in rest)
    if scale.kind is Kind.NUMERIC:
        return _number_holds(rest, label, scale)
    if scale.kind is Kind.FUSED:
        return _fused_holds(rest, item, scale, parameters, policy=policy)
    opinions = [_opinion(a, label) for a in rest]
    shares = posterior(opinions, scale, parameters, Method(policy.consensus.method))
    return shares.get(label.symbol, 0.0) >= policy.target_posterior


def _opinion(answer: Answer, label: LiveLabel) -> Opinion:
    counted = label.weights if judged_by(answer, label) else {}
    return Opinion(answer.annotator_id or "", answer.symbol or "", counted)


def _fused_holds(rest: list[Answer], item: ItemState, scale: Scale, parameters: Parameters, *, policy: Policy) -> bool:
    """Whether the others fuse to nearly the same, and are as sure of it as the project asks."""
    found, label = fused(rest, scale, parameters), item.label
    if label is None or found.score < policy.target_posterior:
        return False
    return item.nearness.near((symbol_of(found.value), found.value), (label.symbol, label.value))


def _number_holds(rest: list[Answer], label: LiveLabel, scale: Scale) -> bool:
    numbers = [number for a in rest if a.value is not None and (number := number_of(a.value)) is not None]
    if label.number is None or not numeric.settled(numbers, scale):
        return False
    return numeric.near(numeric.estimate(numbers, scale), label.number, scale)
