"""A recorded crowd as a stream: answers arrive one at a time, and each item is stopped when it is sure enough.

A refresh that leaves a stopped item in doubt opens it again, as the service asks for such a label anew: what arrives
for it from then on counts. What arrived while it was stopped was never looked at. By the regret all is as the service
has it: the votes have their share in a label whose posterior stays short of the target, a label is also in doubt where
another class has become likelier, an item is opened again as often as it has rounds, and the label of one that may
have no more is given anew where another class leads clearly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cli.offline.choosing import Choosing, Given, arriving
from services.qc.domain.answers import Answers, Floats, Ints
from services.qc.domain.asking import Crowd
from services.qc.domain.doubt import LEAD, MAX_ROUNDS, PATIENCE, in_doubt
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
        return again < MAX_ROUNDS - 1 and forgone > PATIENCE * self.regret

    def revises(self, shares: Sequence[float], given: Sequence[float], *, left: int, again: int) -> bool:
        """Whether the label of a stopped item is given anew, by nobody; arguments as of `doubts`.

        `shares`: what it would be labelled by now.
        """
        if self.regret is None or (left > 0 and again < MAX_ROUNDS - 1):
            return False
        return max(shares) - shares[given.index(max(given))] > LEAD


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stream came to.

    Attributes:
        posterior: (tasks, classes); what the task was labelled by when it stopped, or at the end where it never did.
        used: (tasks,); opinions taken.
        answers: those opinions.
        stream: as it stands after its last refresh.
        reopened: (tasks,); how often each was opened again after it had stopped.
    """

    posterior: Floats
    used: Ints
    answers: Answers
    stream: Stream
    reopened: Ints


class _Course:
    """How far a stream has come: which items take no more for now, and what those that do have.

    Attributes:
        stream: of the answers that were looked at.
        chosen: who is asked next; None: people come as they do.
        votes: of each item by class.
        ends: the shares that each stopped item was labelled by.
        again: how often each item was opened again.
    """

    def __init__(self, answers: Answers, rule: Rule, seed: int, *, ordered: bool) -> None:
        self._rule = rule
        self.stream, self.again = Stream(answers.classes, ordered=ordered), [0] * answers.items
        self.votes = [[0] * answers.classes for _ in self.again]
        self._most: list[int] = np.minimum(rule.most, answers.opinions).astype(int).tolist()
        self.ends: dict[int, list[float]] = {}
        self.chosen = Choosing(answers, seed, rule.prefer, self.ends) if rule.prefer > 0.0 else None
        self._crowd = self.stream.crowd(rule.prefer)

    def _left(self, item: int) -> int:
        return self._most[item] - sum(self.votes[item])

    def take(self, given: Iterable[Given]) -> None:
        """Each answer in turn; what comes for a stopped item is not looked at."""
        for item, annotator, symbol in given:
            if item in self.ends:
                continue
            posterior = self.stream.answer(item, annotator, symbol)
            self.votes[item][symbol] += 1
            used, left = sum(self.votes[item]), self._left(item)
            if self._rule.enough(posterior, self._crowd, used=used, left=left):
                sure = self._rule.regret is None or max(posterior) >= self._rule.target
                self.ends[item] = posterior if sure else self.stream.label(item, self.votes[item])
            if self.stream.due:
                self.stream.refresh()
                self.look()

    def look(self) -> bool:
        """Open again what the newest snapshot leaves in doubt, and revise what may not be; whether any was opened."""
        rule, ends = self._rule, self.ends
        self._crowd = crowd = self.stream.crowd(rule.prefer)
        if self.chosen is not None:
            self.chosen.worth = crowd.worth
        shares = self.stream.posterior().tolist()
        doubted = [
            one
            for one, given in ends.items()
            if rule.doubts(shares[one], given, crowd, left=self._left(one), again=self.again[one])
        ]
        for one in doubted:
            del ends[one]
            self.again[one] += 1
        if rule.regret is not None:
            self._revise(shares, self.stream.labels().tolist())
        return bool(doubted)

    def _revise(self, shares: Sequence[list[float]], labels: Sequence[list[float]]) -> None:
        for one, given in self.ends.items():
            now = shares[one] if max(shares[one]) >= self._rule.target else labels[one]
            if self._rule.revises(now, given, left=self._left(one), again=self.again[one]):
                self.ends[one] = now


def run(answers: Answers, rule: Rule, seed: int, *, ordered: bool = False) -> Stopped:
    """Feed the answers in an order drawn by the seed; what comes for a stopped item is never looked at.

    Where people are drawn by a regret, it ends when every label was held against a snapshot that knows all answers.

    Args:
        answers: one by each worker to a task at most.
        rule: when to stop, and who is asked.
        seed: of the order.
        ordered: the classes stand from lowest to highest.
    """
    course = _Course(answers, rule, seed, ordered=ordered)
    stream = course.stream
    course.take(arriving(answers, seed) if course.chosen is None else course.chosen)
    stream.settle()
    while rule.regret is not None and course.chosen is not None and course.look():
        course.take(course.chosen)
        stream.settle()
    shares = np.full((answers.items, answers.classes), 1.0 / answers.classes)
    open_ = stream.posterior()
    shares[: len(open_)] = open_
    for item, posterior in course.ends.items():
        shares[item] = posterior
    used_by = np.array([sum(one) for one in course.votes], dtype=np.int32)
    reopened = np.array(course.again, dtype=np.int32)
    return Stopped(shares, used_by, _taken(stream.answers(), answers), stream, reopened)


def _taken(found: Answers, recorded: Answers) -> Answers:
    """The stream's answers, with the sizes of the recording."""
    return Answers(found.item, found.annotator, found.symbol, recorded.items, recorded.annotators, recorded.classes)
