"""How a detector's state is written: counts by symbol rather than by block, and the whole compressed.

States of earlier versions are JSON as it is, and are read too.
"""

import json
import zlib
from base64 import b85decode, b85encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PACKED = "z"
"""Begins a state that is compressed; JSON begins with a brace."""
LEVEL = 6


def packed(document: Mapping[str, Any]) -> str:
    """A document of JSON as text for the database."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return PACKED + b85encode(zlib.compress(text.encode(), LEVEL)).decode()


def unpacked(text: str) -> dict[str, Any]:
    """The document of `packed`, or of an earlier version's JSON."""
    if text.startswith(PACKED):
        text = zlib.decompress(b85decode(text.removeprefix(PACKED))).decode()
    found: dict[str, Any] = json.loads(text)
    return found


def shortened(counts: Iterable[int]) -> list[int]:
    """Counts in order, runs of zeros as their negative length; those at the end are left out."""
    found: list[int] = []
    zeros = 0
    for count in counts:
        if not count:
            zeros += 1
            continue
        if zeros:
            found.append(-zeros)
        found.append(count)
        zeros = 0
    return found


def lengthened(counts: Sequence[int], length: int) -> list[int]:
    """From `shortened`."""
    found: list[int] = []
    for count in counts:
        found += [count] if count > 0 else [0] * -count
    return found + [0] * (length - len(found))


def steps_of(values: Sequence[int]) -> list[int]:
    """Whole numbers as the first, and what each is above the one before."""
    return [value - before for before, value in zip((0, *values), values, strict=False)]
