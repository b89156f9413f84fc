"""Tracks: boxes over frames. How much two share over time, and one track of several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Bools, Floats, Ints
from services.qc.domain.kinds.boxes import near, near_each_other
from services.qc.domain.kinds.clusters import Alike
from services.qc.domain.kinds.estimates import centres
from services.qc.domain.kinds.grouped import Grouped
from services.qc.domain.kinds.strips import Places
from services.qc.domain.kinds.weighted import weighted_median

SAMPLES = 256
"""Frames at which tracks are compared, evenly spread where there are more."""
AT_ONCE = 32_000
STRETCH = 20
"""Frames over which two tracks must come near each other at all for their boxes to be compared."""
LOOKS = 48
"""Frames at which tracks are compared to cluster them, where the shortest is long enough to be seen in some."""
FEW = 4
"""Of these frames, in which any track is seen."""
BRIEF = 3
"""Frames of a glance that say too little of a track."""
GLANCE = 4
"""One of so many of them is looked at first."""
UNLIKE = 0.05
"""Tracks that share less than this at a glance are of different objects."""
FEWEST_KEYS = 16
"""Keyframes at which a track is fused, if anyone gave so many; else half more than anyone gave."""
FRAMES = 1 << 40
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


def samples(paths: Sequence[Path], most: int = SAMPLES) -> Floats:
    """Frames at which to look at tracks: all that any covers, or so many that are evenly spread."""
    ends = _ends(paths)
    first, last = ends.min(), ends.max()
    if last - first < most:
        return np.arange(first, last + 1)
    return np.linspace(first, last, most)


def _ends(paths: Sequence[Path]) -> Floats:
    """First and last frames; (paths, 2)."""
    last = np.cumsum([len(path.frames) for path in paths]) - 1
    keys = np.concatenate([path.frames for path in paths])
    return np.stack([keys[np.append(0, last[:-1] + 1)], keys[last]], axis=1).astype(np.float64)


def seen(paths: Sequence[Path], frames: Floats, gone: float = np.nan) -> Floats:
    """Every path's edges at each frame, as `Path.at` tells them; (4, paths, frames).

    Args:
        paths: of one item.
        frames: (frames,); increasing.
        gone: what stands where there is no box.
    """
    sizes = np.array([len(path.frames) for path in paths])
    keys = np.concatenate([path.frames for path in paths]).astype(np.float64)
    edges = np.concatenate([path.edges for path in paths])
    first = np.cumsum(sizes) - sizes
    cell = np.repeat(np.arange(len(paths)) * (len(frames) + 1), sizes) + np.searchsorted(frames, keys)
    counted = np.bincount(cell, minlength=len(paths) * (len(frames) + 1)).reshape(len(paths), -1)
    until = np.cumsum(counted, axis=1)[:, :-1]  # keyframes up to each frame
    low = first[:, None] + np.clip(until - 1, 0, np.maximum(sizes - 2, 0)[:, None])
    table = np.ascontiguousarray(edges.T)
    step = np.diff(table, append=table[:, -1:]) / np.maximum(np.diff(keys, append=keys[-1] + 1.0), 1.0)
    step[:, first[1:] - 1] = 0.0  # of each path's last one
    found: Floats = table.take(low, axis=1)
    found += step.take(low, axis=1) * (frames - keys[low])
    found[:, (frames < keys[first][:, None]) | (frames > keys[first + sizes - 1][:, None])] = gone
    return found


def iou(left: Sequence[Path], right: Sequence[Path]) -> Floats:
    """Intersection over union of the volumes that boxes sweep over time; (left, right)."""
    frames = samples([*left, *right])
    one = seen(left, frames, 0.0)
    two = one if left is right else seen(right, frames, 0.0)
    at, to = near(_reach(one), _reach(two))
    if left is right:
        half = at <= to
        at, to = at[half], to[half]
    both = np.zeros(len(at))
    for low in range(0, len(frames), STRETCH):
        part = slice(low, low + STRETCH)
        both += _shared(np.ascontiguousarray(one[:, :, part]), np.ascontiguousarray(two[:, :, part]), at, to)
    volumes = [((side[2] - side[0]) * (side[3] - side[1])).sum(axis=1) for side in (one, two)]
    found = np.zeros((len(left), len(right)))
    found[at, to] = both / np.maximum(volumes[0][at] + volumes[1][to] - both, np.finfo(float).tiny)
    if left is right:
        found[to, at] = found[at, to]
    return found


def likeness(paths: Sequence[Path]) -> Alike:
    """As `iou` of all with each other, at fewer frames; not where a few of these show next to nothing in common."""
    frames = samples(paths, _looks(paths))
    boxes = seen(paths, frames, 0.0)
    at, to = near_each_other(_reach(boxes))
    few = boxes[:, :, ::GLANCE]
    brief = (few[2] > few[0]).sum(axis=1) < BRIEF
    worth = (_overlap(few, at, to) > UNLIKE) | brief[at] | brief[to]
    at, to = at[worth], to[worth]
    return Alike(at, to, _overlap(boxes, at, to))


def _looks(paths: Sequence[Path]) -> int:
    """Frames that are enough to tell tracks apart: the shortest one is seen in some of them."""
    ends = _ends(paths)
    shortest = (ends[:, 1] - ends[:, 0]).min() + 1.0
    return int(np.clip(FEW * (ends.max() - ends.min() + 1.0) / shortest, LOOKS, SAMPLES))


def _overlap(boxes: Floats, at: Ints, to: Ints) -> Floats:
    """Intersection over union of the volumes of pairs; (pairs,).

    Args:
        boxes: (4, paths, frames); zeros where there is no box.
        at: (pairs,); indices into the paths.
        to: (pairs,); likewise.
    """
    rims = np.ascontiguousarray(np.concatenate([-boxes[:2], boxes[2:]]).transpose(1, 0, 2))  # the lesser lies inside
    volume, both = _volume(rims), np.empty(len(at))
    step = max(AT_ONCE // (4 * boxes.shape[2]), 1)
    for low in range(0, len(at), step):
        part = slice(low, low + step)
        both[part] = _volume(np.minimum(rims[at[part]], rims[to[part]]))
    found: Floats = both / np.maximum(volume[at] + volume[to] - both, np.finfo(float).tiny)
    return found


def _volume(rims: Floats) -> Floats:
    """(paths,) of (paths, 4, frames): left and top, negative, and right and bottom."""
    sides = rims[:, :2] + rims[:, 2:]
    np.maximum(sides, 0.0, out=sides)
    found: Floats = np.einsum("pf,pf->p", sides[:, 0], sides[:, 1])
    return found


def _shared(one: Floats, two: Floats, at: Ints, to: Ints) -> Floats:
    """What each pair has in common over a few frames, looking only at pairs that come near each other then.

    Args:
        one: (4, left, frames); zeros where there is no box.
        two: (4, right, frames).
        at: (pairs,); indices into left.
        to: (pairs,); indices into right.
    """
    reach, other = _reach(one), _reach(two)
    close = (reach[0][at] < other[2][to]) & (other[0][to] < reach[2][at])
    close &= (reach[1][at] < other[3][to]) & (other[1][to] < reach[3][at])
    found, pairs = np.zeros(len(at)), np.flatnonzero(close)
    step = max(AT_ONCE // one.shape[2], 1)
    for low in range(0, len(pairs), step):
        some = pairs[low : low + step]
        a, b = at[some], to[some]
        wide = np.minimum(one[2][a], two[2][b]) - np.maximum(one[0][a], two[0][b])
        high = np.minimum(one[3][a], two[3][b]) - np.maximum(one[1][a], two[1][b])
        found[some] = np.einsum("pf,pf->p", np.maximum(wide, 0.0), np.maximum(high, 0.0))
    return found


def _reach(boxes: Floats) -> Floats:
    """Left, top, right, bottom of all of each path's boxes; (4, paths) of (4, paths, frames). Of none, no area."""
    gone = boxes[2] <= boxes[0]
    low = np.where(gone, np.inf, boxes[:2]).min(axis=2)
    high = np.where(gone, -np.inf, boxes[2:]).max(axis=2)
    return np.concatenate([low, high])


