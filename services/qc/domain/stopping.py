"""When a round ends, and in what: after each annotation a label, one more request, an end without label, or wait.

The order of the rules is their rank: an end is never undone, an expert's word goes before people's, people's skips and
running out of people before statistics. An opinion is asked for while the posterior is below the target, or, where the
policy names a regret, while all that may still be asked for are expected to gain more than that; where the project says
what a wrong label costs, only while opinions are also expected to save more than they cost. Every state of a round has
a way to rest: each answer, skip or `exhausted` either ends it or leaves it waiting for what was asked, and what never
comes becomes `exhausted`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.qc.domain import numeric
from services.qc.domain.consensus import posterior, settled
from services.qc.domain.counts import Parameters
from services.qc.domain.fusing import mixed
from services.qc.domain.fusing.outcome import Fusion
from services.qc.domain.item import Answer
from services.qc.domain.kinds.kind import Given
from services.qc.domain.models import Method
from services.qc.domain.rounds import Round
from services.qc.domain.scale import Kind, Scale, number_of, same
from services.qc.domain.table import table_of
from services.qc.domain.worth import gain, worth_asking
from shared.events import Ask, CostModel, Path, Policy
from shared.labels import LabelValue, Rating

TWO = 2


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to say: the round is over, or what was asked for has not come yet."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask assignment for something, or end the round without a label; `opinions_wanted` is the round's total."""

    ask: Ask
    opinions_wanted: int
    reason: str
    posterior: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The round ends in a label.

    `votes` is all it stands on; `agreement` the share of them that equals the value, None for fewer than two; `sure`
    says whether the posterior reached the target, or more opinions were not worth it by the policy's regret; `fusion`
    how sure a fused value is of its parts; `error` is the standard error of a number.
    """

    value: LabelValue
    path: Path
    votes: tuple[Answer, ...]
    agreement: float | None
    reason: str
    posterior: float | None = None
    distribution: Mapping[str, float] | None = None
    sure: bool = False
    fusion: Fusion | None = None
    error: float | None = None


Decision = Wait | Request | Verdict


@dataclass(frozen=True, slots=True)
class _Best:
    """The value that the opinions speak for, and whether that is enough.

    `shares`: by which it was chosen, and label and posterior are given; `posterior` and `distribution` say whether to
    go on asking. `fusion`: of a fused scale, where the posterior is that of the most doubtful part. `error`: of a
    number by people who are known, whose posterior is the chance that it is within the tolerance.
    """

    value: LabelValue
    sure: bool
    posterior: float | None = None
    distribution: Mapping[str, float] | None = None
    share: float | None = None
    shares: Mapping[str, float] | None = None
    fusion: Fusion | None = None
    error: float | None = None


def _tie(salt: str, symbol: str) -> bytes:
    return hashlib.sha256(f"{salt}\x1f{symbol}".encode()).digest()


def _best_number(opinions: Sequence[Answer], policy: Policy, scale: Scale, parameters: Parameters) -> _Best:
    """By what is known of people how sure it is; while nothing is known, whether most are near to each other."""
    told = sorted(opinions, key=lambda one: one.annotation_id)
    given = [
        (a.annotator_id or "", number)
        for a in told
        if a.value is not None and (number := number_of(a.value)) is not None
    ]
    numbers = [number for _, number in given]
    if parameters.raters is None:
        return _Best(Rating(rating=numeric.estimate(numbers, scale)), numeric.settled(numbers, scale))
    found = numeric.judged(given, scale, parameters.raters)
    sure = found.posterior >= policy.target_posterior
    return _Best(Rating(rating=found.number), sure, found.posterior, share=found.posterior, error=found.error)


def fused(answers: Sequence[Answer], scale: Scale, parameters: Parameters) -> Fusion:
    """The answers of one or more people as one value, whatever the order in which they came.

    Raises:
        ValueError: the scale is of another kind.
    """
    if scale.fuser is None and not scale.parts:
        raise ValueError("only objects, words and pixels are fused")
    told = sorted((answer for answer in answers if answer.value is not None), key=lambda one: one.annotation_id)
    given = [Given(one.annotator_id or f"\x00{one.annotation_id}", one.value) for one in told]
    if scale.fuser is None:
        return mixed.fuse(given, scale, parameters)
    return scale.fuser.fuse(given, parameters.fused)


def _best_fused(opinions: Sequence[Answer], policy: Policy, scale: Scale, parameters: Parameters) -> _Best:
    found = fused(opinions, scale, parameters)
    return _Best(found.value, found.score >= policy.target_posterior, found.score, share=found.score, fusion=found)


def _best(current: Round, policy: Policy, scale: Scale, parameters: Parameters, salt: str) -> _Best:
    """The likeliest of the values that somebody gave: a label is never one that nobody did, unless it is fused.

    One vote is no evidence by a method that only counts votes: it has no posterior, and is never sure. Equal posteriors
    are told apart by a hash of the item and the value, which favours no class.
    """
    if scale.kind is Kind.NUMERIC:
        return _best_number(current.opinions, policy, scale, parameters)
    if scale.kind is Kind.FUSED:
        return _best_fused(current.opinions, policy, scale, parameters)
    method = Method(policy.consensus.method)
    opinions = current.model_opinions()
    believed = posterior(opinions, scale, parameters, method, current.prediction)
    given = {answer.symbol: answer.value for answer in reversed(current.opinions) if answer.symbol is not None}
    sure = max(min(believed.get(symbol, 0.0), 1.0) for symbol in given) >= policy.target_posterior
    shares = believed if sure else settled(opinions, scale, parameters, method, current.prediction)
    symbol = max(given, key=lambda s: (shares.get(s, 0.0), _tie(salt, s)))
    value = given[symbol]
    if value is None:
        raise ValueError("an opinion without a value")
    if scale.kind is Kind.CLOSED and method.votes and len(current.opinions) == 1:
        return _Best(value, sure=False)
    belief, share = (min(of.get(symbol, 0.0), 1.0) for of in (believed, shares))
    return _Best(value, sure, belief, believed, share, shares)


def _agreement(votes: tuple[Answer, ...], value: LabelValue, scale: Scale) -> float | None:
    if len(votes) < TWO:
        return None
    return sum(a.value is not None and same(a.value, value, scale) for a in votes) / len(votes)


def _label(current: Round, best: _Best, scale: Scale, reason: str) -> Verdict:
    votes = current.opinions
    return Verdict(
        value=best.value,
        path=Path.SINGLE if len(votes) == 1 else Path.CONSENSUS,
        votes=votes,
        agreement=_agreement(votes, best.value, scale),
        reason=reason,
        posterior=best.share,
        distribution=best.shares,
        sure=best.sure and best.posterior is not None,
        fusion=best.fusion,
        error=best.error,
    )


def _by_expert(current: Round, scale: Scale) -> Decision | None:
    """An expert's answer is final, and so is an expert's "this cannot be labelled"."""
    expert = current.expert
    if expert is not None and expert.value is not None:
        votes = (*current.opinions, expert)
        return Verdict(expert.value, Path.EXPERT, votes, _agreement(votes, expert.value, scale), "expert's decision")
    if current.expert_skip is not None:
        return Request(Ask.UNLABELABLE, 0, f"expert skipped: {current.expert_skip.value}")
    return None


def _by_skips(current: Round, policy: Policy) -> Decision | None:
    """Enough people skipped for one reason: an expert where the policy has them, else the item cannot be labelled."""
    reason, number = max(current.skips.items(), key=lambda one: (one[1], one[0].value), default=(None, 0))
    if reason is None or number < policy.skip_limit:
        return None
    if not policy.experts:
        return Request(Ask.UNLABELABLE, 0, f"{number} skipped: {reason.value}")
    if current.expert_asked:
        return Wait()
    return Request(Ask.EXPERT, len(current.fresh) + 1, f"{number} skipped: {reason.value}")


def _at_rest(current: Round, policy: Policy, best: _Best | None, scale: Scale, reason: str) -> Decision:
    """Nothing more will come: the best there is, where the policy takes it."""
    if best is None or (policy.on_unresolved == "unresolved" and not best.sure):
        return Request(Ask.UNRESOLVED, 0, reason, None if best is None else best.posterior)
    return _label(current, best, scale, reason)


def pays(
    current: Round,
    policy: Policy,
    believed: Mapping[str, float] | None,
    scale: Scale,
    *,
    parameters: Parameters,
    costs: CostModel,
) -> bool:
    """Whether asking on is expected to save more than it costs; always where nobody said what an error costs.

    Args:
        current: the round.
        policy: of it.
        believed: the posterior of its opinions; None on a scale that has none.
        scale: of the project version.
        parameters: the snapshot.
        costs: of the project version.
    """
    method = Method(policy.consensus.method)
    priced = costs.opinion * policy.error_opinions if policy.error_opinions is not None else None
    error = costs.error if costs.error is not None else priced
    if error is None or scale.kind is not Kind.CLOSED or method.votes or believed is None:
        return True
    stranger = table_of(parameters, scale.classes, method).stranger()
    left = policy.overlap.max - current.taken
    shares = [believed[name] for name in scale.classes]
    return worth_asking(shares, stranger, left=left, opinion=costs.opinion, error=error)


def forgone(
    policy: Policy, believed: Mapping[str, float] | None, scale: Scale, parameters: Parameters, *, left: int
) -> float | None:
    """By how much so many more opinions are expected to raise the chance of a right label.

    None where the policy names no regret, or there is no posterior to tell by.
    """
    method = Method(policy.consensus.method)
    if policy.overlap.regret is None or scale.kind is not Kind.CLOSED or method.votes or believed is None:
        return None
    asked = table_of(parameters, scale.classes, method).crowd(policy.overlap.prefer)
    return gain([believed[name] for name in scale.classes], asked.expected, left)


def _by_regret(current: Round, policy: Policy, best: _Best, scale: Scale, parameters: Parameters) -> Decision | None:
    """Enough or one more, by what asking on to the maximum could still bring; None: the target decides."""
    left = policy.overlap.max - current.taken
    lost = forgone(policy, best.distribution, scale, parameters, left=max(left, 0))
    if lost is None or policy.overlap.regret is None or left <= 0:
        return None
    said = f"{left} more opinions would gain {lost:.4f}"
    if lost > policy.overlap.regret:
        return Request(Ask.OPINION, len(current.fresh) + 1, f"{said} > {policy.overlap.regret:g}", best.posterior)
    said = f"{said} <= {policy.overlap.regret:g}"
    if policy.experts and not best.sure:
        return Request(Ask.EXPERT, len(current.fresh) + 1, said, best.posterior)
    return replace(_label(current, best, scale, said), sure=best.posterior is not None)


def _by_opinions(
    current: Round, policy: Policy, best: _Best, scale: Scale, *, parameters: Parameters, costs: CostModel
) -> Decision:
    """The opinions asked for are in: enough, one more, or the maximum."""
    number, wanted, overlap = current.taken, len(current.fresh) + 1, policy.overlap
    missing = overlap.min - number
    if missing > 0:  # of the opinions of before, which count here, some do no more
        return Request(Ask.OPINION, len(current.fresh) + missing, f"{missing} short of the minimum", best.posterior)
    decided = _by_regret(current, policy, best, scale, parameters)
    if decided is not None:
        return decided
    if best.sure:
        return _label(current, best, scale, "target reached")
    if overlap.max == 1 and len(current.opinions) == 1:
        return _label(current, best, scale, "one opinion, as the policy asks")
    lone = "one vote is no agreement" if len(current.opinions) == 1 else "the opinions differ"
    short = lone if best.posterior is None else f"{best.posterior:.3f} < {policy.target_posterior:g}"
    if best.fusion is not None:
        short = f"{best.fusion.worst[1]}: {short}"
    if number < overlap.max and not pays(current, policy, best.distribution, scale, parameters=parameters, costs=costs):
        return _label(current, best, scale, f"{short}, and further opinions cost more than they are expected to save")
    if number < overlap.max:
        return Request(Ask.OPINION, wanted, f"{short} after {number}", best.posterior)
    if policy.experts:
        return Request(Ask.EXPERT, wanted, f"{short} at the maximum of {number}", best.posterior)
    return _at_rest(current, policy, best, scale, f"{short} at the maximum of {number}")


def decide(
    current: Round, policy: Policy, scale: Scale, parameters: Parameters, *, salt: str, costs: CostModel | None = None
) -> Decision:
    """What to do about a round after one of its annotations.

    Args:
        current: the round, with that annotation in it.
        policy: the one pinned by the round.
        scale: of the round's project version.
        parameters: the snapshot that the decision will name.
        salt: identifies the item; only breaks exact ties.
        costs: of the project; absent: the defaults.
    """
    if current.ended:
        return Wait()
    decided = _by_expert(current, scale)
    if decided is not None:
        return decided
    if current.exhausted:
        best = _best(current, policy, scale, parameters, salt) if current.opinions else None
        again = "nobody answered again: by what is known of people now"
        reason = again if current.pooled and not current.fresh else "nobody is left who could answer"
        return _at_rest(current, policy, best, scale, reason)
    decided = _by_skips(current, policy)
    if decided is not None:
        return decided
    least = 1 if current.pooled else policy.overlap.min
    if current.expert_asked or len(current.fresh) < max(least, current.asked):
        return Wait()
    best = _best(current, policy, scale, parameters, salt)
    return _by_opinions(current, policy, best, scale, parameters=parameters, costs=costs or CostModel())
