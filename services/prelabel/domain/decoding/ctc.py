"""Text of connectionist temporal classification: greedy, and prefix beam search, of a whole batch at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.prelabel.domain.decoding.base import (
    TINIEST,
    Answer,
    Decoded,
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
)
from shared.events import CtcDecoder
from shared.labels import Transcript
from shared.labels.values import MAX_TEXT

Names = NDArray[np.uint64]

NEVER = -np.inf
MASS_TOLERANCE = 1e-2
ELEMENTS = 4_000_000
"""How many numbers a step of the beam search holds at once."""
NOBODY = np.uint64(0)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
ROOT = np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True, slots=True)
class Text:
    """Columns in the order that they are written, and the natural logarithm of their probability."""

    columns: list[int]
    log_p: float


def past_the_end(p: Floats, lengths: Whole, blank: int) -> Floats:
    """The same, with a certain blank for each frame that does not count: it changes no text and no probability."""
    counts = np.arange(p.shape[1]) < lengths[:, None]
    if counts.all():
        return p
    return np.where(counts[:, :, None], p, np.eye(p.shape[2])[blank])


def greedy(p: Floats, blank: int) -> list[Text]:
    """The best column of each frame, repeats taken together, blanks left out; its probability is that of this path.

    Args:
        p: probabilities, (rows, frames, columns).
        blank: the column that writes nothing.
    """
    best = p.argmax(axis=2)
    before = np.concatenate([np.full((len(p), 1), -1), best[:, :-1]], axis=1)
    written = (best != blank) & (best != before)
    logs = np.log(np.maximum(p.max(axis=2), TINIEST)).sum(axis=1)
    return [Text(best[row, written[row]].tolist(), float(logs[row])) for row in range(len(p))]


@dataclass(frozen=True, slots=True)
class _Beams:
    """The prefixes of every row, (rows, width) each.

    Attributes:
        blank: log probability of the prefix by alignments that end in a blank.
        other: by those that end in its last column.
        last: its last column; -1: it is empty.
        name, parent: numbers for the prefix, and for it without its last column: equal prefixes that came about in
            different ways meet by them. 0: of no prefix.
    """

    blank: Floats
    other: Floats
    last: Whole
    name: Names
    parent: Names

    @classmethod
    def start(cls, rows: int) -> "_Beams":
        shape = (rows, 1)
        return cls(
            np.zeros(shape), np.full(shape, NEVER), np.full(shape, -1), np.full(shape, ROOT), np.zeros(shape, np.uint64)
        )

    @property
    def total(self) -> Floats:
        return np.logaddexp(self.blank, self.other)


def beam_search(p: Floats, blank: int, width: int) -> list[Text]:
    """Prefix beam search without a language model (Graves 2012, Supervised Sequence Labelling, 7.5.3; Hannun 2014).

    Args:
        p: probabilities, (rows, frames, columns).
        blank: the column that writes nothing.
        width: prefixes that are kept; where there are no more than that, the best text is exact.

    Returns:
        Of each row the most probable text, by all of its alignments that stayed in the beam.
    """
    rows, frames, columns = p.shape
    most = max(1, ELEMENTS // (width * max(width, columns)))
    if rows > most:
        return [text for at in range(0, rows, most) for text in beam_search(p[at : at + most], blank, width)]
    logs = np.log(np.maximum(p, TINIEST))
    beams, steps = _Beams.start(rows), []
    for frame in range(frames):
        beams, source, column = _step(beams, logs[:, frame], blank, width)
        steps.append((source, column))
    at, every = beams.total.argmax(axis=1), np.arange(rows)
    found: list[list[int]] = [[] for _ in range(rows)]
    log_p = beams.total[every, at]
    for source, column in reversed(steps):
        for row in np.flatnonzero(column[every, at] >= 0).tolist():
            found[row].append(int(column[row, at[row]]))
        at = source[every, at]
    return [Text(columns[::-1], float(one)) for columns, one in zip(found, log_p.tolist(), strict=True)]


def _step(beams: _Beams, logs: Floats, blank: int, width: int) -> tuple[_Beams, Whole, Whole]:
    """One frame, logs (rows, columns): the new prefixes, which old one each came from, and the column added, or -1."""
    rows, kept = beams.last.shape
    columns, empty, last = logs.shape[1], beams.last < 0, np.maximum(beams.last, 0)
    every, each = np.arange(rows)[:, None], np.arange(kept)[None]
    stay_blank = beams.total + logs[:, blank, None]
    stay_other = np.where(empty, NEVER, beams.other + np.take_along_axis(logs, last, axis=1))
    extend = beams.total[:, :, None] + logs[:, None]
    again = beams.blank + np.take_along_axis(logs, last, axis=1)  # a repeat is a new letter only after a blank
    extend[every, each, last] = np.where(empty, extend[every, each, last], again)
    extend[:, :, blank] = NEVER

    meets = (beams.name[:, :, None] == beams.parent[:, None]) & ~empty[:, None]
    row, shorter, longer = np.nonzero(meets)
    joined = extend[row, shorter, last[row, longer]]
    stay_other[row, longer] = np.logaddexp(stay_other[row, longer], joined)
    extend[row, shorter, last[row, longer]] = NEVER

    candidates = np.concatenate([np.logaddexp(stay_blank, stay_other), extend.reshape(rows, -1)], axis=1)
    chosen = _top(candidates, width)
    stays, grown = chosen < kept, np.maximum(chosen - kept, 0)
    source, column = np.where(stays, chosen, grown // columns), np.where(stays, -1, grown % columns)
    name = np.take_along_axis(beams.name, source, axis=1)
    longer_name = (name + np.uint64(1) + column.astype(np.uint64)) * MULTIPLIER
    score = np.take_along_axis(candidates, chosen, axis=1)
    dead = score == NEVER
    new = _Beams(
        blank=np.where(stays, np.take_along_axis(stay_blank, source, axis=1), NEVER),
        other=np.where(stays, np.take_along_axis(stay_other, source, axis=1), score),
        last=np.where(stays, np.take_along_axis(beams.last, source, axis=1), column),
        name=np.where(dead, NOBODY, np.where(stays, name, longer_name ^ (longer_name >> np.uint64(29)))),
        parent=np.where(dead, NOBODY, np.where(stays, np.take_along_axis(beams.parent, source, axis=1), name)),
    )
    return new, source, column


def _top(candidates: Floats, width: int) -> Whole:
    """The places of the `width` largest of each row, largest first."""
    if candidates.shape[1] > width:
        near = np.argpartition(-candidates, width - 1, axis=1)[:, :width]
        order = np.argsort(-np.take_along_axis(candidates, near, axis=1), axis=1, kind="stable")
        return np.take_along_axis(near, order, axis=1)
    return np.argsort(-candidates, axis=1, kind="stable")


def decode_ctc(outputs: Outputs, seen: Sequence[Seen], decoder: CtcDecoder) -> list[Answer]:
    """The text of each row, with single spaces between words.

    The confidence is the probability of the text (greedy: of its path) to the power of one over its letters: that of a
    letter, so that long and short texts compare.

    Args:
        outputs: scores (rows, frames, symbols); the lengths, where the decoder names them.
        seen: one for each row.
        decoder: see there.
    """
    rows, columns = len(seen), len(decoder.alphabet)
    wrong = expect(outputs, decoder.scores, (rows, None, columns))
    if wrong is not None:
        return [bad(wrong)] * rows
    raw = outputs[decoder.scores]
    lengths = lengths_of(outputs, decoder.lengths, rows, raw.shape[1])
    real = np.arange(raw.shape[1]) < lengths[:, None]
    p, whole = activate(np.where(real[:, :, None], raw, 0.0), decoder.activation)
    sums = p.sum(axis=2)
    whole &= (~real | (np.abs(sums - 1.0) <= MASS_TOLERANCE)).all(axis=1)
    p = past_the_end(np.where(whole[:, None, None], p, 1.0 / columns), lengths, decoder.blank)
    texts = greedy(p, decoder.blank) if decoder.beam == 1 else beam_search(p, decoder.blank, decoder.beam)
    return [
        _transcript(text, decoder) if ok and length >= 0 else _why(decoder, ok=ok)
        for text, ok, length in zip(texts, whole.tolist(), lengths.tolist(), strict=True)
    ]


def _why(decoder: CtcDecoder, *, ok: bool) -> Answer:
    if ok:
        return bad(f"output {decoder.lengths!r} says more frames than there are, or no number")
    if decoder.activation == "softmax":
        return not_whole("softmax")
    return bad("the model answered with NaN, infinity or frames that are no distribution: see decoder.activation")


def _transcript(text: Text, decoder: CtcDecoder) -> Answer:
    written = " ".join("".join(decoder.alphabet[column] for column in text.columns).split())
    if len(written) > MAX_TEXT:
        return bad(f"a text of {len(written)} characters, the limit is {MAX_TEXT}")
    return Decoded(Transcript(text=written), sure(float(np.exp(text.log_p / max(1, len(text.columns))))))
