"""Whether a candidate replaces the live model: paired tests on held-out labels. Rules and reasons: decision 0051."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from shared.events import ProjectSpec, Training

BETS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
MOST_WEIGHT = 20.0
LEAST_OF_A_CLASS = 10
LEAST_FIRST = 10
NAMED = 5
"""Classes that a verdict names, at most."""


class Verdict(StrEnum):
    """What becomes of the candidate."""

    PROMOTE = "promote"
    REFUSE = "refuse"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Pair:
    """One held-out label, and whether each model agrees with it.

    Attributes:
        category: what people said.
        inclusion: probability with which the item came to people.
        live, candidate: right or wrong.
    """

    category: str
    inclusion: float
    live: bool
    candidate: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """The project's gate, see `shared.events.Gate`. `heaviest` bounds the weight that a rare label stands for."""

    shadowed: int
    labels: int
    margin: float
    confidence: float
    heaviest: float = 1.0

    @classmethod
    def of(cls, spec: ProjectSpec) -> "Rule":
        """The rule of a project that is trained."""
        gate = (spec.training or Training()).gate
        shares = [1.0]
        for policy in spec.policies:
            shares.append(policy.sample_share)
            if policy.auto_accept is not None and policy.auto_accept.audit_share > 0.0:
                shares.append(policy.auto_accept.audit_share)
        heaviest = min(MOST_WEIGHT, 1.0 / min(shares))
        return cls(gate.shadowed, gate.labels, gate.margin, gate.confidence, heaviest)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict with what it stands on.

    `gain` is the weighted difference of accuracies, `lower` its lower confidence bound, `better` and `worse` the
    evidence (e-values) of the two one-sided hypotheses.
    """

    verdict: Verdict
    why: str
    pairs: int = 0
    gain: float = 0.0
    lower: float = -1.0
    better: float = 1.0
    worse: float = 1.0


def judge(pairs: Sequence[Pair], rule: Rule, *, shadowed: int, overdue: bool) -> Ruling:
    """Judge a candidate beside the live model.

    Args:
        pairs: held-out labels in the order they came, of contents that neither model was trained on.
        rule: of the project.
        shadowed: predictions that the candidate has made on live items.
        overdue: the trial's time is up.
    """
    bound = 1.0 / (1.0 - rule.confidence)
    gain, lower = difference(pairs, rule.confidence, rule.heaviest)
    better, worse = evidence(pairs, rule.heaviest), evidence(pairs, rule.heaviest, sign=-1)
    ended = overdue or (len(pairs) >= rule.labels and shadowed >= rule.shadowed)

    def ruling(verdict: Verdict, why: str) -> Ruling:
        return Ruling(verdict, why, len(pairs), round(gain, 6), round(lower, 6), round(better, 4), round(worse, 4))

    if worse >= bound:
        return ruling(Verdict.REFUSE, "it is worse than the live model")
    loser = worse_class(pairs, rule.confidence, ended=ended)
    if loser is not None:
        return ruling(Verdict.REFUSE, f"it is worse than the live model on class {loser!r}")
    if shadowed < rule.shadowed and not overdue:
        return ruling(Verdict.WAIT, f"{shadowed} of {rule.shadowed} predictions on trial")
    few = _too_few(pairs)
    if better >= bound:
        return ruling(Verdict.PROMOTE, f"it is better than the live model{few}")
    if not ended:
        return ruling(Verdict.WAIT, f"{len(pairs)} of {rule.labels} held-out labels")
    if lower >= -rule.margin:
        return ruling(Verdict.PROMOTE, f"at the end of its trial it is not worse by more than {rule.margin:g}{few}")
    return ruling(Verdict.REFUSE, f"at the end of its trial it may be worse by more than {rule.margin:g}")


def judge_first(pairs: Sequence[Pair], confidence: float) -> Ruling:
    """Judge the first model of a project, of which `pairs` say nothing about a live one.

    It is promoted where the lower bound of its accuracy on held-out labels (Wilson 1927) is above the share of their
    most frequent class: it knows something.
    """
    number, right = len(pairs), sum(pair.candidate for pair in pairs)
    if number < LEAST_FIRST:
        return Ruling(Verdict.WAIT, f"{number} of {LEAST_FIRST} held-out labels", number)
    counts: dict[str, int] = defaultdict(int)
    for pair in pairs:
        counts[pair.category] += 1
    chance, lower = max(counts.values()) / number, wilson_lower(right, number, confidence)
    accuracy = f"accuracy {right / number:.3f} on {number} held-out labels, at least {lower:.3f}"
    if lower > chance:
        return Ruling(Verdict.PROMOTE, f"first model: {accuracy}", number, right / number - chance, lower)
    why = f"{accuracy}: not above {chance:.3f}, the share of the most frequent class"
    return Ruling(Verdict.REFUSE, why, number, right / number - chance, lower)


def breached(pairs: Sequence[Pair], rule: Rule) -> bool:
    """Whether the live model is worse than the one before it, on the same labels that came since its promotion.

    Here `live` of a pair is the former model, `candidate` the one that replaced it.
    """
    return evidence(pairs, rule.heaviest, sign=-1) >= 1.0 / (1.0 - rule.confidence)


def wilson_lower(right: int, number: int, confidence: float) -> float:
    """The lower bound of Wilson's one-sided interval of a share."""
    z = NormalDist().inv_cdf(confidence)
    share = right / number
    middle = share + z * z / (2 * number)
    spread = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return (middle - spread) / (1 + z * z / number)


