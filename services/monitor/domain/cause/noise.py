"""The suspicion that somebody's answers have become noisier: one share that shows in three places."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.monitor.domain.cause.counts import Answers, Tally
from services.monitor.domain.cause.traffic import Joint

SHARES = tuple(step / 100 for step in range(1, 76))
"""Of answers that are noise, any class alike; the others are the truth."""
SURELY = 0.999
"""How often somebody without noise has gold right."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one person did in a period: answers beside proposals, on gold, and beside others."""

    answers: Answers
    gold: Tally
    agreed: Tally


def likelihoods(work: Work, joint: Joint, agreeing: float) -> list[float]:
    """Log likelihood of a person's work by `SHARES`, nats, up to a constant.

    Args:
        work: in one period.
        joint: P(class | prediction).
        agreeing: how often somebody without noise would agree with others, in (0, 1).
    """
    chance = 1.0 / max(len(joint.symbols), 2)
    cells = [(n, joint.true(one.predicted).get(one.symbol, 0.0)) for one, n in work.answers.items()]
    cells += [(work.gold.yes, SURELY), (work.agreed.yes, agreeing)]
    found = []
    for share in SHARES:
        log = math.fsum(n * math.log((1.0 - share) * p + share * chance) for n, p in cells)
        for wrong, clean in ((work.gold.no, SURELY), (work.agreed.no, agreeing)):
            log += wrong * math.log1p(-((1.0 - share) * clean + share * chance))
        found.append(log)
    return found


def noisier(before: Sequence[float] | None, after: Sequence[float], people: Iterable[Sequence[float]]) -> float:
    """Log Bayes factor of a greater share of noise after against the same as before.

    Args:
        before: `likelihoods` of the person's earlier work; None for somebody new, who is then compared with what
            people are like.
        after: of their later work.
        people: of everybody before, for that.
    """
    if before is None:
        shapes = [_posterior(one) for one in people]
        if not shapes:
            return 0.0
        flat = [math.fsum(column) / len(shapes) for column in zip(*shapes, strict=True)]
        prior = [math.log(p + 1e-6) for p in flat]
        worse = [math.log(max(math.fsum(flat[:place]), 1e-6) / (len(flat) - place)) for place in range(len(flat))]
        return _log_sum(map(sum, zip(worse, after, strict=True))) - _log_sum(map(sum, zip(prior, after, strict=True)))
    same = _log_sum(b + a for b, a in zip(before, after, strict=True)) - math.log(len(after))
    above = [_log_sum(after[place:]) - math.log(len(after) - place) for place in range(len(after))]
    return _log_sum(b + a for b, a in zip(before, above, strict=True)) - math.log(len(after)) - same


def _posterior(logs: Sequence[float]) -> list[float]:
    whole = _log_sum(logs)
    return [math.exp(log - whole) for log in logs]


def _log_sum(logs: Iterable[float]) -> float:
    found = list(logs)
    top = max(found)
    return top + math.log(math.fsum(math.exp(one - top) for one in found))


def agreeing(noise: Mapping[str, Tally]) -> float:
    """What somebody without noise would agree at: what people do, a little more."""
    yes, no = (sum(column) for column in zip(*noise.values(), strict=True)) if noise else (0, 0)
    return min(0.5 + 0.5 * (yes + 1.0) / (yes + no + 2.0), 0.98)
