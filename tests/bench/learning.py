"""Active learning beside chance, without the services: `python -m tests.bench.learning FOLDER`.

FOLDER is what `python -m tests.bench.digits` made. The order is assignment's own (preset `active_learning`), the split
and the learner are the trainer's; labels are given 500 at a time, 1.5 % of them wrong, as people's were under these
policies. Each split of the base images is a row: model accuracy on held-out ones after each cycle of active learning,
and that of 6,000 random labels.
"""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from cli.project.presets import policy_of
from services.assignment.domain.draws import draws_of
from services.assignment.domain.guess import Guess
from services.assignment.domain.likeness import CONTENT, Likeness, Sketched
from services.assignment.domain.priority import Standpoint, priority
from services.assignment.domain.sketch import sketches_of
from services.assignment.domain.spread import Surroundings
from services.prelabel.training.work.fit import Data, choose
from services.prelabel.training.work.learners import refined
from shared.events import FeaturesContent
from shared.heldout import group_of, is_held_out
from shared.labels import Choice

CYCLE, LAST, RANDOM = 500, 2500, 6000
WRONG, CLASSES, SHARE = 0.015, 10, 0.2
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Floats = NDArray[np.float64]
Said = tuple[Floats, Floats] | None
"""Confidence and margin of each item; None before the first model."""


class Pool:
    """All items, and one split of them."""

    def __init__(self, folder: Path, seed: str) -> None:
        lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
        with (folder / "truth.csv").open(newline="") as file:
            truth = {row["task"]: int(row["label"]) for row in csv.DictReader(file)}
        self.table = np.array([line["features"] for line in lines])
        self.truth = np.array([truth[line["task"]] for line in lines])
        self.groups = np.array([group_of(line["group"], "") for line in lines], dtype=object)
        self.held = np.array([is_held_out(seed, group, SHARE) for group in self.groups])
        self.draws = [draws_of(seed, line["task"]) for line in lines]
        draw = np.random.default_rng(sum(map(ord, seed)))
        other = (self.truth + draw.integers(1, CLASSES, len(lines))) % CLASSES
        self.labels = np.where(draw.random(len(lines)) < WRONG, other, self.truth)

    def learn(self, labelled: NDArray[np.bool_]) -> tuple[float, Said]:
        """A model of what is labelled and not held out: its accuracy on what is, and what it says of all."""
        rows = np.flatnonzero(labelled & ~self.held)
        scale = self.table[rows].std(axis=0)
        scale[scale < 1e-12] = 1.0
        table = (self.table - self.table[rows].mean(axis=0)) / scale
        data = Data(
            table[rows], self.labels[rows], np.ones(len(rows)), self.groups[rows], tuple(map(str, range(CLASSES)))
        )
        learner, _, temperature = choose(data, [refined(data.table, 1.5, 30.0, scale)], 0)
        logits = learner.fit(data.table, data.answers, data.weights, 0).logits(table)
        top = np.sort(softmax(logits / temperature, axis=1), axis=1)[:, -2:]
        right = logits.argmax(axis=1)[self.held] == self.truth[self.held]
        return float(right.mean()), (top[:, 1], top[:, 1] - top[:, 0])


def by_worth(pool: Pool) -> Callable[[Said], Floats]:
    """The scores that assignment gives under the preset."""
    order = policy_of("active_learning").order
    around, spreads = Surroundings(), []
    contents = [FeaturesContent(features=tuple(row)) for row in pool.table.tolist()]
    for place, sketch in enumerate(sketches_of(contents)):
        near = Likeness(Sketched(CONTENT, sketch), None) if sketch is not None else None
        spreads.append(around.spread(place, near, order))

    def scores(said: Said) -> Floats:
        found = []
        for place, (draws, spread) in enumerate(zip(pool.draws, spreads, strict=True)):
            guess = None
            if said is not None:
                guess = Guess(
                    value=Choice(choice="0"), confidence=float(said[0][place]), margin=float(said[1][place]),
                    held_out=bool(pool.held[place]), predicted_at=NOW,
                )  # fmt: skip
            found.append(priority(guess, NOW, at=Standpoint(order, draws, {}, spread)))
        return np.array(found)

    return scores


def by_chance(pool: Pool) -> Callable[[Said], Floats]:
    """A draw of each item's own, whatever is said of it."""
    drawn = np.array([draws.order for draws in pool.draws])
    return lambda _: drawn


def curve(pool: Pool, scores: Callable[[Said], Floats], ends: set[int]) -> list[float]:
    """Model accuracy at so many labels."""
    labelled, said, found = np.zeros(len(pool.truth), dtype=bool), None, []
    for labels in range(CYCLE, max(ends) + 1, CYCLE):
        order: NDArray[Any] = np.argsort(-np.where(labelled, -np.inf, scores(said)), kind="stable")
        labelled[order[:CYCLE]] = True
        if labels in ends:
            accuracy, said = pool.learn(labelled)
            found.append(accuracy)
    return found


def main(
    folder: Annotated[Path, typer.Argument(help="Of the digits.")],
    splits: Annotated[int, typer.Option(min=1, help="Splits of the base images.")] = 4,
) -> None:
    """Print a row for each split."""
    typer.echo(f"labels {' '.join(f'{n:5}' for n in range(CYCLE, LAST + 1, CYCLE))} | random {RANDOM}")
    with threadpool_limits(1):
        for split in range(splits):
            pool = Pool(folder, f"split{split}")
            active = curve(pool, by_worth(pool), set(range(CYCLE, LAST + 1, CYCLE)))
            (random,) = curve(pool, by_chance(pool), {RANDOM})
            typer.echo(f"split {split} {' '.join(f'{one:.3f}' for one in active)} | {random:.3f}")


if __name__ == "__main__":
    typer.run(main)
