"""Lines of words: how they are split, compared, and aligned into slots one after another (ROVER, Fiscus 1997)."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel, Levenshtein
from rapidfuzz.process import cdist

from services.qc.domain.answers import Floats, Ints

NOTHING = ""
ALIKE = 0.5
TINY = 1e-9
PLACE, LEAVE, ADD = range(3)
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
TOKENS = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:['\u2019][^\W_{UNSPACED}]+)*")
SINGLE = re.compile(rf"[{UNSPACED}]")
APOSTROPHES = str.maketrans("", "", "'\u2019")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is compared, and as it was written, with the punctuation after it."""

    key: str
    written: str


def words(text: str) -> tuple[Word, ...]:
    """The words of a text; scripts without spaces by character. Case, punctuation and width don't count."""
    plain = unicodedata.normalize("NFKC", text)
    found = list(TOKENS.finditer(plain))
    if not found:
        return ()
    ends = [each.start() for each in found[1:]] + [len(plain)]
    starts = [0, *(each.start() for each in found[1:])]
    return tuple(
        Word(each.group().translate(APOSTROPHES).casefold(), plain[start:end].strip())
        for each, start, end in zip(found, starts, ends, strict=True)
    )


def text_of(written: Sequence[str]) -> str:
    """Words as one text; no space between characters of scripts that have none."""
    found = ""
    for each in written:
        close = not found or (SINGLE.search(found[-1:]) and SINGLE.match(each))
        found += each if close else f" {each}"
    return found


@lru_cache(maxsize=256)  # each answer to an item is compared with all others
def _keys(text: str) -> tuple[str, ...]:
    return tuple(each.key for each in words(text))


def keys(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return list(_keys(text))


def edits(left: Sequence[str], right: Sequence[str]) -> int:
    """Words (or characters) to insert, delete or replace."""
    return int(Levenshtein.distance(left, right))


@dataclass(slots=True)
class Slot:
    """One place of the line: the words that people have there, NOTHING where they have none."""

    votes: Counter[str] = field(default_factory=Counter)
    by: list[str] = field(default_factory=list)


def costs(line: Sequence[str], slots: Sequence[Slot]) -> tuple[Ints, Floats]:
    """What placing words in slots costs: nearly nothing where others have them, less where theirs are like them.

    Returns:
        The row of each word of the line, (words,), and the costs, (different words, slots).
    """
    known, row = np.unique(np.array(line, dtype=object), return_inverse=True)
    seat = {key: at for at, key in enumerate(known.tolist())}
    there = sorted({key for slot in slots for key in slot.votes})
    place = {key: at for at, key in enumerate(there)}
    starts = np.cumsum([0, *(len(slot.votes) for slot in slots[:-1])])
    near = cdist(known.tolist(), there, scorer=Indel.normalized_similarity, dtype=np.float64)
    near = near[:, [place[key] for slot in slots for key in slot.votes]]
    near = np.maximum.reduceat(near, starts, axis=1)
    found: Floats = 1.0 - 0.3 * np.where(near > ALIKE, near, 0.0)
    for column, slot in enumerate(slots):
        for key, votes in slot.votes.items():
            if key in seat:
                found[seat[key], column] = 0.2 * (1.0 - votes / len(slot.by))
    return row.astype(np.int32), found


def align(line: Sequence[str], slots: Sequence[Slot], people: int) -> list[Slot]:
    """The slots with one more line in them, along the cheapest path.

    Args:
        line: of words.
        slots: those so far; changed.
        people: how many lines are in the slots.
    """
    if not line or not slots:
        return _threaded(line, slots, np.full((len(line) + 1, len(slots) + 1), LEAVE, dtype=np.int8), people)
    skips = np.array([1.0 - 0.5 * slot.votes[NOTHING] / people for slot in slots])
    left = np.concatenate([[0.0], np.cumsum(skips)])
    row, cost = costs(line, slots)
    steps = np.full((len(line) + 1, len(left)), LEAVE, dtype=np.int8)
    before = left
    for at, key in enumerate(row.tolist(), 1):
        placed = before[:-1] + cost[key]
        now = before + 1.0
        now[1:] = np.minimum(placed, now[1:])
        now = np.minimum.accumulate(now - left) + left  # a slot may be left out after any way to the one before
        leaving = np.where(now[:-1] + skips <= now[1:] + TINY, LEAVE, ADD)
        steps[at, 1:] = np.where(placed <= now[1:] + TINY, PLACE, leaving)
        before = now
    steps[1:, 0] = ADD
    return _threaded(line, slots, steps, people)


def _threaded(line: Sequence[str], slots: Sequence[Slot], steps: NDArray[np.int8], people: int) -> list[Slot]:
    found: list[Slot] = []
    row, column = len(line), len(slots)
    while row or column:
        step = ADD if not column else LEAVE if not row else steps[row, column]
        if step == PLACE:
            row, column = row - 1, column - 1
            slot, key = slots[column], line[row]
        elif step == LEAVE:
            column -= 1
            slot, key = slots[column], NOTHING
        else:
            row -= 1
            slot, key = Slot(Counter({NOTHING: people}), [NOTHING] * people), line[row]
        found.append(slot)
        slot.votes[key] += 1
        slot.by.append(key)
    return found[::-1]