def fused(paths: Sequence[Path], weights: Floats, sizes: Sequence[int]) -> list[Path]:
    """One track of each group: from the middle of the starts to that of the ends, at keyframes a robust mean.

    Each frame is fused from those who see the object in it, so somebody who went over to another object for a while
    is outvoted there. Keyframes on the line between their neighbours are left out.

    Args:
        paths: groups one after the other.
        weights: (paths,); positive; inverse standard deviations.
        sizes: (groups,); paths of each.
    """
    grouped, precision = Grouped.of(sizes), weights**2
    values = grouped.dense(_ends(paths), np.inf)
    middle = weighted_median(values.reshape(len(values), -1), np.repeat(grouped.dense(precision), 2, axis=1))
    first, last = np.round(middle.reshape(-1, 2)).astype(np.int64).T
    frames, number = _keys(paths, grouped, first, np.maximum(first, last))
    many = number[grouped.group]
    path = np.repeat(np.arange(len(paths)), many)
    start = (np.cumsum(number) - number)[grouped.group]
    column = np.arange(len(path)) - np.repeat(np.cumsum(many) - many - start, many)
    boxes, there = _at(paths, path, frames[column])
    held = np.zeros((max(sizes), len(frames), 4))
    heavy = np.zeros((max(sizes), len(frames)))
    held[grouped.place[path], column] = np.where(there[:, None], boxes, 0.0)
    heavy[grouped.place[path], column] = precision[path] * there
    known = heavy > 0.0
    kept = known.any(axis=0)
    held, heavy, known = held[:, kept], heavy[:, kept], known[:, kept]
    scales = 0.02 * np.sqrt((_area(held) * known).sum(axis=0) / known.sum(axis=0))
    owner = np.repeat(np.arange(len(number)), number)[kept]
    edges = centres(held, heavy, scales)
    return thinned(frames[kept].astype(np.int32), edges, np.bincount(owner, minlength=len(number)).tolist())


