"""A stream under a certificate, in memory: a model whose confidence says too much or too little, people who err."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.monitor.domain.certificate import Audit, Evidence, Rules, Withdrawn, loss_of, weigh

START = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = 10
SKILL = 0.9
SURE = 0.95
MOST = 4
DELAY = 200
"""Items between an audit's item and people's label of it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`worse` multiplies the model's error from `change` on, over `ramp` items."""

    items: int = 40_000
    target: float = 0.03
    confidence: float = 0.95
    floor: float = 0.9
    audit_share: float = 0.1
    starting_share: float = 0.5
    worse: float = 1.0
    ramp: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error`: the true error of the labels that stand at the end, 0 where there are none."""

    error: float
    standing: int
    granted: bool
    withdrawn: bool


def people(draw: random.Random, *, wrong: bool, skill: float = SKILL) -> float:
    """What people's posterior gives to a proposal that is right (class 0) or wrong (class 1)."""
    logs = [0.0] * CLASSES
    for _ in range(MOST):
        answer = 0 if draw.random() < skill else draw.randrange(1, CLASSES)
        for place in range(CLASSES):
            logs[place] += math.log(skill if place == answer else (1.0 - skill) / (CLASSES - 1))
        top = max(logs)
        shares = [math.exp(one - top) for one in logs]
        if max(shares) / sum(shares) >= SURE:
            break
    return shares[int(wrong)] / sum(shares)


def _items(draw: random.Random, plan: Plan) -> Iterator[tuple[int, float, float]]:
    """Number, confidence, and the true chance that the proposal is wrong."""
    scale, change = draw.uniform(0.2, 3.0), draw.randrange(plan.items // 5, plan.items // 2)
    for number in range(plan.items):
        confidence = 1.0 - draw.random() ** 4 * 0.5
        factor = 1.0 + (plan.worse - 1.0) * min(max((number - change) / plan.ramp, 0.0), 1.0)
        yield number, confidence, min(1.0, (scale * (1.0 - confidence) + 0.002) * factor)


def stream(seed: int, plan: Plan) -> Outcome:
    """One run, through the engine that monitor uses."""
    draw, rules = random.Random(seed), Rules(plan.target, plan.confidence, plan.floor)
    known, granted, withdrawn = Evidence.none(rules), False, False
    standing: list[tuple[int, float]] = []
    waiting: list[tuple[int, Audit]] = []
    for number, confidence, error in _items(draw, plan):
        calm = known.certified is not None and not known.watch.suspicious
        wrong = draw.random() < error
        if confidence >= plan.floor and draw.random() < (plan.audit_share if calm else plan.starting_share):
            loss = loss_of(people(draw, wrong=wrong), 1.0 / CLASSES, plan.target)
            waiting.append((number + DELAY, Audit(confidence, loss, START + timedelta(seconds=number))))
        elif known.certified is not None and confidence >= known.certified:
            standing.append((number, error))
        while waiting and waiting[0][0] <= number:
            for decision in weigh(known, [waiting.pop(0)[1]], rules):
                granted = True
                if isinstance(decision, Withdrawn):
                    withdrawn, since = True, (decision.since - START).total_seconds()
                    standing = [one for one in standing if one[0] < since]
    mean = sum(error for _, error in standing) / len(standing) if standing else 0.0
    return Outcome(mean, len(standing), granted, withdrawn)
