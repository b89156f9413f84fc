"""Masks: one of several by a weighted vote, of instances and of classes over the whole picture."""

from collections.abc import Sequence

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.clusters import Alike
from services.qc.domain.kinds.grouped import Grouped
from services.qc.domain.kinds.runs import Runs, iou, likeness, tidy

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
    away = np.repeat(grouped.group.astype(np.int64) * pixels, number)
    gain = np.repeat(share, number)
    edges = np.concatenate([np.concatenate([getattr(each, name) for each in masks]) for name in ("starts", "ends")])
    edges = edges + np.concatenate([away, away])
    order = np.argsort(edges)
    ranked, held = edges[order], np.cumsum(np.concatenate([gain, -gain])[order])
    last = np.append(ranked[1:] != ranked[:-1], [True] * bool(len(ranked)))
    where, won = ranked[last], held[last] > 0.5  # noqa: PLR2004  # half of the weight
    starts, ends = where[np.nonzero(won)[0]], where[np.nonzero(won)[0] + 1]
    cuts = np.searchsorted(starts, np.arange(len(sizes) + 1) * pixels)
    found = []
    for at, (low, high) in enumerate(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        best = masks[int(heavy[at])]
        run = tidy(starts[low:high] - at * pixels, ends[low:high] - at * pixels, best.height, best.width)
        found.append(run if len(run.starts) else best)
    return found


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
