"""Traffic in which one thing goes wrong among others that only look as if: what the ranking of causes is measured on.

Five classes are Gaussian clouds, the model has the exact posterior. 20,000 items before the change and 20,000 after;
of four sources and five clients, each source with a class mix of its own; ten people of 82 to 97 %, worse on hard
items. People answer what the model is unsure of, and a twentieth of the rest; two of five such items have two answers.
The change moves a tenth of the traffic, or takes 15 points off one person's accuracy. Each run has innocents, each by
chance: a model that is retrained to nearly the same, a guideline that is reworded, a client that moves to other traffic
shares, somebody new among the people, small drifts of accuracy; and the border between the periods is up to 1000 items
off.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.cause import Answered, Dimension, Period, Predicted, Signature, Suspect, Tally, band

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
P0 = np.array([0.40, 0.25, 0.18, 0.12, 0.05])
CLASSES = len(P0)
WIDTH = 6
ITEMS, BORDER = 20_000, 1000
SOURCES, CLIENTS, PEOPLE = 4, 5, 10
MOVED, POINTS = 0.10, 0.15
ASKED_BELOW, AUDITED, TWICE, GOLD = 0.9, 0.05, 0.4, 0.05
HARD, HARD_GOLD, HARDER = 0.6, 0.1, 0.15
"""An item is hard below this posterior of its truth; share of the gold that is; what it takes off people's accuracy."""


