"""A snapshot as columns ready to be added up: what each answer says about each class, for one list of classes.

The service and the offline stream take their columns and the posterior from here, and the batch fits the same model:
one engine. A column is made the first time it is asked for: O(classes squared) a person, once a snapshot.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.asking import MOST, Crowd, crowd_of
from services.qc.domain.calibration import TEMPERATURES
from services.qc.domain.counts import MILLS, Cell, Confusion, Parameters
from services.qc.domain.em import Kinds, class_logs, softmax
from services.qc.domain.models import ONE_COIN, ORDERED, TWO_LEVELS, Method
from services.qc.domain.ordinal import ordinal_columns
from services.qc.domain.rows import TINY, Expect, Priors, columns, crowd_accuracy, expected_columns
from services.qc.domain.subtypes import KINDS, kind_columns, kind_logs

MODELS: Mapping[str, Expect] = {TWO_LEVELS: expected_columns, ORDERED: ordinal_columns}
FIXED = {Method.ONE_COIN: ONE_COIN, Method.DAWID_SKENE: TWO_LEVELS, Method.ORDINAL: ORDERED}
"""What a model assumes about people. One coin has no cells, so that it needs none for a thousand classes."""
ROOM = 4_000_000
"""Numbers kept in memory per table, at most."""
RAREST = 1e-6
"""What a prediction that excludes a class is taken to mean by that."""

Column = Sequence[float]


def temperature_of(heard: Sequence[float]) -> float:
    """The mean of the temperatures that are still possible; without evidence half way."""
    logs = np.array(heard) if heard else np.zeros(len(TEMPERATURES))
    return float(softmax(logs) @ TEMPERATURES)


def log_columns(counts: Floats, priors: Priors, expect: Expect, crowd: Floats) -> Floats:
    """Log P(answered | truth); (annotators, answered, truth), as `counts` are.

    Args:
        counts: answers by truth.
        priors: with the strengths.
        expect: what the model assumes.
        crowd: counts of all annotators together, (answered, truth).
    """
    found: Floats = np.log(np.maximum(columns(counts, expect(counts, priors, crowd), priors.row_answers), TINY))
    return found


def soften(scores: Sequence[float]) -> list[float]:
    """Scores to probabilities; added up exactly, so that the order of what made them does not matter."""
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    mass = math.fsum(shares)
    return [share / mass for share in shares]


def by_class(column: Column, prior: Column, kinds: int) -> Column:
    """A column by class alone: kinds weigh as they are frequent; `prior` and `column` are (classes * kinds,)."""
    if kinds == 1:
        return column
    mass = [math.exp(one) for one in prior]
    both = [one * math.exp(log) for one, log in zip(mass, column, strict=True)]
    starts = range(0, len(mass), kinds)
    return [math.log(math.fsum(both[at : at + kinds]) / math.fsum(mass[at : at + kinds])) for at in starts]


class Table:
    """Columns by annotator and symbol.

    Attributes:
        classes: of the scale.
        kinds: of items in each class, which stand side by side in `prior` and in a column; 1: there is one.
        prior: (classes * kinds,); log P(class and kind).
        temperature: the exponent of the likelihood; only the default is calmed.
        method: what the columns are for.
    """

    def __init__(self, parameters: Parameters, classes: tuple[str, ...], method: Method) -> None:
        learned = parameters.learned
        self.method = method
        self.classes = classes
        self._place = {name: index for index, name in enumerate(classes)}
        self._people = parameters.annotators
        self._priors = replace(Priors(), own_answers=learned.own_answers, row_answers=learned.row_answers)
        self._expect = MODELS.get(FIXED.get(method, learned.model))
        self._crowd = self._dense(parameters.crowd.cells)
        self.kinds = KINDS if learned.hard and self._expect is not None and method is Method.DEFAULT else 1
        mass = np.array([learned.mass.get(name, 0) / MILLS for name in classes])
        if self.kinds > 1:
            hard = np.array([learned.hard.get(name, 0) / MILLS for name in classes])
            by_kind = Kinds(np.zeros(0), np.stack([mass - hard, hard], axis=1).reshape(-1))
            self.prior: Column = kind_logs(by_kind, self._priors).tolist()
        else:
            self.prior = class_logs(mass, self._priors).tolist()
        self.temperature = temperature_of(learned.heard) if method is Method.DEFAULT else 1.0
        self._prediction_weight = learned.prediction_weight
        self._known: dict[str, list[Column]] = {}
        self._crowds: dict[float, Crowd] = {}
        self._accuracy = crowd_accuracy(self._crowd, self._priors)

    def _dense(self, cells: Mapping[Cell, float]) -> Floats:
        found = np.zeros((len(self.classes), len(self.classes)))
        for (truth, answered), weight in cells.items():
            if truth in self._place and answered in self._place:
                found[self._place[answered], self._place[truth]] += weight
        return found

    def _own(self, annotator_id: str) -> float:
        """The annotator's accuracy, shrunk to the crowd's."""
        own, strength = self._people.get(annotator_id), self._priors.own_answers
        total, correct = (0.0, 0.0) if own is None else (own.total, own.correct)
        return (correct + strength * self._accuracy) / (total + strength)

    def _one_coin(self, accuracy: float, answered: int) -> Column:
        found = [math.log(max((1.0 - accuracy) / (len(self.classes) - 1), TINY))] * len(self.classes)
        found[answered] = math.log(max(accuracy, TINY))
        return found

    def _vote(self, annotator_id: str, answered: int) -> Column:
        """A vote for a class; weighted ones weigh K * accuracy - 1, as those of the batch."""
        found = [0.0] * len(self.classes)
        weight = len(self.classes) * self._own(annotator_id) - 1.0
        found[answered] = 1.0 if self.method is Method.MAJORITY else max(weight, TINY)
        return found

    def column(self, annotator_id: str, symbol: str) -> Column:
        """What this annotator's answer says of each class: log P(symbol | class), or a vote.

        A stranger answers as the crowd does. A symbol that is no class of the scale says nothing.
        """
        answered = self._place.get(symbol)
        if answered is None:
            return [0.0] * len(self.prior)
        if self.method.votes:
            return self._vote(annotator_id, answered)
        if self._expect is None:
            return self._one_coin(self._own(annotator_id), answered)
        name = annotator_id if annotator_id in self._people else ""
        found = self._known.get(name)
        if found is None:
            if len(self._known) * len(self.classes) ** 2 > ROOM:
                self._known.clear()
            found = self._known[name] = self._columns(self._people.get(name) or Confusion())
        return found[answered]

    def _columns(self, own: Confusion) -> list[Column]:
        """(answered, classes * kinds)."""
        counts = self._dense(own.cells)[None]
        if self._expect is None or self.kinds == 1:
            expect = self._expect or expected_columns
            plain: list[Column] = log_columns(counts, self._priors, expect, self._crowd)[0].tolist()
            return plain
        hard = self._dense(own.hard)[None]
        by_kind = np.stack([counts - hard, hard], axis=3).reshape(1, len(self.classes), -1)
        expected = self._expect(counts, self._priors, self._crowd)
        found: list[Column] = kind_columns(by_kind, expected, self._priors.row_answers)[0].tolist()
        return found

    def posterior(
        self, told: Sequence[Column], prediction: Mapping[str, float] | None = None, temperature: float | None = None
    ) -> list[float]:
        """P(class | answers with these columns), or vote shares; (classes,). The order of the answers changes no bit.

        Args:
            told: columns.
            prediction: class -> probability; a model's opinion, which the people did not see.
            temperature: absent: the table's own.
        """
        summed = [math.fsum(one[place] for one in told) for place in range(len(self.prior))]
        if self.method.votes:
            mass = math.fsum(summed)
            return [one / mass if mass > 0.0 else 1.0 / len(summed) for one in summed]
        heat, weight = self.temperature if temperature is None else temperature, self._prediction_weight
        scores = [start + heat * one for start, one in zip(self.prior, summed, strict=True)]
        if prediction is not None and weight > 0.0:
            heard = [weight * math.log(max(prediction.get(name, 0.0), RAREST)) for name in self.classes]
            scores = [one + heard[place // self.kinds] for place, one in enumerate(scores)]
        return self._by_class(soften(scores))

    def settled(
        self, told: Sequence[Column], symbols: Sequence[str], prediction: Mapping[str, float] | None = None
    ) -> list[float]:
        """The shares by which an item is labelled that no posterior settles, as the batch's; arguments as `posterior`.

        Half of them the calmed posterior, half the vote share: on real crowds that knows something which no model of
        independent answers does. A lone answer has no share to speak of.
        """
        model = self.posterior(told, prediction, temperature=1.0)
        raised = soften([self.temperature * math.log(max(one, TINY)) for one in model])
        calmed = [(one + other) / 2.0 for one, other in zip(model, raised, strict=True)]
        votes = [symbols.count(name) for name in self.classes]
        number = sum(votes)
        if number <= 1:
            return calmed
        return [(share + vote / number) / 2.0 for share, vote in zip(calmed, votes, strict=True)]

    def _by_class(self, shares: list[float]) -> list[float]:
        if self.kinds == 1:
            return shares
        return [math.fsum(shares[place : place + self.kinds]) for place in range(0, len(shares), self.kinds)]

    def stranger(self) -> list[Column]:
        """What each answer of somebody new would add to the scores; (answered, truth)."""
        told = (by_class(self.column("", name), self.prior, self.kinds) for name in self.classes)
        return [[self.temperature * one for one in column] for column in told]

    def crowd(self, prefer: float) -> Crowd:
        """Who could be asked, where they are drawn by their worth to this power; before anybody is known: strangers."""
        found = self._crowds.get(prefer)
        if found is None:
            found = self._crowds[prefer] = self._known_crowd(prefer)
        return found

    def _known_crowd(self, prefer: float) -> Crowd:
        known = {name: one.total for name, one in self._people.items() if one.total > 0.0}
        if not known or self.method.votes:
            return Crowd(self.stranger())
        names = sorted(known, key=lambda name: (-known[name], name))[:MOST]
        logs = [[by_class(self.column(who, name), self.prior, self.kinds) for name in self.classes] for who in names]
        prior = np.array(self._by_class(soften(self.prior)))
        answers = np.array([known[name] for name in names])
        return crowd_of(names, np.array(logs), prior, answers, heat=self.temperature, prefer=prefer)


def table_of(parameters: Parameters, classes: tuple[str, ...], method: Method = Method.DEFAULT) -> Table:
    """The table of a snapshot for a list of classes; made once."""
    table: Table | None = parameters.tables.get((classes, method))
    if table is None:
        table = parameters.tables[classes, method] = Table(parameters, classes, method)
    return table
