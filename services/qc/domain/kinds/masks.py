"""Masks: one of several by a weighted vote, of instances and of classes over the whole picture."""

from collections.abc import Sequence

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.clusters import Alike
from services.qc.domain.kinds.grouped import Grouped
from services.qc.domain.kinds.runs import Runs, iou, likeness

TIE = 1e-6


def fused(masks: Sequence[Runs], weights: Floats, sizes: Sequence[int]) -> list[Runs]:
    """The pixels that those with more than half of the weight marked; a tie is the heaviest one's to decide.

    Args:
        masks: of one picture; groups one after the other.
        weights: (masks,); positive.
        sizes: (groups,); masks of each.
    """
    grouped = Grouped.of(sizes)
    first = np.cumsum(grouped.sizes) - grouped.sizes
    heavy = first + grouped.dense(weights, -np.inf).argmax(axis=0)
    share = weights / grouped.sums(weights)[grouped.group] * (1.0 - TIE)
    share[heavy] += TIE
    pixels = masks[0].height * masks[0].width + 1  # so that runs of two groups never touch
    number = np.array([len(each.starts) for each in masks], dtype=np.int64)
    edges = np.stack([np.concatenate([getattr(each, name) for each in masks]) for name in ("starts", "ends")], axis=1)
    edges += np.repeat(grouped.group.astype(np.int64) * pixels, number)[:, None]
    gain = np.repeat(share, number)
    order = np.argsort(edges, axis=None, kind="stable")  # which merges what is sorted already, as each mask is
    ranked, held = edges.ravel()[order], np.cumsum(np.stack([gain, -gain], axis=1).ravel()[order])
    last = np.append(ranked[1:] != ranked[:-1], [True] * bool(len(ranked)))
    where, won = ranked[last], held[last] > 0.5  # noqa: PLR2004  # half of the weight
    turned = np.flatnonzero(np.diff(won, prepend=False))
    starts, ends = where[turned[::2]], where[turned[1::2]]
    group = starts // pixels
    starts, ends = starts - group * pixels, ends - group * pixels
    cuts = np.searchsorted(group, np.arange(len(sizes) + 1)).tolist()
    best = [masks[at] for at in heavy.tolist()]
    return [
        Runs(starts[low:high], ends[low:high], each.height, each.width) if low < high else each
        for each, low, high in zip(best, cuts[:-1], cuts[1:], strict=True)
    ]


class MaskGeometry:
    """Masks of instances for the engine; see `clusters.Geometry`."""

    least = 0.4

    def similarity(self, left: Sequence[Runs], right: Sequence[Runs]) -> Floats:
        """Intersection over union."""
        return iou(left, right)

    def likeness(self, extents: Sequence[Runs]) -> Alike:
        """See `runs.likeness`."""
        return likeness(extents)

    def fuse(self, extents: Sequence[Runs], weights: Floats) -> Runs:
        """See `fused`."""
        return fused(extents, weights, [len(extents)])[0]

    def fuse_all(self, groups: Sequence[Sequence[Runs]], weights: Sequence[Floats]) -> list[Runs]:
        """See `fused`."""
        return fused([each for group in groups for each in group], np.concatenate(weights), list(map(len, groups)))
