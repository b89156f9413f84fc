"""What the undecided items say about their annotators, where no batch is fitted: on a scale without a list of classes.

Rounds end soonest where people agree, so the ended ones alone make everybody look better than they are, and the next
rounds end too soon. A snapshot therefore judges the answers of undecided rounds too, by the posterior under the
snapshot before it (one step of EM). These cells are part of the snapshot, not of the stored counts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from services.qc.domain.consensus import Opinion, posterior
from services.qc.domain.counts import Cell, CellCount, Parameters, Source
from services.qc.domain.judging import judge, weights_of
from services.qc.domain.scale import Kind, Scale

TWO = 2


def undecided_cells(
    rounds: Iterable[Sequence[Opinion]], scale: Scale, parameters: Parameters, *, total: int, taken: int
) -> list[CellCount]:
    """Judge the opinions of undecided rounds.

    Args:
        rounds: the opinions of each round that is looked at; one with fewer than two says nothing about people.
        scale: the project's; a numeric or fused one has no posterior over values, so nothing is judged.
        parameters: the snapshot before.
        total: how many undecided rounds there are.
        taken: how many of them are given; the weights are scaled up from these to all.

    Returns:
        Cells with weights in mills and no judged answers, as nothing is decided.
    """
    if scale.kind in (Kind.NUMERIC, Kind.FUSED) or taken == 0:
        return []
    weights: Counter[tuple[str, Cell]] = Counter()
    for opinions in rounds:
        if len(opinions) < TWO:
            continue
        shares = posterior(opinions, scale, parameters)
        best = max(shares, key=lambda symbol: (shares[symbol], symbol))
        mills = weights_of(shares, best)
        for opinion in opinions:
            for cell, (_, weight) in judge(opinion.symbol, best, mills, scale.kind, near=False).items():
                weights[opinion.annotator_id, cell] += weight
    scaled = {key: weight * total // taken for key, weight in weights.items()}
    return [CellCount(name, *cell, Source.UNDECIDED, 0, w) for (name, cell), w in sorted(scaled.items()) if w]