@dataclass
class World:
    """How things are in one period; the truth of a run is which of these was changed to do harm."""

    rng: np.random.Generator
    means: Floats
    shares: Floats
    clients: Floats
    mixes: Floats
    skill: Floats
    busy: Floats
    biases: dict[str, Floats]
    rollout: dict[str, float]
    guideline: str = "1"
    moved: tuple[int, int, float] | None = None
    region: tuple[int, float] | None = None
    broken: tuple[int, float] | None = None
    tilt: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A run: what was counted, and who did it."""

    before: Period
    after: Period
    signature: Signature
    dimension: Dimension
    values: frozenset[str]

    def first(self, suspects: Sequence[Suspect]) -> bool:
        """Whether the one who did it comes first."""
        return bool(suspects) and (
            (suspects[0].signature, suspects[0].dimension) == (self.signature, self.dimension)
            and suspects[0].value in self.values
        )


def world(rng: np.random.Generator) -> World:
    """How it was before."""
    means = rng.normal(size=(CLASSES, WIDTH))
    means *= 2.6 / np.linalg.norm(means, axis=1, keepdims=True)
    return World(
        rng, means, rng.dirichlet(np.full(SOURCES, 12.0)), rng.dirichlet(np.full(CLIENTS, 2.0), size=SOURCES),
        rng.dirichlet(P0 * 25.0 + 0.3, size=SOURCES), rng.uniform(0.82, 0.97, PEOPLE),
        rng.dirichlet(np.full(PEOPLE, 20.0)), {"m1": np.zeros(CLASSES)}, {"m1": 1.0},
    )  # fmt: skip


def innocents(now: World) -> None:
    """What changes besides and does no harm."""
    rng = now.rng
    now.shares = _jitter(rng, now.shares, 0.05)
    now.mixes = np.array([_jitter(rng, mix, 0.01) for mix in now.mixes])
    now.skill = np.clip(now.skill + rng.normal(0, 0.01, PEOPLE), 0.6, 0.99)
    now.busy = _jitter(rng, now.busy, 0.3)
    if rng.random() < 0.5:
        release(now, 0.0)
    if rng.random() < 0.5:
        now.guideline = "2"
    if rng.random() < 0.5:
        now.clients = np.array([_jitter(rng, row, 0.5) for row in now.clients])
    if rng.random() < 0.5:
        gone = rng.integers(PEOPLE)
        now.busy = np.append(now.busy, now.busy[gone])
        now.busy[gone] = 0.0
        now.skill = np.append(now.skill, rng.uniform(0.82, 0.97))


def _jitter(rng: np.random.Generator, shares: Floats, spread: float) -> Floats:
    fresh = shares * np.exp(rng.normal(0, spread, len(shares)))
    return np.asarray(fresh / fresh.sum())


def release(now: World, rollout: float) -> None:
    """A version of nearly the same model, over all the traffic or, where given, a share of it."""
    share = rollout or float(now.rng.choice([0.5, 1.0]))
    now.biases["m2"] = now.rng.normal(0, 0.05, CLASSES)
    now.rollout = {"m1": 1.0 - share, "m2": share}


def harm(signature: Signature, now: World, before: World) -> tuple[Dimension, frozenset[str]]:
    """Make one thing go wrong; along which dimension, and where."""
    rng = now.rng
    match signature:
        case Signature.PRIOR_SHIFT:
            return _other_traffic(now, before)
        case Signature.NEW_REGION:
            source = int(rng.choice(np.flatnonzero(now.shares > 0.12)))
            now.region = (source, MOVED / now.shares[source])
            return Dimension.SOURCE, frozenset({f"s{source}"})
        case Signature.MODEL:
            release(now, float(rng.choice([0.5, 1.0])))
            said, to = rng.choice(3, size=2, replace=False)
            now.tilt["m2"] = np.array([said, to, MOVED / now.rollout["m2"]])
            return Dimension.MODEL, frozenset({"m2"})
        case Signature.GUIDELINE:
            now.guideline = "2"
            said, to = rng.choice(4, size=2, replace=False)
            now.moved = (int(said), int(to), MOVED / float(now.shares @ now.mixes[:, said]))
            return Dimension.GUIDELINE, frozenset({"2"})
        case Signature.ANNOTATOR:
            person = int(rng.choice(np.flatnonzero(now.busy[:PEOPLE] > 0.5 / PEOPLE)))
            now.skill[person] = before.skill[person] - POINTS
            return Dimension.ANNOTATOR, frozenset({f"a{person}"})
        case Signature.PIPELINE:
            shares = now.shares @ now.clients
            client = int(rng.choice(np.flatnonzero(shares > 1.1 * MOVED)))
            now.broken = (client, MOVED / float(shares[client]))
            return Dimension.CLIENT, frozenset({f"c{client}"})


def _other_traffic(now: World, before: World) -> tuple[Dimension, frozenset[str]]:
    """Classes have other shares, in all sources alike or in one: a tenth of all the traffic is another class."""
    rng = now.rng
    if rng.random() < 0.5:
        overall = before.shares @ before.mixes
        other = _other(rng, overall, MOVED)
        now.mixes = now.mixes * (other / overall)
        now.mixes /= now.mixes.sum(axis=1, keepdims=True)
        moved = now.shares @ now.mixes - before.shares @ before.mixes
        return Dimension.CLASS, frozenset(map(str, np.flatnonzero(np.abs(moved) > 0.5 * np.abs(moved).max())))
    source = int(rng.choice(np.flatnonzero(now.shares > 0.15)))
    now.mixes[source] = _other(rng, now.mixes[source], MOVED / now.shares[source])
    return Dimension.SOURCE, frozenset({f"s{source}"})


def _other(rng: np.random.Generator, shares: Floats, distance: float) -> Floats:
    """A random distribution this far in total variation."""
    while True:
        step = rng.normal(size=len(shares))
        step -= step.mean()
        fresh = shares + step * (2 * distance / np.abs(step).sum())
        if fresh.min() >= 0.0:
            return np.asarray(fresh)


def events(now: World, n: int) -> dict[str, Any]:
    """n items with their predictions, answers and gold answers."""
    rng = now.rng
    source = rng.choice(SOURCES, size=n, p=now.shares)
    client = _draw(rng, now.clients[source])
    truth = _draw(rng, now.mixes[source])
    x = now.means[truth] + rng.normal(size=(n, WIDTH))
    strange = np.zeros(n, bool)
    if now.region is not None:
        strange = (source == now.region[0]) & (rng.random(n) < now.region[1])
        other = (truth + rng.integers(1, CLASSES, n)) % CLASSES
        x[strange] = (0.42 * now.means[truth] + 0.58 * now.means[other] + rng.normal(size=(n, WIDTH)))[strange]
    hard = strange | (_posterior(now.means, x)[np.arange(n), truth] < 0.6)
    if now.broken is not None:
        hit = (client == now.broken[0]) & (rng.random(n) < now.broken[1])
        x[hit] = rng.normal(0, 0.3, size=(int(hit.sum()), WIDTH))
    names = list(now.rollout)
    version = rng.choice(len(names), size=n, p=list(now.rollout.values()))
    logits = x @ now.means.T + np.array([now.biases[name] for name in names])[version] + np.log(P0)
    said, confidence = _predict(logits)
    for name, (one, to, share) in now.tilt.items():
        overall = (said[version == names.index(name)] == one).mean()
        hit = (version == names.index(name)) & (said == one) & (rng.random(n) < min(share / overall, 1.0))
        said[hit] = int(to)
    known = {"source": source, "client": client, "version": version, "said": said, "confidence": confidence}
    return known | {"names": names, "truth": truth, "hard": hard}


def _posterior(means: Floats, x: Floats) -> Floats:
    logits = x @ means.T + np.log(P0)
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _predict(logits: Floats) -> tuple[Ints, Floats]:
    logits = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    return p.argmax(axis=1), p.max(axis=1)


def _draw(rng: np.random.Generator, rows: Floats) -> Ints:
    return np.asarray((rng.random(len(rows))[:, None] > rows.cumsum(axis=1)[:, :-1]).sum(axis=1))


def answer(now: World, truth: Ints, hard: NDArray[np.bool_], moves: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """One answer to each item: by whom, and what; `moves`: whether the guideline moves an item of its class."""
    rng, n = now.rng, len(truth)
    person = rng.choice(len(now.busy), size=n, p=now.busy / now.busy.sum())
    right = truth.copy()
    if now.moved is not None:
        right[(truth == now.moved[0]) & moves] = now.moved[1]
    wrong = rng.random(n) > now.skill[person] - HARDER * hard
    return person, np.where(wrong, (right + rng.integers(1, CLASSES, n)) % CLASSES, right)


class Counts:
    """What monitor counts of a period."""

    def __init__(self) -> None:
        self.predictions: dict[Dimension, dict[str, Counter[Predicted]]] = defaultdict(lambda: defaultdict(Counter))
        self.answers: dict[Dimension, dict[str, Counter[Answered]]] = defaultdict(lambda: defaultdict(Counter))
        self.gold: dict[str, Tally] = defaultdict(Tally)
        self.agreement: dict[Dimension, dict[str, Tally]] = defaultdict(lambda: defaultdict(Tally))

    def add(self, now: World, n: int) -> None:
        """n items, and what people answer to them and to gold."""
        e = events(now, n)
        said = [Predicted(str(s), band(c)) for s, c in zip(e["said"], e["confidence"], strict=True)]
        keys = [
            {Dimension.MODEL: e["names"][v], Dimension.SOURCE: f"s{s}", Dimension.CLIENT: f"c{c}"}
            for v, s, c in zip(e["version"], e["source"], e["client"], strict=True)
        ]
        for one, key in zip(said, keys, strict=True):
            for dimension, value in key.items():
                self.predictions[dimension][value][one] += 1
        asked = np.flatnonzero((e["confidence"] < ASKED_BELOW) | (now.rng.random(n) < AUDITED))
        moves = now.rng.random(n) < (now.moved[2] if now.moved else 0.0)
        both = [answer(now, e["truth"][asked], e["hard"][asked], moves[asked]) for _ in range(2)]
        twice = (now.rng.random(len(asked)) < TWICE) & (both[0][0] != both[1][0])
        for place, item in enumerate(asked):
            given = [(f"a{person[place]}", str(symbol[place])) for person, symbol in both[: 1 + twice[place]]]
            self._answered(said[item], keys[item] | {Dimension.GUIDELINE: now.guideline}, given)
        self._gold(now, int(GOLD * len(asked) * (1 + TWICE)))

    def _answered(self, said: Predicted, key: dict[Dimension, str], given: list[tuple[str, str]]) -> None:
        for who, symbol in given:
            for dimension, value in (key | {Dimension.ANNOTATOR: who}).items():
                self.answers[dimension][value][Answered(said, symbol)] += 1
            if len(given) > 1:
                same = given[0][1] == given[1][1]
                for dimension, value in ((Dimension.ANNOTATOR, who), (Dimension.SOURCE, key[Dimension.SOURCE])):
                    self.agreement[dimension][value] = self.agreement[dimension][value].plus(Tally(same, not same))

    def _gold(self, now: World, n: int) -> None:
        """Gold of before the change; a tenth of it is hard."""
        truth = _draw(now.rng, np.tile(P0, (n, 1)))
        moves = now.rng.random(n) < (now.moved[2] if now.moved else 0.0)
        person, symbol = answer(now, truth, now.rng.random(n) < HARD_GOLD, moves)
        for who, right in zip(person, symbol == truth, strict=True):
            self.gold[f"a{who}"] = self.gold[f"a{who}"].plus(Tally(int(right), int(not right)))


def counted(parts: list[tuple[World, int]]) -> Period:
    """What monitor counts of a period; of two worlds where its border is off."""
    found = Counts()
    for now, n in parts:
        if n > 0:
            found.add(now, n)
    return Period(found.predictions, found.answers, found.gold, found.agreement)


def case(signature: Signature, seed: int) -> Case:
    """One run."""
    rng = np.random.default_rng([seed, list(Signature).index(signature)])
    before = world(rng)
    now = World(**{**vars(before), "biases": dict(before.biases), "rollout": dict(before.rollout), "tilt": {}})
    now.skill, now.mixes = before.skill.copy(), before.mixes.copy()
    innocents(now)
    dimension, values = harm(signature, now, before)
    off = int(rng.integers(-BORDER, BORDER + 1))
    early, late = max(off, 0), max(-off, 0)
    return Case(
        counted([(before, ITEMS - late), (now, late)]),
        counted([(before, early), (now, ITEMS - early)]),
        signature, dimension, values,
    )  # fmt: skip
