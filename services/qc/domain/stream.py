"""Consensus one answer at a time: constant work per answer between refreshes, batch EM at each refresh.

An answer adds its column to its item's scores, and the change of the item's posterior to the counts of the people who
answered it: O(opinions * classes). Columns come from the newest numbered snapshot and do not change until the next one,
so a posterior is a function of the snapshot and the item's answers: the same as the service's, which takes its columns
from `table` too. Scores and columns are by class and kind of item where a snapshot has two kinds.
Source: Neal & Hinton 1998 (incremental EM).
"""

from array import array
from collections.abc import Sequence
from math import exp
from operator import add, sub

import numpy as np

from services.qc.domain.answers import Answers, Floats, answers_of
from services.qc.domain.asking import Crowd, crowd_of
from services.qc.domain.calibration import TEMPERATURES, heard_by
from services.qc.domain.counts import MILLS
from services.qc.domain.em import Fitted, Kinds, class_logs, count, fit, softmax, sum_by_item
from services.qc.domain.methods import blended, choose
from services.qc.domain.rows import Priors, expected_columns
from services.qc.domain.subtypes import KINDS, kind_columns, kind_logs
from services.qc.domain.table import by_class, log_columns, temperature_of

FIRST = 50
SCHEDULE = ((20_000, 0.1), (10**12, 0.5))
"""A refresh is due after FIRST answers, and whenever they have grown by this share: often while little is known."""
AFRESH_UNTIL = 5_000
"""Up to here a refresh starts from the votes, so that nothing wrong that was believed early can last."""
REFRESH_STEPS = 30
LATER_STEPS = 10
TWO_KINDS_GROWTH = 0.25
"""The share where items are of two kinds, which takes a whole batch every time."""

Row = list[float]


def in_mills(counts: Floats) -> Floats:
    """Counts as a snapshot keeps them: whole thousandths."""
    found: Floats = np.rint(counts * MILLS) / MILLS
    return found


