"""Masks: one of several by a weighted vote, of instances and of classes over the whole picture."""

from collections.abc import Sequence

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.runs import Runs, iou, tidy

TIE = 1e-6


def fused(masks: Sequence[Runs], weights: Floats) -> Runs:
    """The pixels that those with more than half of the weight marked; a tie is the heaviest one's to decide."""
    heavy = int(np.argmax(weights))
    share = weights / weights.sum() * (1.0 - TIE)
    share[heavy] += TIE
    edges = np.concatenate([each for mask in masks for each in (mask.starts, mask.ends)])
    gain = np.concatenate(
        [np.full(len(m.starts), sign * part) for m, part in zip(masks, share, strict=True) for sign in (1, -1)]
    )
    where, place = np.unique(edges, return_inverse=True)
    held = np.cumsum(np.bincount(place, gain, minlength=len(where)))
    won = held[:-1] > 0.5  # noqa: PLR2004  # half of the weight
    found = tidy(where[:-1][won], where[1:][won], masks[heavy].height, masks[heavy].width)
    return found if len(found.starts) else masks[heavy]


class MaskGeometry:
    """Masks of instances for the engine; see `clusters.Geometry`."""

    least = 0.4

    def similarity(self, left: Sequence[Runs], right: Sequence[Runs]) -> Floats:
        """Intersection over union."""
        return iou(left, right)

    def fuse(self, extents: Sequence[Runs], weights: Floats) -> Runs:
        """See `fused`."""
        return fused(extents, weights)
