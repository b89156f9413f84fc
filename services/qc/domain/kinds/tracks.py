"""Tracks: boxes over frames. How much two share over time, and one track of several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.boxes import near
from services.qc.domain.kinds.estimates import centres
from services.qc.domain.kinds.weighted import weighted_median

SAMPLES = 256
"""Frames at which tracks are compared, evenly spread where there are more."""
AT_ONCE = 2_000_000
ROUGH = 0.01
"""How far a keyframe may lie from the line between its neighbours to be left out, in parts of the box's size."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """One track.

    Attributes:
        frames: (keyframes,); strictly increasing.
        edges: (keyframes, 4); left, top, right, bottom. Between keyframes they move in a straight line.
    """

    frames: Ints
    edges: Floats

    def at(self, frames: Floats) -> Floats:
        """(frames, 4); NaN before the first keyframe and after the last."""
        found = np.stack([np.interp(frames, self.frames, edge) for edge in self.edges.T], axis=1)
        found[(frames < self.frames[0]) | (frames > self.frames[-1])] = np.nan
        return found


def samples(paths: Sequence[Path]) -> Floats:
    """Frames at which to look at tracks: all that any covers, or evenly spread ones."""
    first, last = min(int(p.frames[0]) for p in paths), max(int(p.frames[-1]) for p in paths)
    if last - first < SAMPLES:
        return np.arange(first, last + 1, dtype=np.float64)
    return np.linspace(first, last, SAMPLES)


def iou(left: Sequence[Path], right: Sequence[Path]) -> Floats:
    """Intersection over union of the volumes that boxes sweep over time; (left, right)."""
    frames = samples([*left, *right])
    one, two = (np.stack([path.at(frames) for path in side]) for side in (left, right))
    at, to = near(_bounds(left), _bounds(right))
    if left is right:
        half = at <= to
        at, to = at[half], to[half]
    shared = np.zeros(len(at))
    step = max(AT_ONCE // len(frames), 1)
    for low in range(0, len(at), step):
        part = slice(low, low + step)
        shared[part] = _shared(one[at[part]], two[to[part]])
    volumes = [np.nansum((side[..., 2] - side[..., 0]) * (side[..., 3] - side[..., 1]), axis=1) for side in (one, two)]
    found = np.zeros((len(left), len(right)))
    found[at, to] = shared / np.maximum(volumes[0][at] + volumes[1][to] - shared, np.finfo(float).tiny)
    if left is right:
        found[to, at] = found[at, to]
    return found


def _bounds(paths: Sequence[Path]) -> Floats:
    low = np.array([path.edges[:, :2].min(axis=0) for path in paths])
    high = np.array([path.edges[:, 2:].max(axis=0) for path in paths])
    found: Floats = np.concatenate([low, high], axis=1).T
    return found


def _shared(one: Floats, two: Floats) -> Floats:
    """The volume of each pair's intersection, in pixels times frames looked at."""
    wide = np.minimum(one[..., 2], two[..., 2]) - np.maximum(one[..., 0], two[..., 0])
    high = np.minimum(one[..., 3], two[..., 3]) - np.maximum(one[..., 1], two[..., 1])
    found: Floats = np.nansum(np.maximum(wide, 0.0) * np.maximum(high, 0.0), axis=1)
    return found


def fused(paths: Sequence[Path], weights: Floats) -> Path:
    """One track of several: from the middle of the starts to that of the ends, at each keyframe a robust mean.

    Each frame is fused from those who see the object in it, so somebody who went over to another object for a while
    is outvoted there. Keyframes on the line between their neighbours are left out.
    """
    precision = weights**2
    ends = np.array([[path.frames[0], path.frames[-1]] for path in paths], dtype=np.float64)
    first, last = np.round(weighted_median(ends, np.stack([precision, precision], axis=1))).tolist()
    last = max(first, last)
    keys = np.unique(np.concatenate([*(path.frames for path in paths), [first, last]]).astype(np.float64))
    keys = keys[(keys >= first) & (keys <= last)]
    seen = np.stack([path.at(keys) for path in paths])
    there = ~np.isnan(seen[:, :, 0])
    kept = there.any(axis=0)
    keys, seen, there = keys[kept], np.where(there[..., None], seen, 0.0)[:, kept], there[:, kept]
    sizes = np.sqrt(_area(seen).sum(axis=0) / there.sum(axis=0))
    rows = centres(seen, precision[:, None] * there, 0.02 * sizes)
    return _thinned(Path(keys.astype(np.int32), rows))


def _area(edges: Floats) -> Floats:
    found: Floats = (edges[..., 2] - edges[..., 0]) * (edges[..., 3] - edges[..., 1])
    return found


def _thinned(path: Path) -> Path:
    """Without the keyframes that the others tell anyway (Douglas & Peucker 1973)."""
    if len(path.frames) < 3:  # noqa: PLR2004  # both ends stay
        return path
    tolerance = ROUGH * float(np.sqrt(_area(path.edges).mean()))
    kept = np.zeros(len(path.frames), dtype=np.bool_)
    kept[[0, -1]] = True
    open_ = [(0, len(path.frames) - 1)]
    while open_:
        low, high = open_.pop()
        if high - low < 2:  # noqa: PLR2004  # nothing between
            continue
        span = (path.frames[low + 1 : high] - path.frames[low]) / (path.frames[high] - path.frames[low])
        line = path.edges[low] + span[:, None] * (path.edges[high] - path.edges[low])
        off = np.abs(path.edges[low + 1 : high] - line).max(axis=1)
        worst = int(off.argmax())
        if off[worst] > tolerance:
            middle_ = low + 1 + worst
            kept[middle_] = True
            open_ += [(low, middle_), (middle_, high)]
    return Path(path.frames[kept], path.edges[kept])


class TrackGeometry:
    """Tracks for the engine; see `clusters.Geometry`."""

    least = 0.25

    def similarity(self, left: Sequence[Path], right: Sequence[Path]) -> Floats:
        """Intersection over union of volumes."""
        return iou(left, right)

    def fuse(self, extents: Sequence[Path], weights: Floats) -> Path:
        """See `fused`."""
        return fused(extents, weights)
