"""Sketches: 256 bits that stand for an item, so that likeness can be told without reading it again.

Bit i is the side of hyperplane i on which the item's vector lies; the planes are drawn once, from a fixed hash. Two
sketches differ in a bit with probability angle / pi (Charikar 2002, Similarity estimation techniques from rounding
algorithms), so the Hamming distance measures the angle: 0 the same, 128 nothing in common, and it is a metric.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

BITS, SIZE = 256, 32
"""Of a sketch: bits, bytes."""
WIDEST = 512
"""A longer vector is folded to this many numbers first: each is added, with a sign, to one of them."""
LOW = 8
"""Frequencies of a picture that are looked at, in each direction."""
_STEP, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
Floats = NDArray[np.float32]
Keys = NDArray[np.uint64]


def mixed(keys: Keys) -> Keys:
    """A hash of each (splitmix64): the same on every machine."""
    found = (keys + np.uint64(1)) * _STEP
    found = (found ^ (found >> np.uint64(30))) * _FIRST
    found = (found ^ (found >> np.uint64(27))) * _SECOND
    return found ^ (found >> np.uint64(31))


def sketches(vectors: NDArray[np.floating], *, centred: bool = False) -> list[bytes | None]:
    """The sketch of each row.

    Args:
        vectors: shape (rows, numbers).
        centred: take each row without its own mean: what a network says of a content is often positive all over.

    Returns:
        SIZE bytes a row; None for a row of zeros (or of one number all over, where centred), NaN or infinity.
    """
    if vectors.size == 0:
        return [None] * len(vectors)
    given = vectors.astype(np.float32, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        folded, planes = _folded(given), _planes(given.shape[1])
        sides = folded @ planes
        if centred:
            means = given.mean(axis=1, keepdims=True)
            sides -= means * _of_ones(given.shape[1])
    packed = np.packbits(sides > 0.0, axis=1).tobytes()
    reach = np.abs(sides).max(axis=1)
    least = 1e-3 * np.abs(means[:, 0]) if centred else 0.0  # what rounding leaves of one number all over
    some = np.isfinite(reach) & (reach > least)
    return [packed[at : at + SIZE] if ok else None for at, ok in zip(range(0, len(packed), SIZE), some, strict=True)]


def pictures(grey: Floats) -> list[bytes | None]:
    """The sketch of each picture, by its low frequencies without its brightness; None for one without contrast.

    A discrete cosine transform, LOW frequencies in each direction, each weighted by the root of its frequency: nature's
    pictures have less of the higher ones. The size of a picture does not matter, nor does its contrast.

    Args:
        grey: shape (pictures, height, width).
    """
    rows, columns = _cosines(grey.shape[1]), _cosines(grey.shape[2])
    found = np.matmul(rows, grey) @ columns.T
    down, along = np.arange(len(rows)), np.arange(len(columns))
    found *= (np.hypot.outer(down, along) ** 0.5).astype(np.float32)
    found[np.ptp(grey, axis=(1, 2)) == 0.0] = 0.0
    wide = np.zeros((len(grey), LOW, LOW), dtype=np.float32)
    wide[:, : len(rows), : len(columns)] = found
    return sketches(wide.reshape(len(grey), LOW * LOW))


def _folded(vectors: Floats) -> Floats:
    width = vectors.shape[1]
    if width <= WIDEST:
        return vectors
    rows = -(-width // WIDEST)
    signed = np.empty((len(vectors), rows * WIDEST), dtype=np.float32)
    np.multiply(vectors, _signs(width), out=signed[:, :width])
    signed[:, width:] = 0.0
    found: Floats = signed.reshape(len(vectors), rows, WIDEST).sum(axis=1)
    return found


@cache
def _signs(width: int) -> Floats:
    """Which way each number is added."""
    low = mixed(np.arange(width, dtype=np.uint64)) & np.uint64(1)
    return (1.0 - 2.0 * low).astype(np.float32)


@cache
def _planes(width: int) -> Floats:
    """Shape (numbers, BITS), at most WIDEST numbers: normal deviates, by Box and Muller."""
    keys = np.arange(min(width, WIDEST) * BITS, dtype=np.uint64)
    radius, turn = (((mixed(keys + np.uint64(part << 32)) >> np.uint64(11)) + 0.5) / 2.0**53 for part in (1, 2))
    found: Floats = (np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * turn)).astype(np.float32).reshape(-1, BITS)
    return found


@cache
def _of_ones(width: int) -> Floats:
    """What a vector of ones gives."""
    return _folded(np.ones((1, width), dtype=np.float32)) @ _planes(width)


@cache
def _cosines(size: int) -> Floats:
    """The first frequencies of the transform of `size` numbers: shape (at most LOW, size)."""
    number = np.arange(min(LOW, size))[:, None]
    return np.cos(np.pi * number * (np.arange(size) + 0.5) / size).astype(np.float32)
