"""Tracks beside the truth, frame by frame: MOTA (Bernardin & Stiefelhagen 2008) and IDF1 (Ristani et al. 2016)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Bools, Floats
from services.qc.domain.kinds.clusters import Drawn, match
from services.qc.domain.kinds.measures import Interval, bounds, resampled
from services.qc.domain.kinds.tracks import Path, samples

HIT = 0.5


@dataclass(frozen=True, slots=True)
class Followed:
    """One item's tracks beside the truth, in boxes: one track at one frame that was looked at.

    Attributes:
        given, true: boxes.
        hits: that lie on a true one, each true one at most once, kept to the track that it had before.
        switches: hits by another track than the true one had before.
        same: hits where each true track has one given track for good.
    """

    given: int
    true: int
    hits: int
    switches: int
    same: int


def follow(given: Sequence[Drawn[Path]], true: Sequence[Drawn[Path]]) -> Followed:
    """One item's tracks beside the truth; a hit overlaps by a half and has the class."""
    paths = [one.extent for one in (*given, *true)]
    if not paths:
        return Followed(0, 0, 0, 0, 0)
    frames = samples(paths)
    boxes = np.stack([path.at(frames) for path in paths])
    seen = ~np.isnan(boxes[:, :, 0])
    number = len(given)
    counted = int(seen[:number].sum()), int(seen[number:].sum())
    if not given or not true:
        return Followed(*counted, 0, 0, 0)
    shared = _overlaps(boxes[:number], boxes[number:])
    shared[np.array([[one.label != two.label for two in true] for one in given])] = 0.0
    near = shared >= HIT
    return Followed(*counted, *_clear(shared, near), _same(near))


def _overlaps(one: Floats, two: Floats) -> Floats:
    """(given, true, frames); 0 where either is not there."""
    a, b = np.nan_to_num(one)[:, None], np.nan_to_num(two)[None]
    wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    high = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
    areas = [(side[..., 2] - side[..., 0]) * (side[..., 3] - side[..., 1]) for side in (a, b)]
    found: Floats = shared / np.maximum(areas[0] + areas[1] - shared, np.finfo(float).tiny)
    return found


def _clear(shared: Floats, near: Bools) -> tuple[int, int]:
    """Hits and switches: a true track keeps the given one that it had as long as that lies on it."""
    had = np.full(shared.shape[1], -1)
    hits = switches = 0
    for frame in range(shared.shape[2]):
        allowed = near[:, :, frame].copy()
        if not allowed.any():
            continue
        for true in np.nonzero(had >= 0)[0]:
            if allowed[had[true], true]:
                kept = had[true]
                allowed[kept, :] = False
                allowed[:, true] = False
                hits += 1
        at, to = match(shared[:, :, frame], allowed)
        hits += len(at)
        switches += int(((had[to] >= 0) & (had[to] != at)).sum())
        had[to] = at
    return hits, switches


def _same(near: Bools) -> int:
    together = near.sum(axis=2).astype(np.float64)
    return int(together[match(together, together > 0)].sum())


def rows_of(items: Sequence[Followed]) -> Floats:
    """(items, 5); given, true, hits, switches, same."""
    return np.array([[getattr(one, name) for name in Followed.__slots__] for one in items], dtype=float).reshape(-1, 5)


def figures(sums: Floats) -> dict[str, Floats]:
    """MOTA and IDF1 of sums of `rows_of`, (..., 5); NaN without a true box."""
    given, true, hits, switches, same = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mota, idf1 = 1.0 - (true - hits + given - hits + switches) / true, 2.0 * same / (given + true)
    return {"mota": np.where(true > 0, mota, np.nan), "idf1": np.where(true > 0, idf1, np.nan)}


def tracking(items: Sequence[Followed]) -> dict[str, float | None]:
    """MOTA and IDF1 of all items together; None without a true box."""
    found = figures(rows_of(items).sum(axis=0))
    return {name: None if np.isnan(value) else float(value) for name, value in found.items()}


def intervals(items: Sequence[Followed]) -> dict[str, Interval | None]:
    """95 % of MOTA and IDF1, by the bootstrap over items."""
    return {name: bounds(drawn) for name, drawn in figures(resampled(rows_of(items))).items()}
