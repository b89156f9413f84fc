"""What a detector looks for, and the member of the null hypothesis that is hardest to tell from each.

An alternative multiplies the odds of one symbol, or moves part of one symbol's share to another. Its likelihood ratio
is taken against its reverse information projection on the null: then E[ratio] <= 1 under every member of a convex null
(Grunwald, de Heide, Koolen: Safe Testing); for a total-variation ball this is Huber's clipped ratio (Huber 1965).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ODDS = (1 / 3, 0.7, 1.4, 3.0)
MOVED = (0.15, 0.4)
SHARES = (0.01, 0.05, 0.2)
"""Of symbols that hardly occur in the reference, in place of odds."""
TINY = 0.001
MOST = 160
NARROW = 0.005
"""Alternatives that lie within the tolerance and this are left out."""
GROUPS, BEYOND = 5, (0.05, 0.14)
"""Of symbols, which are split in two in every way; and how far beyond the tolerance these splits lie."""
MOST_TAKEN = 0.8
"""Of the share of the symbols that lose some."""
_EM_STEPS, _BISECTIONS = 200, 50


def alternatives(p: Floats) -> Floats:
    """(alternatives, symbols) distributions to look for around `p`, which has no zeros; at most about 160."""
    found = []
    common = [k for k in range(len(p)) if p[k] >= TINY]
    for k in range(len(p)):
        if p[k] >= TINY:
            found += [_with_share(p, k, p[k] * odds / (p[k] * odds + 1.0 - p[k])) for odds in ODDS]
        else:
            found += [_with_share(p, k, share) for share in SHARES]
    sources = min(len(common), max(MOST - len(found), 0) // max(len(MOVED) * len(common), 1))
    for source in sorted(common, key=lambda k: -p[k])[:sources]:
        for target in common:
            for part in MOVED if target != source else ():
                q = p.copy()
                q[target] += part * p[source]
                q[source] *= 1.0 - part
                found.append(q)
    return np.array(found)


def splits(p: Floats, tolerance: float) -> Floats:
    """(alternatives, symbols) distributions a little beyond a ball around `p`: each side of a split in two gains.

    Symbols are split as up to five groups of about the same share. The losing side loses as much, each symbol in
    proportion to about the square root of its share. A ball is as wide in all directions as in that of one symbol, so
    one symbol or a pair of them says little of a change that many share.
    """
    groups = np.zeros((GROUPS, len(p)), dtype=np.bool_)
    for k in np.argsort(-p, kind="stable"):
        if p[k] >= TINY:
            groups[(groups @ p).argmin(), k] = True
    groups = groups[groups.any(axis=1)]
    found = []
    for subset in range(1, (1 << len(groups)) - 1):
        gains = (subset >> np.arange(len(groups))) & 1 == 1
        more, less = groups[gains].any(axis=0), groups[~gains].any(axis=0)
        for moved in (tolerance + beyond for beyond in BEYOND):
            if moved < MOST_TAKEN * p[less].sum():
                q = p.copy()
                q[more] += moved * np.sqrt(p[more]) / np.sqrt(p[more]).sum()
                q[less] = _less(p[less], moved)
                found.append(q)
    return np.array(found).reshape(-1, len(p))


def _less(p: Floats, moved: float) -> Floats:
    """`p` less `moved` in all: p exp(-c / sqrt(p)), which is about p - c sqrt(p) and never below 0."""
    low, high = 0.0, 10.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        lost = float((p * -np.expm1(-middle / np.sqrt(p))).sum())
        low, high = (middle, high) if lost < moved else (low, middle)
    result: Floats = p * np.exp(-high / np.sqrt(p))
    return result


def _with_share(p: Floats, k: int, share: float) -> Floats:
    q: Floats = p * ((1.0 - share) / (1.0 - p[k]))
    q[k] = share
    return q


def project_on_ball(q: Floats, p: Floats, radius: float) -> Floats:
    """The members of the total-variation ball around `p` nearest to the rows of `q` (in KL(q || .)).

    Args:
        q: (rows, symbols) distributions outside of the ball.
        p: (symbols,) without zeros.
        radius: above 0.
    """
    ratio = q / p
    low, high = np.ones(len(q)), ratio.max(axis=1, initial=1.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        above = np.maximum(q / middle[:, None] - p, 0.0).sum(axis=1) > radius
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    top, low, high = high, np.full(len(q), 1e-12), np.ones(len(q))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        above = np.maximum(p - q / middle[:, None], 0.0).sum(axis=1) > radius
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    result: Floats = q / np.clip(ratio, low[:, None], top[:, None])
    return result


def project_on_hull(q: Floats, points: Floats) -> Floats:
    """The members of the convex hull of `points` (rows) nearest to the rows of `q`, by expectation maximisation."""
    weights = np.full((len(q), len(points)), 1.0 / len(points))
    for _ in range(_EM_STEPS):
        weights *= (q / (weights @ points)) @ points.T
    result: Floats = weights @ points
    return result
