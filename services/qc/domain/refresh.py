"""The scheduled refresh: from the recent answers of a project to the counts and parameters of its next snapshot.

A pure function of the answers, the gold counts and the snapshot before. The snapshot before only says how well its
temperatures predicted what came after it; the fit starts from the votes, so nothing believed early in error lasts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from services.qc.domain.answers import Answers, Floats, Ints
from services.qc.domain.calibration import TEMPERATURES, heard_by
from services.qc.domain.counts import MILLS, CellCount, Learned, Parameters, Source
from services.qc.domain.em import Fitted
from services.qc.domain.methods import fit_by, with_predictions
from services.qc.domain.models import ONE_COIN, Method
from services.qc.domain.scale import Scale
from services.qc.domain.subtypes import KINDS
from services.qc.domain.table import table_of

DIGITS = 3
GOLD = 2.0
"""One gold answer is worth this many others."""
CELLS_AT_MOST = 4_000_000
"""People times classes squared that a batch is fitted to; above, people differ in their accuracy only."""


class Given(NamedTuple):
    """One answer: of whom to what, when in the order of arrival; the truth where an expert said it.

    `blind`: the person did not see the prediction, which is then in `predicted`, as JSON of class to probability.
    """

    item_id: str
    annotator_id: str
    symbol: str
    seq: int
    known: str | None = None
    blind: bool = False
    predicted: str | None = None
    round: int = 1
    guideline: int = 0
    slice: str | None = None


def fits(people: int, scale: Scale) -> bool:
    """Whether a batch of so many people has room for their confusions."""
    return people * scale.size**2 <= CELLS_AT_MOST


def counted_only(mass: Mapping[str, int]) -> Learned:
    """What goes with stored counts where no batch is fitted; `mass`: class -> answers given."""
    return Learned(model=ONE_COIN, mass={name: n * MILLS for name, n in mass.items()})


def _heard(answers: Answers, seq: Sequence[int], columns: Floats, before: Parameters, prior: Sequence[float]) -> Floats:
    """How likely each temperature makes the answers since the snapshot before, given those before them.

    A prediction is made by the snapshot that was there, and each once: that some items were stopped early biases none.
    """
    known = np.array(before.learned.heard or (0.0,) * len(TEMPERATURES))
    summed = np.cumsum(columns, axis=0) - columns
    starts = np.zeros(answers.items, dtype=np.int64)
    items, first = np.unique(answers.item, return_index=True)
    starts[items] = first
    start = starts[answers.item]
    new = (np.array(seq) > before.learned.through) & (np.arange(len(answers)) > start)
    if not new.any():
        return known
    earlier = (summed - summed[start])[new]
    found: Floats = known + heard_by(earlier, columns[new], np.array(prior))
    return found


def _gold_counts(gold: Iterable[CellCount], people: Mapping[str, int], classes: Mapping[str, int]) -> Floats:
    found = np.zeros((len(people), len(classes), len(classes)))
    for cell in gold:
        if cell.truth in classes and cell.answered in classes:
            found[people[cell.annotator_id], classes[cell.answered], classes[cell.truth]] += GOLD * cell.weight / MILLS
    return found


def _cells(fitted: Fitted, beside: Floats, people: Sequence[str], classes: Sequence[str]) -> list[CellCount]:
    if fitted.kinds is None:
        return _cells_of(fitted.counts - beside, Source.FITTED, people, classes)
    usual, hard = (fitted.kinds.counts[:, :, kind::KINDS] for kind in range(KINDS))
    cells = _cells_of(usual - beside, Source.FITTED, people, classes)
    return cells + _cells_of(hard, Source.HARD, people, classes)


def _cells_of(counts: Floats, source: Source, people: Sequence[str], classes: Sequence[str]) -> list[CellCount]:
    mills = np.rint(counts * MILLS).astype(np.int64)
    places = zip(*(axis.tolist() for axis in np.nonzero(mills)), strict=True)
    return [
        CellCount(people[w], classes[truth], classes[answered], source, 0, int(mills[w, answered, truth]))
        for w, answered, truth in places
    ]


def _by_class(mass: Floats, classes: Sequence[str]) -> dict[str, int]:
    return {name: round(float(share) * MILLS) for name, share in zip(classes, mass, strict=True)}


def _indexed(rows: Sequence[Given], people: Mapping[str, int], classes: Mapping[str, int]) -> tuple[Answers, Ints]:
    """Rows as arrays, in their order; and the known truth of each item, -1 where there is none."""
    items = {name: index for index, name in enumerate(dict.fromkeys(row.item_id for row in rows))}
    known = np.full(len(items), -1, dtype=np.int32)
    for row in rows:
        if row.known is not None and row.known in classes:
            known[items[row.item_id]] = classes[row.known]
    columns = (
        np.array([items[row.item_id] for row in rows], dtype=np.int32),
        np.array([people[row.annotator_id] for row in rows], dtype=np.int32),
        np.array([classes[row.symbol] for row in rows], dtype=np.int32),
    )
    return Answers(*columns, len(items), len(people), len(classes)), known


def _predictions(rows: Sequence[Given], classes: Sequence[str]) -> Floats | None:
    """(items, classes); even where an item has none, or somebody saw it: it is in their answers already."""
    items: dict[str, str | None] = {}
    for row in rows:
        items[row.item_id] = row.predicted if row.blind and items.get(row.item_id, "") is not None else None
    if not any(items.values()):
        return None
    found = np.full((len(items), len(classes)), 1.0 / len(classes))
    for place, text in enumerate(items.values()):
        if text:
            shares = json.loads(text)
            found[place] = [shares.get(name, 0.0) for name in classes]
    return found


def refresh(
    given: Sequence[Given],
    gold: Sequence[CellCount],
    scale: Scale,
    before: Parameters,
    method: Method = Method.DEFAULT,
    *,
    predictions: bool = False,
) -> tuple[list[CellCount], Learned]:
    """The next snapshot of a project on a closed scale.

    Args:
        given: answers, none of them gold or by an expert, at most one by one person to one item; sorted by item and
            then by arrival.
        gold: stored counts, of which those of gold answers are used.
        scale: of the project; an answer that is none of its classes is left out.
        before: the snapshot before.
        method: of the project.
        predictions: whether the model's count as one more opinion.

    Returns:
        Its cells, gold among them, and what was learned beside them.
    """
    place = {name: index for index, name in enumerate(scale.classes)}
    rows = [row for row in given if row.symbol in place]
    judged = [cell for cell in gold if cell.source is Source.GOLD]
    if not rows:
        return judged, before.learned
    names = sorted({row.annotator_id for row in rows} | {cell.annotator_id for cell in judged})
    people = {name: index for index, name in enumerate(names)}
    answers, known = _indexed(rows, people, place)
    beside = _gold_counts(judged, people, place)
    fitted, model = fit_by(method, answers, known, ordered=scale.ordered, beside=beside)
    weight, said = 0.0, _predictions(rows, scale.classes) if predictions and not method.votes else None
    if said is not None:
        fitted, weight = with_predictions(answers, fitted, said, known, beside)
    table = table_of(before, scale.classes)
    told = np.array([table.column(row.annotator_id, row.symbol) for row in rows]).reshape(-1, len(table.prior))
    heard = _heard(answers, [row.seq for row in rows], told, before, table.prior)
    learned = Learned(
        model=model,
        own_answers=fitted.priors.own_answers,
        row_answers=fitted.priors.row_answers,
        heard=tuple(round(float(one - heard.max()), DIGITS) for one in heard),
        through=max((row.seq for row in rows), default=before.learned.through),
        mass=_by_class(fitted.mass, scale.classes),
        prediction_weight=weight,
        hard={} if fitted.kinds is None else _by_class(fitted.kinds.mass[1::KINDS], scale.classes),
    )
    return _cells(fitted, beside, names, scale.classes) + judged, learned
