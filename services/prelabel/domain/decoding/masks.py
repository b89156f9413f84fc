"""Masks: the best class of each pixel, or a threshold for each object; COCO run lengths of the picture's own size."""

from collections.abc import Sequence

import numpy as np

from services.prelabel.domain.decoding.base import (
    TOO_MANY,
    Answer,
    Decoded,
    Flags,
    Floats,
    Outputs,
    Seen,
    Tensor,
    Whole,
    activate,
    bad,
    expect,
    not_whole,
    sure,
    sure_all,
)
from services.prelabel.domain.decoding.boxes import best_classes
from shared.events import InstanceMasksDecoder, SemanticMasksDecoder
from shared.labels import Mask, Masks

MAX_SIDE = 65_535
MAX_PIXELS = 100_000_000
MAX_RUNS = 1_000_000
DIMENSIONS = 4


def runs(flat: Tensor) -> tuple[Whole, Tensor]:
    """Lengths and values of the runs of equal values in a flat array that is not empty."""
    bounds = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], bounds, [len(flat)]])
    return np.diff(edges), flat[edges[:-1]]


def counts_of(lengths: Whole, member: Flags) -> tuple[int, ...]:
    """COCO run lengths of the pixels whose runs are members: zeros first, zeros and ones in turn."""
    if not len(lengths):
        return ()
    joined = np.flatnonzero(member[1:] != member[:-1]) + 1
    sums = np.add.reduceat(lengths, np.concatenate([[0], joined]))
    return tuple(([0] if member[0] else []) + sums.tolist())


def nearest(length: int, own: int) -> Whole:
    """Which of `length` cells each of `own` pixels lies in: its centre decides."""
    return np.minimum(((np.arange(own) + 0.5) * length / own).astype(np.int64), length - 1)