def _weighted(pairs: Sequence[Pair], heaviest: float) -> list[tuple[float, float]]:
    """(weight, candidate minus live) of each pair. Rare ones stand for those that never came to people."""
    return [(min(1.0 / pair.inclusion, heaviest), float(pair.candidate) - float(pair.live)) for pair in pairs]


def difference(pairs: Sequence[Pair], confidence: float, heaviest: float = 1.0) -> tuple[float, float]:
    """The weighted difference of accuracies, candidate minus live, and its lower confidence bound.

    A ratio estimator with its linearised variance (Särndal et al. 1992, section 5.6), to which one pair lost is added,
    so that a few pairs without a difference prove nothing.
    """
    weighted = _weighted(pairs, heaviest)
    total = sum(weight for weight, _ in weighted)
    if not weighted:
        return 0.0, -1.0
    gain = sum(weight * value for weight, value in weighted) / total
    spread = sum((weight * (value - gain)) ** 2 for weight, value in weighted) + (total / len(weighted)) ** 2
    return gain, gain - NormalDist().inv_cdf(confidence) * math.sqrt(spread) / total


def evidence(pairs: Sequence[Pair], heaviest: float = 1.0, *, sign: int = 1) -> float:
    """The e-value of "the candidate is better" (sign 1) or "worse" (-1): a mixture of bets on weighted differences.

    Valid however often one looks (Waudby-Smith and Ramdas 2024, Estimating means of bounded random variables by
    betting): under the contrary, it ever exceeds 1/a with a chance of at most a.
    """
    logs = [0.0] * len(BETS)
    for weight, value in _weighted(pairs, heaviest):
        if value != 0.0:
            for place, bet in enumerate(BETS):
                logs[place] += math.log1p(bet * sign * value * weight / heaviest)
    return sum(math.exp(min(log, 700.0)) for log in logs) / len(BETS)


def _too_few(pairs: Sequence[Pair]) -> str:
    """What a verdict says of the classes that it did not judge by themselves."""
    counts = Counter(pair.category for pair in pairs)
    few = sorted(name for name, number in counts.items() if number < LEAST_OF_A_CLASS)
    if not few:
        return ""
    more = f" and {len(few) - NAMED} more" if len(few) > NAMED else ""
    return f"; with too few labels to judge them alone: {', '.join(map(repr, few[:NAMED]))}{more}"


def worse_class(pairs: Sequence[Pair], confidence: float, *, ended: bool = False) -> str | None:
    """A class on which the candidate is significantly worse.

    While the trial runs by its e-value, which may be looked at again and again; at its end also by the exact sign test
    on the discordant pairs (McNemar 1947). The level is divided by the number of classes with enough labels.
    """
    classes: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        classes[pair.category].append(pair)
    enough = {name: found for name, found in classes.items() if len(found) >= LEAST_OF_A_CLASS}
    level = (1.0 - confidence) / max(1, len(enough))
    for name, found in sorted(enough.items()):
        if evidence(found, sign=-1) >= 1.0 / level:
            return name
        lost = sum(pair.live and not pair.candidate for pair in found)
        won = sum(pair.candidate and not pair.live for pair in found)
        if ended and lost > won and _tail(lost, lost + won) <= level:
            return name
    return None


def _tail(lost: int, number: int) -> float:
    """P(at least this many of `number` fair coins)."""
    return sum(math.comb(number, k) for k in range(lost, number + 1)) / float(2**number)
