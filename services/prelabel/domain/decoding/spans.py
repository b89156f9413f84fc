"""BIO and BILOU tags of tokens to spans of characters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.prelabel.domain.decoding.base import (
    TINIEST,
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
    not_whole,
    sure,
    sure_all,
)
from shared.events import TagsDecoder
from shared.events.decoders import tags_of
from shared.labels import Span, Spans

OUTSIDE = -1
IMPOSSIBLE = -1e30
LEADING, CONTINUES = 0xC0, 0x80
"""A byte of UTF-8 that continues a character begins with the bits 10."""


@dataclass(frozen=True, slots=True)
class TagSet:
    """The columns of the scores, read.

    Attributes:
        letters: of each tag, one of O B I L U.
        classes: index of each tag's class; -1 for O.
        follows: (tags, tags), whether the second may come right after the first.
        opens, closes: whether a text may begin or end with a tag.
    """

    letters: tuple[str, ...]
    classes: Whole
    follows: Flags
    opens: Flags
    closes: Flags

    @classmethod
    def of(cls, decoder: TagsDecoder, classes: tuple[str, ...]) -> "TagSet":
        """Of a decoder whose tags were checked."""
        tags = tags_of(decoder, classes)
        letters = tuple(tag[0] for tag in tags)
        owners = [OUTSIDE if tag == "O" else classes.index(tag[2:]) for tag in tags]
        bilou = decoder.scheme == "bilou"
        goes_on = [bilou and letter in "BI" for letter in letters]
        follows = np.zeros((len(tags), len(tags)), dtype=np.bool_)
        for before, letter in enumerate(letters):
            for after, other in enumerate(letters):
                inner = other in "IL"
                same = letter in "BI" and owners[before] == owners[after]
                follows[before, after] = same if inner else not goes_on[before]
        opens = np.array([letter not in "IL" for letter in letters])
        return cls(letters, np.array(owners), follows, opens, ~np.array(goes_on))


def viterbi(p: Floats, lengths: Whole, tags: TagSet) -> Whole:
    """The most probable sequence of tags without an error of the scheme, tokens being independent.

    Args:
        p: shape (rows, tokens, tags).
        lengths: tokens of each row that count.
        tags: says what may follow what.

    Returns:
        Shape (rows, tokens); what is past a row's length means nothing.
    """
    logs = np.log(np.maximum(p, TINIEST))
    rows, tokens, _ = p.shape
    best = logs[:, 0] + np.where(tags.opens, 0.0, IMPOSSIBLE)
    back = np.zeros(p.shape, dtype=np.int64)
    step = np.where(tags.follows, 0.0, IMPOSSIBLE)
    for token in range(1, tokens):
        ways = best[:, :, None] + step
        back[:, token] = ways.argmax(axis=1)
        reached = np.take_along_axis(ways, back[:, token][:, None], axis=1)[:, 0] + logs[:, token]
        best = np.where((token < lengths)[:, None], reached, best)
    path = np.zeros((rows, tokens), dtype=np.int64)
    at = (best + np.where(tags.closes, 0.0, IMPOSSIBLE)).argmax(axis=1)
    every = np.arange(rows)
    for token in range(tokens - 1, -1, -1):
        path[:, token] = at
        at = np.where(token < lengths, back[every, token, at], at)
    return path


def entities(path: Whole, tags: TagSet) -> tuple[Whole, Whole, Whole]:
    """First and last token (inclusive) and class of each entity in a sequence of tags, (tokens,).

    As conlleval reads chunks (CoNLL-2000): an entity ends where the next token is outside, begins another, or has
    another class; an I or L without a beginning begins one.
    """
    letters = np.array(tags.letters)[path]
    owners = tags.classes[path]
    inside = owners != OUTSIDE
    before = np.concatenate([[OUTSIDE], owners[:-1]])
    ended = np.concatenate([[True], np.isin(letters[:-1], ("O", "L", "U"))])
    starts = inside & (np.isin(letters, ("B", "U")) | ended | (before != owners))
    first = np.flatnonzero(starts)
    stops = np.flatnonzero(np.concatenate([~inside, [True]]))
    bounds = np.minimum(np.concatenate([first[1:], [len(path)]]), stops[np.searchsorted(stops, first)])
    return first, bounds - 1, owners[first]


def decode_tags(outputs: Outputs, seen: Sequence[Seen], decoder: TagsDecoder, classes: tuple[str, ...]) -> list[Answer]:
    """Spans of each row, in the order of the text.

    A span's score is the lowest probability among the tags of its tokens; the item's confidence, the lowest among all
    of its tokens: the least sure of the decisions.

    Args:
        outputs: scores (rows, tokens, tags); offsets (rows, tokens, 2), where the decoder names them.
        seen: the text and, where the graph gives none, the tokens' offsets.
        decoder: see there.
        classes: by index.
    """
    tags = TagSet.of(decoder, classes)
    wrong = expect(outputs, decoder.scores, (len(seen), None, len(tags.letters)))
    if wrong is None and decoder.offsets is not None:
        wrong = expect(outputs, decoder.offsets, (len(seen), outputs[decoder.scores].shape[1], 2))
    if wrong is not None:
        return [bad(wrong)] * len(seen)
    raw = outputs[decoder.scores]
    places = [_places(outputs, one, row, decoder, raw.shape[1]) for row, one in enumerate(seen)]
    kept = [np.zeros(0, dtype=np.int64) if isinstance(one, str) else one[0] for one in places]
    lengths = np.array([len(one) for one in kept], dtype=np.int64)
    packed = np.zeros((len(seen), int(lengths.max(initial=0)), raw.shape[2]))  # what is padding may be anything
    for row, tokens in enumerate(kept):
        packed[row, : len(tokens)] = raw[row, tokens]
    p, whole = activate(packed, decoder.activation)
    path = p.argmax(axis=2)
    if decoder.decoding == "viterbi" and p.shape[1]:
        path = viterbi(p, lengths, tags)
    chosen = np.take_along_axis(p, path[:, :, None], axis=2)[:, :, 0]
    found: list[Answer] = []
    for row, place in enumerate(places):
        if isinstance(place, str):
            found.append(bad(place))
        elif not whole[row]:
            found.append(not_whole(decoder.activation))
        else:
            count = int(lengths[row])
            found.append(_spans(path[row, :count], chosen[row, :count], place[1], (tags, classes), decoder.max_objects))
    return found


def _spans(path: Whole, chosen: Floats, offsets: Whole, read: tuple[TagSet, tuple[str, ...]], most: int) -> Answer:
    tags, classes = read
    if not len(path):
        return Decoded(Spans(spans=()), 1.0)
    first, last, owners = entities(path, tags)
    if len(first) > most:
        return bad(f"{TOO_MANY}: {len(first)} spans, the limit is {most}")
    found = zip(offsets[first, 0].tolist(), offsets[last, 1].tolist(), owners.tolist(), strict=True)
    spans = tuple(Span(start=start, end=end, label=classes[owner]) for start, end, owner in found)
    scores = [float(chosen[start : end + 1].min()) for start, end in zip(first.tolist(), last.tolist(), strict=True)]
    return Decoded(Spans(spans=spans), sure(float(chosen.min())), sure_all(scores))


def _places(outputs: Outputs, one: Seen, row: int, decoder: TagsDecoder, tokens: int) -> tuple[Whole, Whole] | str:
    """Which tokens of a row count, and start and end of what each stands for; or what is wrong."""
    if decoder.offsets is None:
        offsets = np.zeros((0, 2), dtype=np.int64) if one.offsets is None else one.offsets
        if len(offsets) > tokens:
            return f"the model tagged {tokens} tokens, it was given {len(offsets)}"
    else:
        raw = np.asarray(outputs[decoder.offsets][row], dtype=np.float64)
        if not np.isfinite(raw).all():
            return "the offsets hold NaN or infinity"
        offsets = raw.astype(np.int64)
    real = np.flatnonzero(offsets[:, 1] > offsets[:, 0])
    if one.first is not None:
        return _words(offsets, real, one.first)
    chosen = offsets[real]
    if decoder.offsets_unit == "utf8_bytes" and decoder.offsets is not None:
        chosen = code_points(chosen, one.text)
    if len(chosen) and (chosen.min() < 0 or chosen.max() > len(one.text) or (np.diff(chosen, axis=0) < 0).any()):
        return f"the offsets do not lie in order inside the text of {len(one.text)} code points"
    return real, chosen


def _words(offsets: Whole, real: Whole, first: Flags) -> tuple[Whole, Whole]:
    """The first piece of each word, which stands for the whole of it."""
    begins = np.flatnonzero(first[real])
    if not len(begins):
        return real[:0], offsets[:0]
    ends = np.concatenate([begins[1:], [len(real)]]) - 1
    return real[begins], np.stack([offsets[real[begins], 0], offsets[real[ends], 1]], axis=1)


def code_points(offsets: Whole, text: str) -> Whole:
    """Offsets in bytes of UTF-8 to code points; -1 for one that lies inside of a character or past the end."""
    encoded = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    begins = np.concatenate([(encoded & LEADING) != CONTINUES, [True]])
    number = np.where(begins, np.cumsum(begins) - 1, -1)
    inside = (offsets >= 0) & (offsets < len(number))
    return np.where(inside, number[np.where(inside, offsets, 0)], -1).astype(np.int64)
