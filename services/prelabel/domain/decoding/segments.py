"""Scores of frames to stretches of time."""

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
    Whole,
    activate,
    bad,
    expect,
    lengths_of,
    not_whole,
    sure,
    sure_all,
)
from shared.events import FramesDecoder
from shared.labels import Segment, Segments

MICROSECONDS = 6
SLIVER_S = 1e-6


def stretches(active: Flags) -> tuple[Whole, Whole, Whole]:
    """Every run of True along the last axis of (series, frames): series, first frame, the one after its last."""
    padded = np.zeros((active.shape[0], active.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = active
    steps = np.diff(padded, axis=1)
    series, first = np.nonzero(steps == 1)
    return series, first, np.nonzero(steps == -1)[1]


def join(series: Whole, first: Whole, after: Whole, gap: int) -> tuple[Whole, Whole, Whole]:
    """Runs of the same series with at most `gap` frames between them, as one."""
    if not len(series) or gap <= 0:
        return series, first, after
    parts = np.concatenate([[True], (series[1:] != series[:-1]) | (first[1:] - after[:-1] > gap)])
    begins = np.flatnonzero(parts)
    ends = np.concatenate([begins[1:], [len(series)]]) - 1
    return series[begins], first[begins], after[ends]


def decode_frames(
    outputs: Outputs, seen: Sequence[Seen], decoder: FramesDecoder, classes: tuple[str, ...]
) -> list[Answer]:
    """Segments of each row by their start.

    A segment's score is the mean of its class over its frames, gaps that were joined included. The item's confidence is
    the lowest of them, and of 1 - the highest score that no segment holds.

    Args:
        outputs: scores (rows, frames, columns); the lengths, where the decoder names them.
        seen: the length of each row's sound; no segment goes beyond it.
        decoder: see there.
        classes: by index, without the background.
    """
    rows, columns = len(seen), len(classes) + (decoder.background is not None)
    wrong = expect(outputs, decoder.scores, (rows, None, columns))
    if wrong is not None:
        return [bad(wrong)] * rows
    raw = outputs[decoder.scores]
    frames = raw.shape[1]
    lengths = lengths_of(outputs, decoder.lengths, rows, frames)
    within = [frames if one.seconds is None else _frames(one.seconds, decoder) for one in seen]
    counts = np.arange(frames) < np.minimum(lengths, within)[:, None]
    p, whole = activate(np.where(counts[:, :, None], raw, 0.0), decoder.activation)
    active = (p >= decoder.threshold) & counts[:, :, None]
    if decoder.activation == "softmax":
        active &= np.arange(columns) == p.argmax(axis=2)[:, :, None]
    if decoder.background is not None:
        p, active = np.delete(p, decoder.background, axis=2), np.delete(active, decoder.background, axis=2)
    p = np.where(counts[:, :, None], p, 0.0)
    found = _segments(p.transpose(0, 2, 1), active.transpose(0, 2, 1), decoder, [one.seconds for one in seen])
    return [
        _row(part, doubt, decoder, classes) if ok and length >= 0 else _why(decoder, ok=ok)
        for (part, doubt), ok, length in zip(found, whole.tolist(), lengths.tolist(), strict=True)
    ]


def _frames(seconds: float, decoder: FramesDecoder) -> int:
    """How many frames begin before the end of the sound."""
    return int(np.ceil(max(0.0, seconds - decoder.offset_s) / decoder.hop_s - SLIVER_S))


def _why(decoder: FramesDecoder, *, ok: bool) -> Answer:
    return (
        bad(f"output {decoder.lengths!r} says more frames than there are, or no number")
        if ok
        else not_whole(decoder.activation)
    )


Found = list[tuple[float, float, int, float]]
"""Start and end in seconds, class, score."""


def _segments(
    p: Floats, active: Flags, decoder: FramesDecoder, seconds: Sequence[float | None]
) -> list[tuple[Found, float]]:
    """Of each row its segments, and the highest score outside of them. Both arrays: (rows, classes, frames)."""
    rows, number, frames = p.shape
    if not frames:
        return [([], 0.0)] * rows
    flat = p.reshape(rows * number, frames)
    gap = int(decoder.join_s / decoder.hop_s + SLIVER_S)
    series, first, after = join(*stretches(active.reshape(rows * number, frames)), gap)
    long = (after - first) * decoder.hop_s >= decoder.min_s - SLIVER_S
    series, first, after = series[long], first[long], after[long]
    sums = np.concatenate([np.zeros((len(flat), 1)), flat.cumsum(axis=1)], axis=1)
    means = (sums[series, after] - sums[series, first]) / (after - first)
    marks = np.zeros((len(flat), frames + 1), dtype=np.int64)
    np.add.at(marks, (series, first), 1)
    np.add.at(marks, (series, after), -1)
    outside = np.where(marks.cumsum(axis=1)[:, :frames] > 0, 0.0, flat).reshape(rows, -1).max(axis=1, initial=0.0)
    begins = np.round(decoder.offset_s + first * decoder.hop_s, MICROSECONDS)
    ends = np.round(decoder.offset_s + after * decoder.hop_s, MICROSECONDS)
    found: list[Found] = [[] for _ in range(rows)]
    for one, start, end, mean in zip(series.tolist(), begins.tolist(), ends.tolist(), means.tolist(), strict=True):
        row, label = divmod(one, number)
        limit = seconds[row]
        stop = end if limit is None else min(end, limit)
        if stop > start:
            found[row].append((start, stop, label, mean))
    return [(sorted(one), doubt) for one, doubt in zip(found, outside.tolist(), strict=True)]


def _row(found: Found, doubt: float, decoder: FramesDecoder, classes: tuple[str, ...]) -> Answer:
    if len(found) > decoder.max_objects:
        return bad(f"{TOO_MANY}: {len(found)} segments, the limit is {decoder.max_objects}")
    segments = tuple(Segment(start=start, end=end, label=classes[label]) for start, end, label, _ in found)
    scores = sure_all([score for *_, score in found])
    return Decoded(Segments(segments=segments), min((*scores, sure(1.0 - doubt))), scores)
