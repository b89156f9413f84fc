"""Boxes: best class, score threshold, greedy non-maximum suppression, back to the picture's own pixels."""

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
from shared.events import BoxesDecoder, ImageInput
from shared.labels import Box, Boxes

CORNERS = 4
PLACES = 3
"""Decimals of a pixel that travel."""


def iou_with(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box, (4,), with others, (n, 4), as corners; 0 where both are empty."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0.0))


def suppress(
    corners: Floats, scores: Floats, classes: Whole, *, threshold: float, iou: float, class_wise: bool
) -> tuple[list[int], float]:
    """Greedy non-maximum suppression.

    The best box is kept, those that overlap it by more than `iou` are left out, and so on while scores reach the
    threshold. A box that does not reach it suppresses nothing that does, so one pass also finds the strongest that was
    left out for its score alone.

    Args:
        corners: shape (n, 4).
        scores: shape (n,); of equal ones the first comes first.
        classes: shape (n,).
        threshold: least score of a kept box.
        iou: most overlap with a better box.
        class_wise: whether boxes of different classes leave each other alone.

    Returns:
        The kept boxes, best first; and the score of the best survivor below the threshold, 0 where there is none.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        if scores[best] < threshold:
            return kept, float(scores[best])
        kept.append(best)
        over = iou_with(corners[best], corners[order]) > iou
        order = order[~(over & (classes[order] == classes[best]))] if class_wise else order[~over]
    return kept, 0.0


def _corners(raw: Floats, style: str) -> Floats:
    """(..., 4) in any format to corners."""
    first, second = raw[..., :2], raw[..., 2:]
    if style == "xyxy":
        return raw
    if style == "xywh":
        return np.concatenate([first, first + second], axis=-1)
    return np.concatenate([first - second / 2, first + second / 2], axis=-1)


def best_classes(p: Tensor, background: int | None) -> tuple[Floats, Whole]:
    """Score and class of the best column, (..., columns) to (...) twice; the background's column is passed over."""
    if background is not None:
        p = np.delete(p, background, axis=-1)
    return p.max(axis=-1), p.argmax(axis=-1).astype(np.int64)


def _best(raw: Tensor, decoder: BoxesDecoder) -> tuple[Floats, Whole, Flags]:
    """Score and class of each box, (rows, n), of raw scores (rows, n, columns), and the rows that are whole.

    Without a softmax the best column is so before its activation too: only it is activated, and the lowest, so that
    numbers out of range are seen. NaN is the largest and the lowest there is.
    """
    if decoder.activation == "softmax":
        p, whole = activate(raw, decoder.activation)
        scores, classes = best_classes(p[..., 1:] * p[..., :1] if decoder.objectness else p, decoder.background)
        return scores, classes, whole
    columns = raw[..., 1:] if decoder.objectness else raw
    top, classes = best_classes(columns, decoder.background)
    first = raw[..., 0] if decoder.objectness else top
    p, whole = activate(np.stack([top, columns.min(axis=-1), first], axis=-1), decoder.activation)
    return p[..., 0] * p[..., 2] if decoder.objectness else p[..., 0], classes, whole


def _scored(outputs: Outputs, decoder: BoxesDecoder, number: int) -> tuple[Floats, Floats, Whole, Flags] | str:
    """Raw boxes (rows, n, 4), scores and classes (rows, n), and the rows that are whole; or what shape is wrong."""
    raw_boxes, raw = outputs[decoder.boxes], outputs[decoder.scores]
    if decoder.transposed:
        raw_boxes = raw_boxes.swapaxes(1, 2) if raw_boxes.ndim == CORNERS - 1 else raw_boxes
        raw = raw.swapaxes(1, 2) if raw.ndim == CORNERS - 1 else raw
    columns = number + decoder.objectness + (decoder.background is not None)
    together = decoder.boxes == decoder.scores
    seen = {decoder.boxes: raw_boxes, decoder.scores: raw}
    rows = len(raw_boxes)
    shapes: list[tuple[str, tuple[int | None, ...]]] = [(decoder.boxes, (rows, None, CORNERS + columns * together))]
    if not together:
        count = raw_boxes.shape[1] if raw_boxes.ndim > 1 else 0
        shapes.append((decoder.scores, (rows, count) if decoder.labels else (rows, count, columns)))
        if decoder.labels is not None:
            seen[decoder.labels] = outputs[decoder.labels]
            shapes.append((decoder.labels, (rows, count)))
    for name, shape in shapes:
        wrong = expect(seen, name, shape)
        if wrong is not None:
            return wrong
    if decoder.labels is not None:
        scores, whole = activate(raw, decoder.activation)
        labels = np.asarray(seen[decoder.labels], dtype=np.float64)
        known = np.isfinite(labels) & (labels >= 0) & (labels < number)
        whole &= (known | (scores < decoder.score_threshold)).all(axis=1)
        classes = np.where(known, labels, 0).astype(np.int64)
    else:
        scores, classes, whole = _best(raw[..., CORNERS:] if together else raw, decoder)
    corners = np.asarray(raw_boxes[..., :CORNERS], dtype=np.float64)
    whole &= np.isfinite(corners).all(axis=(1, 2))
    return corners, scores, classes, whole


def decode_boxes(
    outputs: Outputs, seen: Sequence[Seen], decoder: BoxesDecoder, classes: tuple[str, ...], spec: ImageInput
) -> list[Answer]:
    """Boxes of each row, best first, in the pixels of its picture; what lies outside the picture is cut off.

    An object's score is that of its box. The item's confidence is the lowest of them, and of 1 - the score of the
    strongest box that was left out for its score alone.

    Args:
        outputs: by name, first axis the rows.
        seen: the size of each row's picture.
        decoder: see there for shapes and thresholds.
        classes: by index.
        spec: says the size of the model's input, that pixel coordinates are of.
    """
    scored = _scored(outputs, decoder, len(classes))
    if isinstance(scored, str):
        return [bad(scored)] * len(seen)
    raw, scores, labels, whole = scored
    raw = raw if decoder.coordinates == "normalised" else raw / np.tile([spec.width, spec.height], 2)
    corners = np.clip(_corners(raw, decoder.format), 0.0, 1.0)
    found: list[Answer] = []
    for row, one in enumerate(seen):
        if not whole[row]:
            found.append(_why(decoder, corners[row]))
            continue
        size = one.size or (spec.width, spec.height)
        own = np.round(corners[row] * np.tile(size, 2), PLACES)
        found.append(_row(own, scores[row], labels[row], decoder, classes))
    return found


def _why(decoder: BoxesDecoder, corners: Floats) -> Answer:
    if decoder.labels is not None and np.isfinite(corners).all():
        return bad("the model answered with NaN, or with labels or scores out of range")
    return not_whole(decoder.activation)


def _row(corners: Floats, scores: Floats, labels: Whole, decoder: BoxesDecoder, classes: tuple[str, ...]) -> Answer:
    places = np.flatnonzero((corners[:, 2:] > corners[:, :2]).all(axis=1))
    if len(places) > decoder.max_candidates:
        order = np.argsort(-scores[places], kind="stable")[: decoder.max_candidates]
        places = places[np.sort(order)]
    kept, doubt = suppress(
        corners[places],
        scores[places],
        labels[places],
        threshold=decoder.score_threshold,
        iou=decoder.iou_threshold,
        class_wise=decoder.class_wise,
    )
    if len(kept) > decoder.max_objects:
        return bad(f"{TOO_MANY}: {len(kept)} boxes, the limit is {decoder.max_objects}")
    chosen = places[kept]
    marks = sure_all(scores[chosen])
    boxes = tuple(
        Box(x=x0, y=y0, width=x1 - x0, height=y1 - y0, label=classes[label])
        for (x0, y0, x1, y1), label in zip(corners[chosen].tolist(), labels[chosen].tolist(), strict=True)
    )
    return Decoded(Boxes(boxes=boxes), min((*marks, sure(1.0 - doubt))), marks)