def _keys(paths: Sequence[Path], grouped: Grouped, first: Places, last: Places) -> tuple[Places, Places]:
    """The frames at which each group is fused, and how many: all keyframes of anyone, or evenly many of them."""
    size = np.array([len(path.frames) for path in paths])
    owner = np.concatenate([np.repeat(grouped.group, size), *[np.arange(len(first))] * 2]).astype(np.int64)
    keys = np.concatenate([*(path.frames for path in paths), first, last]).astype(np.int64)
    inside = (keys >= first[owner]) & (keys <= last[owner])
    owner, keys = np.divmod(np.unique(owner[inside] * FRAMES + keys[inside]), FRAMES)
    number = np.bincount(owner, minlength=len(first))
    begin = np.cumsum(number) - number
    most = np.maximum(FEWEST_KEYS, np.maximum.reduceat(size, np.cumsum(grouped.sizes) - grouped.sizes) * 3 // 2)
    told = np.minimum(number, most)
    place = np.arange(int(told.sum())) - np.repeat(np.cumsum(told) - told, told)
    step = np.repeat((number - 1) / np.maximum(told - 1, 1), told)
    return keys[np.repeat(begin, told) + np.round(place * step).astype(np.int64)], told


def _at(paths: Sequence[Path], path: Places, frames: Places) -> tuple[Floats, Bools]:
    """Paths at frames: (queries, 4), and whether there is anything.

    Args:
        paths: of one item.
        path: (queries,); which.
        frames: (queries,); when.
    """
    size = np.array([len(each.frames) for each in paths])
    first = np.cumsum(size) - size
    keys = np.concatenate([each.frames for each in paths]).astype(np.int64)
    edges = np.concatenate([each.edges for each in paths])
    which = np.repeat(np.arange(len(paths)), size) * FRAMES
    low = np.searchsorted(which + keys, path * FRAMES + frames, side="right") - 1
    begin, end = first[path], (first + size - 1)[path]
    there = (frames >= keys[begin]) & (frames <= keys[end])
    low = np.clip(low, begin, np.maximum(end - 1, begin))
    high = np.minimum(low + 1, end)
    share = (frames - keys[low]) / np.maximum(keys[high] - keys[low], 1)
    return edges[low] + share[:, None] * (edges[high] - edges[low]), there


def _area(edges: Floats) -> Floats:
    found: Floats = (edges[..., 2] - edges[..., 0]) * (edges[..., 3] - edges[..., 1])
    return found


def thinned(frames: Ints, edges: Floats, sizes: Sequence[int]) -> list[Path]:
    """Paths without the keyframes that the others tell anyway (Douglas & Peucker 1973), all paths at once.

    Args:
        frames: (keyframes,); of all paths, one after the other.
        edges: (keyframes, 4).
        sizes: (paths,); keyframes of each.
    """
    size = np.asarray(sizes)
    first = np.cumsum(size) - size
    tolerance = ROUGH * np.sqrt(np.add.reduceat(_area(edges), first) / size)
    kept = np.zeros(len(frames), dtype=np.bool_)
    kept[first] = kept[first + size - 1] = True
    low, high, path = first, first + size - 1, np.arange(len(size))
    while True:
        wide = high - low > 1
        low, high, path = low[wide], high[wide], path[wide]
        if not len(low):
            break
        number = high - low - 1
        which = np.repeat(np.arange(len(low)), number)
        starts = np.cumsum(number) - number
        row = np.arange(len(which)) - np.repeat(starts - low - 1, number)
        span = (frames[row] - frames[low][which]) / (frames[high] - frames[low])[which]
        line = edges[low][which] + span[:, None] * (edges[high] - edges[low])[which]
        off = np.abs(edges[row] - line).max(axis=1)
        worst = np.maximum.reduceat(off, starts)
        hit = np.where(off == worst[which], np.arange(len(off)), len(off))
        middle = row[np.minimum.reduceat(hit, starts)]
        far = worst > tolerance[path]
        kept[middle[far]] = True
        low, high = np.concatenate([low[far], middle[far]]), np.concatenate([middle[far], high[far]])
        path = np.concatenate([path[far], path[far]])
    cuts = zip(first.tolist(), (first + size).tolist(), strict=True)
    return [Path(frames[a:b][kept[a:b]], edges[a:b][kept[a:b]]) for a, b in cuts]


class TrackGeometry:
    """Tracks for the engine; see `clusters.Geometry`."""

    least = 0.25

    def similarity(self, left: Sequence[Path], right: Sequence[Path]) -> Floats:
        """Intersection over union of volumes."""
        return iou(left, right)

    def likeness(self, extents: Sequence[Path]) -> Alike:
        """See `likeness`."""
        return likeness(extents)

    def fuse(self, extents: Sequence[Path], weights: Floats) -> Path:
        """See `fused`."""
        return fused(extents, weights, [len(extents)])[0]

    def fuse_all(self, groups: Sequence[Sequence[Path]], weights: Sequence[Floats]) -> list[Path]:
        """See `fused`."""
        return fused([each for group in groups for each in group], np.concatenate(weights), list(map(len, groups)))
