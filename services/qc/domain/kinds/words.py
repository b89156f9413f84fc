"""Lines of words: how they are split, compared, and aligned into slots one after another (ROVER, Fiscus 1997)."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rapidfuzz.distance import Indel, Levenshtein

NOTHING = ""
ALIKE = 0.5
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


def cost(key: str, slot: Slot) -> float:
    """Of placing a word in a slot: nearly nothing where others have it, less where theirs are like it."""
    if key in slot.votes:
        return 0.2 * (1.0 - slot.votes[key] / len(slot.by))
    near = max(Indel.normalized_similarity(key, other) for other in slot.votes)
    return 1.0 - (0.3 * near if near > ALIKE else 0.0)


def align(line: Sequence[str], slots: Sequence[Slot], people: int) -> list[Slot]:
    """The slots with one more line in them, along the cheapest path.

    Args:
        line: of words.
        slots: those so far; changed.
        people: how many lines are in the slots.
    """
    rows, columns = len(line) + 1, len(slots) + 1
    skips = [1.0 - 0.5 * slot.votes[NOTHING] / people for slot in slots]
    table = [[0.0] * columns for _ in range(rows)]
    for column, skip in enumerate(skips):
        table[0][column + 1] = table[0][column] + skip
    for row, key in enumerate(line, 1):
        before, now = table[row - 1], table[row]
        now[0] = before[0] + 1.0
        left = now[0]
        for column, slot in enumerate(slots, 1):
            placed = before[column - 1] + cost(key, slot)
            left = min(placed, before[column] + 1.0, left + skips[column - 1])
            now[column] = left
    return _threaded(line, slots, table, skips, people)


def _threaded(
    line: Sequence[str], slots: Sequence[Slot], table: list[list[float]], skips: list[float], people: int
) -> list[Slot]:
    found: list[Slot] = []
    row, column = len(line), len(slots)
    while row or column:
        here = table[row][column]
        if row and column and here == table[row - 1][column - 1] + cost(line[row - 1], slots[column - 1]):
            row, column = row - 1, column - 1
            slot, key = slots[column], line[row]
        elif column and here == table[row][column - 1] + skips[column - 1]:
            column -= 1
            slot, key = slots[column], NOTHING
        else:
            row -= 1
            slot, key = Slot(Counter({NOTHING: people}), [NOTHING] * people), line[row]
        found.append(slot)
        slot.votes[key] += 1
        slot.by.append(key)
    return found[::-1]
