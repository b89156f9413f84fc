"""How a label judges the answers of its item, in integers: what is counted about annotators."""

import math
from collections.abc import Mapping

from services.qc.domain.counts import ANY, EQUAL, MILLS, OTHER, Cell
from services.qc.domain.scale import Kind


def weights_of(distribution: Mapping[str, float] | None, symbol: str) -> dict[str, int]:
    """A label's posterior in mills, the fact by which its answers are judged; all on `symbol` where it has none.

    What the distribution leaves to values that nobody gave is under the empty name. What rounds to nothing goes to the
    decided value, so the mills of a label always add up to 1000.
    """
    shares = dict(distribution or {symbol: 1.0})
    shares[ANY] = max(1.0 - math.fsum(shares.values()), 0.0)
    mills = {name: round(share * MILLS) for name, share in sorted(shares.items()) if name != symbol}
    kept = {name: weight for name, weight in mills.items() if weight > 0}
    return {symbol: max(MILLS - sum(kept.values()), 0), **kept}


def judge(
    symbol: str, truth: str, weights: Mapping[str, int], kind: Kind, *, near: bool
) -> dict[Cell, tuple[int, int]]:
    """The cells that one judged answer adds to: (truth, answered) -> (answers, mills).

    Of a fused label these say whether the answer is near as a whole; `fusing.judged` says what of it is right.

    Args:
        symbol: what was answered.
        truth: what the label says.
        weights: the label's posterior in mills.
        kind: on a closed scale confusions are kept; on the others only equal or not.
        near: on a numeric or fused scale, whether the answer is within the tolerance of the label.
    """
    if kind is Kind.CLOSED:
        return {(name, symbol): (int(name == truth), weight) for name, weight in weights.items()}
    if kind in (Kind.NUMERIC, Kind.FUSED):
        return {(ANY, EQUAL if near else OTHER): (1, MILLS)}
    equal = weights.get(symbol, 0)
    cells = {(ANY, EQUAL): (int(symbol == truth), equal), (ANY, OTHER): (int(symbol != truth), MILLS - equal)}
    return {cell: found for cell, found in cells.items() if any(found)}