class Stream:
    """The state of one project in memory: per item its answers, scores and posterior; per annotator the counts.

    Args:
        classes: how many there are.
        priors: absent: the defaults.
        ordered: the classes stand from lowest to highest.
    """

    def __init__(self, classes: int, priors: Priors | None = None, *, ordered: bool = False) -> None:
        self.classes = classes
        self._ordered = ordered
        self._kinds = 1
        self.snapshot = 0
        self.fitted: Fitted | None = None
        self.temperature = float(TEMPERATURES.mean())
        self._priors = priors or Priors()
        self._votes: list[list[Row]] = []
        self._scores: list[Row] = []
        self._posterior: list[Row] = []
        self._counts: list[list[Row]] = []
        self._arrived = (array("i"), array("i"), array("i"))
        self._refreshed = self._settled = 0
        self._pending: list[tuple[Row, Row]] = []
        self.heard = np.zeros(len(TEMPERATURES))
        none = np.zeros((1, classes, classes))
        self._columns: list[list[Row]] = []
        self._stranger: list[Row] = log_columns(none, self._priors, expected_columns, none[0])[0].tolist()
        self._prior: Row = [0.0] * classes

    def __len__(self) -> int:
        return len(self._arrived[0])

    def _grow(self, item: int, annotator: int) -> None:
        flat = 1.0 / self.classes
        while len(self._scores) <= item:
            self._votes.append([])
            self._scores.append([0.0] * len(self._prior))
            self._posterior.append([flat] * self.classes)
        while len(self._counts) <= annotator:
            self._counts.append([[0.0] * self.classes for _ in range(self.classes)])

    def answer(self, item: int, annotator: int, symbol: int) -> Row:
        """Take in an answer, at most one by one annotator to one item; the item's posterior after it.

        Args:
            item: index from 0, new ones in any order.
            annotator: index from 0.
            symbol: index of the class given.
        """
        if item >= len(self._scores) or annotator >= len(self._counts):
            self._grow(item, annotator)
        items, people, symbols = self._arrived
        items.append(item)
        people.append(annotator)
        symbols.append(symbol)
        known = self._columns
        told = known[annotator][symbol] if annotator < len(known) else self._stranger[symbol]
        earlier = self._scores[item]
        scores = self._scores[item] = list(map(add, earlier, told))
        after, cells, own = self._soft(scores), self._votes[item], self._counts[annotator][symbol]
        if cells:
            self._pending.append((earlier, told))
            change = list(map(sub, after, self._posterior[item]))
            for cell in cells:
                cell[:] = map(add, cell, change)
        own[:] = map(add, own, after)
        cells.append(own)
        self._posterior[item] = after
        return after

    def _soft(self, scores: Row) -> Row:
        heat = self.temperature
        raised = list(map(add, self._prior, [heat * one for one in scores]))
        top = max(raised)
        shares = [exp(one - top) for one in raised]
        mass = sum(shares)
        if self._kinds == 1:
            return [share / mass for share in shares]
        return [(one + other) / mass for one, other in zip(shares[::2], shares[1::2], strict=True)]

    @property
    def due(self) -> bool:
        """Whether a refresh is scheduled now."""
        growth = next(share for size, share in SCHEDULE if self._refreshed <= size)
        growth = growth if self._kinds == 1 else max(growth, TWO_KINDS_GROWTH)
        return len(self) - self._refreshed >= max(FIRST, growth * self._refreshed)

    def answers(self) -> Answers:
        """All answers so far as arrays."""
        item, annotator, symbol = (np.array(column, dtype=np.int32) for column in self._arrived)
        return answers_of(item, annotator, symbol, (len(self._scores), len(self._counts), self.classes))

    def posterior(self) -> Floats:
        """(items, classes)."""
        return np.array(self._posterior).reshape(-1, self.classes)

    def counts(self) -> Floats:
        """Answers by the posterior of their items: (annotators, answered, truth)."""
        return np.array(self._counts).reshape(-1, self.classes, self.classes)

    def _listen(self) -> None:
        """How well each temperature predicted the answers since the last refresh from those before them."""
        if not self._pending:
            return
        earlier, told = (np.array(rows) for rows in zip(*self._pending, strict=True))
        self.heard += heard_by(earlier, told, np.array(self._prior))
        self._pending.clear()

    def crowd(self, prefer: float) -> Crowd:
        """Who could be asked, by their indices; as `table.Table.crowd`."""
        if not self._columns:
            return Crowd([[self.temperature * one for one in row] for row in self._stranger])
        logs = [[by_class(row, self._prior, self._kinds) for row in one] for one in self._columns]
        prior = softmax(np.array(self._prior)).reshape(self.classes, self._kinds).sum(axis=1)
        answers = self.counts()[: len(logs)].sum(axis=(1, 2))
        names = [str(index) for index in range(len(logs))]
        return crowd_of(names, np.array(logs), prior, answers, heat=self.temperature, prefer=prefer)

    def labels(self) -> Floats:
        """The shares by which items are labelled that no posterior settles, as those of a batch; (items, classes)."""
        raised = softmax(np.array(self._prior) + np.array(self._scores).reshape(-1, len(self._prior)))
        return blended(
            raised.reshape(-1, self.classes, self._kinds).sum(axis=2), self.temperature, self.answers().votes
        )

    def label(self, item: int, votes: Sequence[int]) -> Row:
        """As `labels`, of one item; `votes`: how many it has of each class."""
        raised = softmax(np.array(self._prior) + np.array(self._scores[item]))
        model = raised.reshape(1, self.classes, self._kinds).sum(axis=2)
        found: Row = blended(model, self.temperature, np.array([votes], dtype=np.float64))[0].tolist()
        return found

    def refresh(self) -> int:
        """The scheduled refresh; the number of the new snapshot.

        The whole batch whenever answers have doubled, and always where items are of two kinds; else a fit of one kind.
        """
        if len(self) >= 2 * self._settled or self._kinds > 1:
            return self.settle()
        answers = self.answers()
        if len(self) <= AFRESH_UNTIL:
            return self._take(answers, fit(answers, steps=REFRESH_STEPS))
        return self._take(answers, fit(answers, priors=self._priors, start=self.posterior(), steps=LATER_STEPS))

    def settle(self) -> int:
        """The whole batch, from the votes, as the service's snapshots are made; the number of the new snapshot."""
        answers, self._settled = self.answers(), len(self)
        return self._take(answers, choose(answers, ordered=self._ordered)[0])

    def _take(self, answers: Answers, fitted: Fitted) -> int:
        self._listen()
        self.snapshot += 1
        self.fitted, self._priors, self._refreshed = fitted, fitted.priors, len(self)
        self.temperature = temperature_of(self.heard.tolist())
        counts = in_mills(fitted.counts)
        crowd = counts.sum(axis=0)
        people = np.concatenate([counts, np.zeros_like(counts[:1])])
        if fitted.kinds is None:
            self._kinds, prior = 1, class_logs(in_mills(fitted.mass), fitted.priors)
            logs = log_columns(people, fitted.priors, fitted.expect, crowd)
        else:
            kinds = Kinds(in_mills(fitted.kinds.counts), in_mills(fitted.kinds.mass))
            self._kinds, prior = KINDS, kind_logs(kinds, fitted.priors)
            by_kind = np.concatenate([kinds.counts, np.zeros_like(kinds.counts[:1])])
            logs = kind_columns(by_kind, fitted.expect(people, fitted.priors, crowd), fitted.priors.row_answers)
        self._prior = prior.tolist()
        *self._columns, self._stranger = logs.tolist()
        scores = sum_by_item(answers, logs[answers.annotator, answers.symbol])
        shares = softmax(prior + self.temperature * scores)
        posterior = shares.reshape(answers.items, self.classes, self._kinds).sum(axis=2)
        self._scores, self._posterior = scores.tolist(), posterior.tolist()
        for own, fresh in zip(self._counts, count(answers, posterior).tolist(), strict=True):
            for cell, values in zip(own, fresh, strict=True):
                cell[:] = values
        return self.snapshot