def enlarge(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) to the pixels of a picture of `size` = width, height, in column-major order, by nearest neighbour."""
    width, height = size
    columns, rows = nearest(grid.shape[1], width), nearest(grid.shape[0], height)
    return np.ascontiguousarray(grid.T)[columns][:, rows].reshape(-1)


def _too_large(size: tuple[int, int]) -> str | None:
    if max(size) > MAX_SIDE or size[0] * size[1] > MAX_PIXELS:
        return f"a picture of {size[0]} x {size[1]} pixels is too large for masks"
    return None


def decode_semantic(
    outputs: Outputs, seen: Sequence[Seen], decoder: SemanticMasksDecoder, classes: tuple[str, ...]
) -> list[Answer]:
    """A mask for each class that is present, in the order of the classes.

    A mask's score is the mean probability of its class over its pixels of the model's output. The item's confidence is
    the lowest of them and of the background's own mean.

    Args:
        outputs: scores (rows, columns, h, w), or (rows, h, w, columns).
        seen: the size of each row's picture.
        decoder: see there.
        classes: by index, without the background.
    """
    columns = len(classes) + (decoder.background is not None)
    nhwc = decoder.layout == "nhwc"
    shape = (len(seen), None, None, columns) if nhwc else (len(seen), columns, None, None)
    wrong = expect(outputs, decoder.scores, shape)
    if wrong is not None:
        return [bad(wrong)] * len(seen)
    raw = outputs[decoder.scores]
    p, whole = activate(raw.transpose(0, 3, 1, 2) if nhwc else raw, decoder.activation, axis=1)
    if not p.shape[2] * p.shape[3]:
        return [bad(f"output {decoder.scores!r} has no pixels")] * len(seen)
    best = p.argmax(axis=1).astype(np.int16)
    named = [column for column in range(columns) if column != decoder.background]
    found: list[Answer] = []
    for row, one in enumerate(seen):
        size = one.size or (p.shape[3], p.shape[2])
        too_large = _too_large(size)
        if not whole[row]:
            found.append(not_whole(decoder.activation))
        elif too_large:
            found.append(bad(too_large))
        else:
            found.append(_semantic(best[row], p[row].max(axis=0), size, (decoder, named, classes)))
    return found


def _semantic(
    best: Tensor,
    chosen: Floats,
    size: tuple[int, int],
    read: tuple[SemanticMasksDecoder, list[int], tuple[str, ...]],
) -> Answer:
    decoder, named, classes = read
    columns = len(named) + (decoder.background is not None)
    pixels = np.bincount(best.reshape(-1), minlength=columns)
    sums = np.bincount(best.reshape(-1), weights=chosen.reshape(-1), minlength=columns)
    means = np.divide(sums, pixels, out=np.ones(columns), where=pixels > 0)
    lengths, values = runs(enlarge(best, size))
    masks, scores = [], []
    for column, name in zip(named, classes, strict=True):
        member = values == column
        if pixels[column] < decoder.min_pixels or not member.any():
            continue
        counts = counts_of(lengths, member)
        if len(counts) > MAX_RUNS:
            return bad(f"the mask of {name!r} has {len(counts)} runs, the limit is {MAX_RUNS}")
        masks.append(Mask(counts=counts, label=name))
        scores.append(float(means[column]))
    marks = sure_all(scores)
    ground = [] if decoder.background is None else [sure(float(means[decoder.background]))]
    value = Masks(width=size[0], height=size[1], masks=tuple(masks))
    return Decoded(value, min((*marks, *ground), default=sure(float(chosen.min()))), marks)


def suppress_masks(
    flat: Flags, scores: Floats, labels: Whole, *, threshold: float, iou: float, class_wise: bool
) -> tuple[list[int], float]:
    """`suppress` of boxes.py for masks, (n, pixels)."""
    dense = flat.astype(np.float32)
    shared, areas = dense @ dense.T, flat.sum(axis=1)
    unions = areas[:, None] + areas[None] - shared
    over = np.divide(shared, unions, out=np.zeros_like(unions), where=unions > 0) > iou
    if class_wise:
        over &= labels[:, None] == labels[None]
    alive = areas > 0
    kept: list[int] = []
    for place in np.argsort(-scores, kind="stable").tolist():
        if not alive[place]:
            continue
        if scores[place] < threshold:
            return kept, float(scores[place])
        kept.append(place)
        alive &= ~over[place]
    return kept, 0.0


def decode_instances(
    outputs: Outputs, seen: Sequence[Seen], decoder: InstanceMasksDecoder, classes: tuple[str, ...]
) -> list[Answer]:
    """A mask for each object, best first.

    An object's score is the model's. The item's confidence is the lowest of them, and of 1 - the score of the strongest
    object that was left out for its score alone.

    Args:
        outputs: masks (rows, objects, h, w), scores (rows, objects, columns), or (rows, objects) with labels.
        seen: the size of each row's picture.
        decoder: see there.
        classes: by index, without the background.
    """
    rows = len(seen)
    wrong = expect(outputs, decoder.masks, (rows, None, None, None))
    count = outputs[decoder.masks].shape[1] if wrong is None else None
    columns = len(classes) + (decoder.background is not None)
    wrong = wrong or expect(outputs, decoder.scores, (rows, count) if decoder.labels else (rows, count, columns))
    if wrong is None and decoder.labels is not None:
        wrong = expect(outputs, decoder.labels, (rows, count))
    if wrong is not None:
        return [bad(wrong)] * rows
    p, whole = activate(outputs[decoder.scores], decoder.activation)
    known = np.ones((rows, count or 0), dtype=np.bool_)
    if decoder.labels is None:
        scores, labels = best_classes(p, decoder.background)
    else:
        raw = np.asarray(outputs[decoder.labels], dtype=np.float64)
        known = np.isfinite(raw) & (raw >= 0) & (raw < len(classes))
        scores, labels = p, np.where(known, raw, 0).astype(np.int64)
    whole &= (known | (scores < decoder.score_threshold)).all(axis=1)
    found: list[Answer] = []
    for row, one in enumerate(seen):
        grids = outputs[decoder.masks][row]
        size = one.size or (grids.shape[2], grids.shape[1])
        if not whole[row]:
            found.append(not_whole(decoder.activation))
        else:
            found.append(_instances(grids, scores[row], labels[row], size, (decoder, classes)))
    return found


def _instances(
    grids: Tensor,
    scores: Floats,
    labels: Whole,
    size: tuple[int, int],
    read: tuple[InstanceMasksDecoder, tuple[str, ...]],
) -> Answer:
    decoder, classes = read
    too_large = _too_large(size)
    if too_large:
        return bad(too_large)
    order = np.argsort(-scores, kind="stable")
    above = order[scores[order] >= decoder.score_threshold]
    if len(above) > LOOKED_AT * decoder.max_objects:
        return bad(f"{TOO_MANY}: {len(above)} candidates, the limit is {LOOKED_AT * decoder.max_objects}")
    looked = order[: len(above) + DOUBTED]
    p, whole = activate(grids[looked], decoder.masks_activation)
    if not whole.all():
        return not_whole(decoder.masks_activation)
    on = p >= decoder.mask_threshold
    kept, doubt = suppress_masks(
        on.reshape(len(looked), -1),
        scores[looked],
        labels[looked],
        threshold=decoder.score_threshold,
        iou=decoder.iou_threshold,
        class_wise=decoder.class_wise,
    )
    if len(kept) > decoder.max_objects:
        return bad(f"{TOO_MANY}: {len(kept)} masks, the limit is {decoder.max_objects}")
    masks, marks = [], []
    for place in kept:
        lengths, values = runs(enlarge(on[place], size))
        if len(lengths) > MAX_RUNS:
            return bad(f"a mask has {len(lengths)} runs, the limit is {MAX_RUNS}")
        if values.any():
            counts = counts_of(lengths, values)
            masks.append(Mask(counts=counts, label=classes[labels[looked[place]]]))
            marks.append(sure(float(scores[looked[place]])))
    value = Masks(width=size[0], height=size[1], masks=tuple(masks))
    return Decoded(value, min((*marks, sure(1.0 - doubt))), tuple(marks))


LOOKED_AT = 10
"""How many times as many masks as may be kept are compared with each other."""
DOUBTED = 20
"""How many masks below the threshold are looked at for the strongest that is left out."""
