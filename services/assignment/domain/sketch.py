"""Sketches: 32 small numbers that stand for an item's content, so that likeness can be told without reading it again.

Feature hashing (Weinberger et al. 2009): every four bytes in a row of a text (every number of a feature vector) add to
one of 32 sums, with a sign; both follow from a fixed hash. The cosine of two such vectors is, give or take 0.18, that
of the full ones, and what is nearly the same is nearly the same in both. The vector is scaled to length 1 and kept as
signed bytes of 1/127.
"""

import numpy as np
from numpy.typing import NDArray

from shared.events import Content, FeaturesContent, JsonContent, TextContent

SIZE = 32
GRAM = 4
LONGEST = 20_000
"""Bytes of a text that are looked at."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
Vector = NDArray[np.float32]


def sketch_of(content: Content) -> bytes | None:
    """The sketch of a content; None where assignment cannot see into it (media), or there is nothing in it."""
    match content:
        case TextContent():
            return _of_bytes(content.text.lower().encode("utf-8", "replace")[:LONGEST])
        case JsonContent():
            return _of_bytes(content.model_dump_json(include={"fields"}).encode("utf-8", "replace")[:LONGEST])
        case FeaturesContent():
            numbers = np.asarray(content.features, dtype=np.float64)
            numbers = numbers / max(float(np.max(np.abs(numbers))), 1e-300)
            return _packed(_folded(np.arange(len(numbers), dtype=np.uint64), numbers))
        case _:
            return None


def vector_of(sketch: bytes) -> Vector:
    """The vector, of length 1."""
    found = np.frombuffer(sketch, dtype=np.int8).astype(np.float32)
    return found / np.linalg.norm(found)


def _of_bytes(text: bytes) -> bytes | None:
    letters = np.frombuffer(text.ljust(GRAM), dtype=np.uint8).astype(np.uint64)
    grams = np.zeros(len(letters) - GRAM + 1, dtype=np.uint64)
    for place in range(GRAM):
        grams = (grams << np.uint64(8)) | letters[place : place + len(grams)]
    return _packed(_folded(grams, np.ones(len(grams))))


def _folded(keys: NDArray[np.uint64], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each number added, with a sign, to one of the sums; which and how follows from the key's hash."""
    mixed = (keys + np.uint64(1)) * _MIX
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIX
    place = (mixed >> np.uint64(59)).astype(np.intp)
    sign = 1.0 - 2.0 * ((mixed >> np.uint64(58)) & np.uint64(1)).astype(np.float64)
    return np.bincount(place, weights=numbers * sign, minlength=SIZE).astype(np.float64)


def _packed(sums: NDArray[np.float64]) -> bytes | None:
    length = float(np.linalg.norm(sums))
    if not np.isfinite(length) or length == 0.0:
        return None
    found = np.rint(sums / length * 127.0).astype(np.int8)
    return found.tobytes() if found.any() else None
