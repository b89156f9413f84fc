"""What of an item's content is sketched here: texts, records and feature vectors. Of media prelabel makes the sketch.

Every four bytes in a row of a text add to one of 512 sums, with a sign; both follow from a fixed hash (feature hashing,
Weinberger et al. 2009). The sums are the vector that is sketched (shared/sketches.py).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.events import Content, FeaturesContent, JsonContent, TextContent
from shared.sketches import WIDEST, Keys, mixed, sketches

GRAM = 4
MANY = 32
"""Numbers of a vector from which it is taken without its own mean, which says little of so many."""
LONGEST = 20_000
"""Bytes of a text that are looked at."""
Floats = NDArray[np.float32]


def sketches_of(contents: Sequence[Content]) -> list[bytes | None]:
    """The sketch of each content; None where assignment cannot see into it (media), or there is nothing in it."""
    vectors = [_vector_of(content) for content in contents]
    found: list[bytes | None] = [None] * len(contents)
    for width in {len(one) for one in vectors if one is not None}:  # one, but for features of several lengths
        places = [place for place, one in enumerate(vectors) if one is not None and len(one) == width]
        table = np.stack([one for place in places if (one := vectors[place]) is not None])
        made = sketches(table, centred=width >= MANY)
        for place, sketch in zip(places, made, strict=True):
            found[place] = sketch
    return found


def _vector_of(content: Content) -> Floats | None:
    match content:
        case TextContent():
            return _of_bytes(content.text.lower().encode("utf-8", "replace")[:LONGEST])
        case JsonContent():
            return _of_bytes(content.model_dump_json(include={"fields"}).encode("utf-8", "replace")[:LONGEST])
        case FeaturesContent():
            numbers = np.asarray(content.features, dtype=np.float64)
            return (numbers / max(float(np.max(np.abs(numbers), initial=0.0)), 1e-300)).astype(np.float32)
        case _:
            return None


def _of_bytes(text: bytes) -> Floats:
    letters = np.frombuffer(text.ljust(GRAM), dtype=np.uint8).astype(np.uint64)
    grams = np.zeros(len(letters) - GRAM + 1, dtype=np.uint64)
    for place in range(GRAM):
        grams = (grams << np.uint64(8)) | letters[place : place + len(grams)]
    return _summed(grams)


def _summed(keys: Keys) -> Floats:
    """How often each comes, with a sign, in one of the sums; which and how follows from the key's hash."""
    hashed = mixed(keys)
    place = (hashed >> np.uint64(55)).astype(np.intp)
    sign = 1.0 - 2.0 * (hashed & np.uint64(1)).astype(np.float64)
    return np.bincount(place, weights=sign, minlength=WIDEST).astype(np.float32)
