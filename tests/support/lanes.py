"""A stream under a certificate, in memory: a model whose confidence says too much or too little, people who err."""

import math
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from services.monitor.domain.certificate import Audit, Rules, loss_of
from services.monitor.domain.pooling import Groups, Withdrawn, weigh

START = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = 10
SKILL = 0.9
SURE = 0.95
MOST = 4
DELAY = 200
"""Items between an audit's item and people's label of it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A class: its share of the proposals, how much more often they are wrong than others, and its own `worse`."""

    share: float
    scale: float = 1.0
    worse: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`worse` multiplies the model's error from `change` on, over `ramp` items.

    With `kinds` the classes differ; `apart`: each is judged by itself where its audits suffice. `heard`: the model's
    confidence is an opinion of the posterior by which people stop.
    """

    items: int = 40_000
    target: float = 0.03
    confidence: float = 0.95
    floor: float = 0.9
    audit_share: float = 0.1
    starting_share: float = 0.5
    worse: float = 1.0
    ramp: int = 1
    kinds: tuple[Kind, ...] = ()
    apart: bool = True
    heard: bool = False

    @property
    def rules(self) -> Rules:
        """What the project asks for."""
        return Rules(self.target, self.confidence, self.floor, len(self.kinds) if self.apart else 0)


@dataclass(slots=True)
class Standing:
    """Accepted labels that stand: their number, and the sum of the chances that they are wrong."""

    labels: int = 0
    wrong: float = 0.0

    @property
    def error(self) -> float:
        """0 where there are none."""
        return self.wrong / self.labels if self.labels else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error`: the true error of the labels that stand at the end, 0 where there are none.

    `accepted`: labels given without a person, those opened again among them. `own`: of the labels that stand on a
    class's own certificate, by class; `rest`: of those that stand on the pool's.
    """

    error: float
    standing: int
    granted: bool
    withdrawn: bool
    accepted: int = 0
    own: dict[str, Standing] = field(default_factory=dict)
    rest: Standing = field(default_factory=Standing)
    by_class: dict[str, Standing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """`error`: the true chance that its proposal is wrong."""

    number: int
    confidence: float
    error: float
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A label given without a person; `own`: on the class's own certificate."""

    item: Item
    own: bool


def people(draw: random.Random, *, wrong: bool, skill: float = SKILL, heard: float | None = None) -> float:
    """What people's posterior gives to a proposal that is right (class 0) or wrong (class 1).

    `heard`: the confidence of the proposal, where it is an opinion of the posterior by which people stop who agree.
    """
    logs, model, proposed = [0.0] * CLASSES, [0.0] * CLASSES, int(wrong)
    if heard is not None:
        said = min(heard, 1.0 - 1e-6)
        model = [math.log(said if place == proposed else (1.0 - said) / (CLASSES - 1)) for place in range(CLASSES)]
    for _ in range(MOST):
        answer = 0 if draw.random() < skill else draw.randrange(1, CLASSES)
        for place in range(CLASSES):
            logs[place] += math.log(skill if place == answer else (1.0 - skill) / (CLASSES - 1))
        agree = logs[proposed] == max(logs)
        aided = [one + other for one, other in zip(logs, model, strict=True)] if agree else logs
        if max(_shares(aided)) >= SURE:
            break
    return _shares(logs)[proposed]


def _shares(logs: list[float]) -> list[float]:
    top = max(logs)
    shares = [math.exp(one - top) for one in logs]
    return [one / sum(shares) for one in shares]


def _items(draw: random.Random, plan: Plan) -> Iterator[Item]:
    scale, change = draw.uniform(0.2, 3.0), draw.randrange(plan.items // 5, plan.items // 2)
    kinds, widest = plan.kinds or (Kind(1.0, scale),), 1.0
    if plan.kinds:  # what is below the floor decides nothing
        widest = ((1.0 - plan.floor) / 0.5) ** 0.25
    shares = list(accumulate(one.share for one in kinds))
    for number in range(plan.items):
        confidence = 1.0 - (draw.random() * widest) ** 4 * 0.5
        place = draw.choices(range(len(kinds)), cum_weights=shares)[0] if plan.kinds else 0
        kind, worse = kinds[place], plan.worse * kinds[place].worse
        factor = 1.0 + (worse - 1.0) * min(max((number - change) / plan.ramp, 0.0), 1.0)
        error = min(1.0, (kind.scale * (1.0 - confidence) + 0.002) * factor)
        yield Item(number, confidence, error, f"c{place}")


def stream(seed: int, plan: Plan) -> Outcome:
    """One run, through the engine that monitor uses."""
    draw, rules = random.Random(seed), plan.rules
    known, granted, withdrawn, accepted = Groups.none(rules), False, False, 0
    standing: list[Accepted] = []
    waiting: list[tuple[int, Audit]] = []
    for item in _items(draw, plan):
        wrong, evidence = draw.random() < item.error, known.evidence(item.symbol)
        calm, threshold = not evidence.watch.suspicious, known.threshold(item.symbol)
        share = plan.audit_share if calm and threshold is not None else plan.starting_share
        if item.confidence >= plan.floor and draw.random() < share:
            given = people(draw, wrong=wrong, heard=item.confidence if plan.heard else None)
            loss = loss_of(given, 1.0 / CLASSES, plan.target)
            at = START + timedelta(seconds=item.number)
            waiting.append((item.number + DELAY, Audit(item.confidence, loss, at, item.symbol)))
        elif threshold is not None and item.confidence >= threshold:
            accepted += 1
            standing.append(Accepted(item, evidence is not known.pool))
        while waiting and waiting[0][0] <= item.number:
            for decision in weigh(known, [waiting.pop(0)[1]], rules):
                granted = True
                if isinstance(decision, Withdrawn) and decision.since is not None:
                    withdrawn = True
                    standing = _left(standing, decision.symbol, (decision.since - START).total_seconds())
    return _outcome(standing, granted=granted, withdrawn=withdrawn, accepted=accepted)


def _left(standing: list[Accepted], symbol: str | None, since: float) -> list[Accepted]:
    """What is not opened again: of the class, or of what the pool accepted."""
    return [
        one for one in standing if one.item.number < since or (one.own if symbol is None else one.item.symbol != symbol)
    ]


def _outcome(standing: list[Accepted], *, granted: bool, withdrawn: bool, accepted: int) -> Outcome:
    total, rest = Standing(), Standing()
    own: defaultdict[str, Standing] = defaultdict(Standing)
    by_class: defaultdict[str, Standing] = defaultdict(Standing)
    for one in standing:
        for counted in (total, own[one.item.symbol] if one.own else rest, by_class[one.item.symbol]):
            counted.labels += 1
            counted.wrong += one.item.error
    return Outcome(total.error, total.labels, granted, withdrawn, accepted, dict(own), rest, dict(by_class))
