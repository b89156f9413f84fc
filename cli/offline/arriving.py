"""A recorded crowd as a stream: answers arrive one at a time, and each item is stopped when it is sure enough.

A refresh that leaves a stopped item in doubt opens it again, as the service asks for such a label anew: what arrives
for it from then on counts. What arrived while it was stopped was never looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Answers, Floats, Ints
from services.qc.domain.doubt import in_doubt
from services.qc.domain.stream import Stream


@dataclass(frozen=True, slots=True)
class Rule:
    """When an item stops: at this posterior from `least` opinions on, and at `most` whatever it is."""

    target: float
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stream came to.

    Attributes:
        posterior: (tasks, classes); when the task stopped, or at the end where it never did.
        used: (tasks,); opinions taken.
        answers: those opinions.
        stream: as it stands after its last refresh.
        reopened: how often a stopped task was opened again.
    """

    posterior: Floats
    used: Ints
    answers: Answers
    stream: Stream
    reopened: int


def run(answers: Answers, rule: Rule, seed: int, *, ordered: bool = False) -> Stopped:
    """Feed the answers in an order drawn by the seed; what comes for a stopped item is never looked at.

    Args:
        answers: one by each worker to a task at most.
        rule: when to stop.
        seed: of the order.
        ordered: the classes stand from lowest to highest.
    """
    stream, used, reopened = Stream(answers.classes, ordered=ordered), [0] * answers.items, 0
    ends: dict[int, list[float]] = {}
    order = np.random.default_rng(seed).permutation(len(answers))
    columns = (column[order].tolist() for column in (answers.item, answers.annotator, answers.symbol))
    for item, annotator, symbol in zip(*columns, strict=True):
        if item in ends:
            continue
        posterior = stream.answer(item, annotator, symbol)
        used[item] += 1
        if used[item] >= rule.most or (used[item] >= rule.least and max(posterior) >= rule.target):
            ends[item] = posterior
        if stream.due:
            stream.refresh()
            for doubted in _doubted(stream, ends, used, rule):
                del ends[doubted]
                reopened += 1
    stream.settle()
    shares = np.full((answers.items, answers.classes), 1.0 / answers.classes)
    open_ = stream.posterior()
    shares[: len(open_)] = open_
    for item, posterior in ends.items():
        shares[item] = posterior
    return Stopped(shares, np.array(used, dtype=np.int32), _taken(stream.answers(), answers), stream, reopened)


def _doubted(stream: Stream, ends: Mapping[int, list[float]], used: Sequence[int], rule: Rule) -> list[int]:
    """The stopped items that may have more opinions and would not be stopped now."""
    best = stream.posterior().max(axis=1, initial=0.0)
    return [item for item in ends if used[item] < rule.most and in_doubt(float(best[item]), rule.target)]


def _taken(found: Answers, recorded: Answers) -> Answers:
    """The stream's answers, with the sizes of the recording."""
    return Answers(found.item, found.annotator, found.symbol, recorded.items, recorded.annotators, recorded.classes)
