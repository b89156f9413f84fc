"""Which gold items somebody gets next, and how many: balanced over classes, harder for those beyond doubt.

Only qc knows the answers, so qc makes the order and assignment follows it without knowing what it is for.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.qc.domain.skill import beta_cdf
from services.qc.domain.trust import Limits, Trust
from shared.events import GoldPolicy

SIZE = 50
LEAST_PART = 5.0
SUSPECT, JUDGES = 0.5, 10
"""Gold that more than this share of at least so many people got wrong is left out: its answer is in doubt."""
BEYOND_DOUBT = 0.95


@dataclass(frozen=True, slots=True)
class Tried:
    """How many people answered a gold item, and how many of them wrongly."""

    answers: int = 0
    wrong: int = 0

    @property
    def hardness(self) -> float:
        """The posterior mean of the chance of a wrong answer, from Beta(1, 3)."""
        return (self.wrong + 1.0) / (self.answers + 4.0)

    @property
    def suspect(self) -> bool:
        return self.answers >= JUDGES and self.wrong > SUSPECT * self.answers


def _lot(*parts: str) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()


def _choose(left: Mapping[str, list[str]], given: Mapping[str, int], weights: Mapping[str, float], salt: str) -> str:
    """The class that has had least for its weight."""
    return min((c for c in left if left[c]), key=lambda c: ((given.get(c, 0) + 1.0) / weights[c], _lot(salt, c)))


def arranged(
    answers: Mapping[str, str],
    tried: Mapping[str, Tried],
    seen: Mapping[str, bool],
    *,
    beyond_doubt: bool,
    size: int,
    salt: str,
) -> tuple[str, ...]:
    """The next gold items.

    Args:
        answers: gold item -> class.
        tried: what people made of each.
        seen: those that this person had -> whether they were right.
        beyond_doubt: the person gets the hardest of each class first; others get them as drawn.
        size: at most so many.
        salt: whom it is for; equal arguments give the same order.

    Returns:
        Ids such that classes come equally often, those that the person gets wrong up to twice as often.
    """
    given, wrong = defaultdict[str, int](int), defaultdict[str, int](int)
    for item, right in seen.items():
        if item in answers:
            given[answers[item]] += 1
            wrong[answers[item]] += not right
    left = defaultdict[str, list[str]](list)
    for item, name in answers.items():
        if item not in seen and not tried.get(item, Tried()).suspect:
            left[name].append(item)
    for items in left.values():
        items.sort(key=lambda i: (tried.get(i, Tried()).hardness if beyond_doubt else 0.0, _lot(salt, i)), reverse=True)
    weights = {name: 1.0 + (wrong[name] + 1.0) / (given[name] + 2.0) for name in left}
    chosen: list[str] = []
    while len(chosen) < size and any(left.values()):
        name = _choose(left, given, weights, salt)
        chosen.append(left[name].pop(0))
        given[name] += 1
    return tuple(chosen)


def least_share(policy: GoldPolicy) -> float:
    """The share that nobody falls below."""
    return policy.share / LEAST_PART if policy.least_share is None else policy.least_share


def proven(known: Trust, rules: Limits) -> float:
    """The chance that somebody is better than acceptable, by their gold; from a flat prior."""
    return 1.0 - beta_cdf(rules.acceptable, known.correct + 1.0, known.answers - known.correct + 1.0)


def share_of(policy: GoldPolicy, known: Trust, rules: Limits) -> float:
    """The share of a person's leases that are gold: the policy's for the unknown, the least for the proven."""
    unknown = proven(Trust(), rules)
    doubt = min((1.0 - proven(known, rules)) / (1.0 - unknown), 1.0)
    least = least_share(policy)
    return least + (policy.share - least) * doubt


def plan_of(
    answers: Mapping[str, str],
    tried: Mapping[str, Tried],
    seen: Mapping[str, bool],
    known: Trust,
    rules: Limits,
    *,
    salt: str,
) -> Sequence[str]:
    """The next gold items of one person."""
    sure = proven(known, rules) >= BEYOND_DOUBT
    return arranged(answers, tried, seen, beyond_doubt=sure, size=SIZE, salt=salt)
