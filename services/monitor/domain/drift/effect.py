"""How much moved: the posterior of the shares since a change, beside that of the reference."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift.reference import Reference

Floats = NDArray[np.float64]
DRAWS = 4000
SEED = 20_260_101
"""Fixed: the same counts always give the same interval."""


class Shift(NamedTuple):
    """How the share of a symbol moved, with a 95 % credible interval of the difference."""

    symbol: str
    before: float
    after: float
    delta: float
    low: float
    high: float


class Effect(NamedTuple):
    """Total variation distance with a 95 % credible interval, and the symbols by the size of their shift."""

    tvd: float
    low: float
    high: float
    shifts: tuple[Shift, ...]


def effect(reference: Reference, counts: NDArray[np.int64]) -> Effect:
    """By draws from the Dirichlet posteriors of both; counts are worth 1 / inflation independent events.

    The distance is corrected for what sampling alone adds to it: noise of both samples makes equal shares look apart.

    Args:
        reference: what was.
        counts: (size,) since the change, by code; at least one event.
    """
    names, n = reference.alphabet.names, max(int(counts.sum()), 1)
    before, after = reference.counts / max(reference.n, 1), counts / n
    generator = np.random.default_rng(SEED)
    then = generator.dirichlet(reference.counts / reference.inflation + 0.5 / len(names), DRAWS)
    now = generator.dirichlet(counts / reference.inflation + 0.5 / len(names), DRAWS)
    differences = now - then
    centre = after - before
    tvd = float(np.abs(centre).sum() / 2.0)
    distances = np.abs(differences).sum(axis=1) / 2.0
    noise = max(float(distances.mean()) - tvd, 0.0)
    lows, highs = np.quantile(differences, (0.025, 0.975), axis=0)
    low, high = (float(edge) for edge in np.quantile(distances, (0.025, 0.975)) - 2.0 * noise)
    order = np.argsort(-np.abs(centre), kind="stable")
    shifts = [
        Shift(names[k], *(float(x[k]) for x in (before, after, centre, lows, highs))) for k in order.tolist()
    ]  # fmt: skip
    estimate = max(tvd - noise, 0.0)
    return Effect(estimate, min(max(low, 0.0), estimate), max(min(high, 1.0), estimate), tuple(shifts))
