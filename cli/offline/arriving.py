"""A recorded crowd as a stream: answers arrive one at a time, and each item is stopped when it is sure enough.

A refresh that leaves a stopped item in doubt opens it again, as the service asks for such a label anew: what arrives
for it from then on counts. What arrived while it was stopped was never looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cli.offline.choosing import Choosing, arriving
from services.qc.domain.answers import Answers, Floats, Ints
from services.qc.domain.asking import Crowd
from services.qc.domain.doubt import SLACK, in_doubt
from services.qc.domain.stream import Stream
from services.qc.domain.worth import gain


@dataclass(frozen=True, slots=True)
class Rule:
    """When an item stops: at this posterior from `least` opinions on, and at `most`, or all recorded, whatever it is.

    `regret`: in place of the posterior, where all opinions up to `most` would raise the chance of a right label by no
    more. `prefer`: people are not taken as they come, but drawn by what their opinions tell, to this power.
    """

    target: float
    least: int
    most: int
    regret: float | None = None
    prefer: float = 0.0

    def enough(self, posterior: Sequence[float], crowd: Crowd, *, used: int, left: int) -> bool:
        """Whether to stop, where so many more opinions may come."""
        if left <= 0:
            return True
        if used < self.least:
            return False
        if self.regret is None:
            return max(posterior) >= self.target
        return gain(posterior, crowd.expected, left) <= self.regret

    def doubts(self, posterior: Sequence[float], crowd: Crowd, *, left: int) -> bool:
        """Whether a stopped item may have more opinions and would clearly not be stopped now."""
        if left <= 0:
            return False
        if self.regret is None:
            return in_doubt(max(posterior), self.target)
        return gain(posterior, crowd.expected, left) > SLACK * self.regret


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
        rule: when to stop, and who is asked.
        seed: of the order.
        ordered: the classes stand from lowest to highest.
    """
    stream, used, reopened = Stream(answers.classes, ordered=ordered), [0] * answers.items, 0
    most: list[int] = np.minimum(rule.most, answers.opinions).astype(int).tolist()
    ends: dict[int, list[float]] = {}
    chosen = Choosing(answers, seed, rule.prefer, ends) if rule.prefer > 0.0 else None
    crowd = stream.crowd(rule.prefer)
    for item, annotator, symbol in arriving(answers, seed) if chosen is None else chosen:
        if item in ends:
            continue
        posterior = stream.answer(item, annotator, symbol)
        used[item] += 1
        if rule.enough(posterior, crowd, used=used[item], left=most[item] - used[item]):
            ends[item] = posterior
        if stream.due:
            stream.refresh()
            crowd = stream.crowd(rule.prefer)
            if chosen is not None:
                chosen.worth = crowd.worth
            shares = stream.posterior().tolist()
            for doubted in [one for one in ends if rule.doubts(shares[one], crowd, left=most[one] - used[one])]:
                del ends[doubted]
                reopened += 1
    stream.settle()
    shares = np.full((answers.items, answers.classes), 1.0 / answers.classes)
    open_ = stream.posterior()
    shares[: len(open_)] = open_
    for item, posterior in ends.items():
        shares[item] = posterior
    return Stopped(shares, np.array(used, dtype=np.int32), _taken(stream.answers(), answers), stream, reopened)


def _taken(found: Answers, recorded: Answers) -> Answers:
    """The stream's answers, with the sizes of the recording."""
    return Answers(found.item, found.annotator, found.symbol, recorded.items, recorded.annotators, recorded.classes)
