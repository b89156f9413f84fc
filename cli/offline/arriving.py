"""A recorded crowd as a stream: answers arrive one at a time, and each item is stopped when it is sure enough."""

from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Answers, Floats, Ints
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
    """

    posterior: Floats
    used: Ints
    answers: Answers
    stream: Stream


def run(answers: Answers, rule: Rule, seed: int) -> Stopped:
    """Feed the answers in an order drawn by the seed; what comes for a stopped item is never looked at.

    Args:
        answers: one by each worker to a task at most.
        rule: when to stop.
        seed: of the order.
    """
    stream, used = Stream(answers.classes), [0] * answers.items
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
    stream.refresh()
    shares = np.full((answers.items, answers.classes), 1.0 / answers.classes)
    open_ = stream.posterior()
    shares[: len(open_)] = open_
    for item, posterior in ends.items():
        shares[item] = posterior
    return Stopped(shares, np.array(used, dtype=np.int32), _taken(stream.answers(), answers), stream)


def _taken(found: Answers, recorded: Answers) -> Answers:
    """The stream's answers, with the sizes of the recording."""
    return Answers(found.item, found.annotator, found.symbol, recorded.items, recorded.annotators, recorded.classes)
