"""A recorded crowd as a stream: answers arrive one at a time, and each item is stopped when it is sure enough.

A refresh that leaves a stopped item in doubt opens it again, as the service asks for such a label anew: what arrives
for it from then on counts. What arrived while it was stopped was never looked at. By the regret all is as the service
has it: the votes have their share in a label whose posterior stays short of the target, a label is also in doubt where
another class has become likelier, and an item is opened again as often as it has rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cli.offline.choosing import Choosing, arriving
from services.qc.domain.answers import Answers, Floats, Ints
from services.qc.domain.asking import Crowd
from services.qc.domain.doubt import MAX_ROUNDS, SLACK, in_doubt
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

    def doubts(
        self, posterior: Sequence[float], given: Sequence[float], crowd: Crowd, *, left: int, again: int
    ) -> bool:
        """Whether a stopped item may have more opinions and would clearly not be stopped now.

        Args:
            posterior: as it stands now.
            given: the shares that it was labelled by.
            crowd: who could be asked.
            left: how many more opinions may come.
            again: how often it was opened already.
        """
        if left <= 0:
            return False
        if self.regret is None:
            return in_doubt(max(posterior), self.target)
        label = given.index(max(given))
        forgone = max(posterior) - posterior[label] + gain(posterior, crowd.expected, left)
        return again < MAX_ROUNDS - 1 and forgone > SLACK * self.regret


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stream came to.

    Attributes:
        posterior: (tasks, classes); what the task was labelled by when it stopped, or at the end where it never did.
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
    stream, again = Stream(answers.classes, ordered=ordered), [0] * answers.items
    votes = [[0] * answers.classes for _ in again]
    most: list[int] = np.minimum(rule.most, answers.opinions).astype(int).tolist()
    ends: dict[int, list[float]] = {}
    chosen = Choosing(answers, seed, rule.prefer, ends) if rule.prefer > 0.0 else None
    crowd = stream.crowd(rule.prefer)
    for item, annotator, symbol in arriving(answers, seed) if chosen is None else chosen:
        if item in ends:
            continue
        posterior = stream.answer(item, annotator, symbol)
        votes[item][symbol] += 1
        used = sum(votes[item])
        if rule.enough(posterior, crowd, used=used, left=most[item] - used):
            sure = rule.regret is None or max(posterior) >= rule.target
            ends[item] = posterior if sure else stream.label(item, votes[item])
        if stream.due:
            stream.refresh()
            crowd = stream.crowd(rule.prefer)
            if chosen is not None:
                chosen.worth = crowd.worth
            shares = stream.posterior().tolist()
            left = {one: most[one] - sum(votes[one]) for one in ends}
            for one in [i for i in ends if rule.doubts(shares[i], ends[i], crowd, left=left[i], again=again[i])]:
                del ends[one]
                again[one] += 1
    stream.settle()
    shares = np.full((answers.items, answers.classes), 1.0 / answers.classes)
    open_ = stream.posterior()
    shares[: len(open_)] = open_
    for item, posterior in ends.items():
        shares[item] = posterior
    used_by = np.array([sum(one) for one in votes], dtype=np.int32)
    return Stopped(shares, used_by, _taken(stream.answers(), answers), stream, sum(again))


def _taken(found: Answers, recorded: Answers) -> Answers:
    """The stream's answers, with the sizes of the recording."""
    return Answers(found.item, found.annotator, found.symbol, recorded.items, recorded.annotators, recorded.classes)
