"""The likest of the sketches that came lately, without comparing with each of them.

A sketch is cut into 16 bands of 16 bits. What differs in few bits has a band in common, nearly surely: of 20 differing
bits in 99 %, of 32 in 87 %. Each band leads to a bucket, which keeps the last WAYS sketches that fell in it. So one
look-up compares with 128 sketches at most, whatever the window, and memory is 160 bytes a sketch of the window.
"""

import numpy as np
from numpy.typing import NDArray

from shared.sketches import BITS

WINDOW, START, GROWTH = 65_536, 4_096, 4
"""Sketches that are remembered; for how many there is room at first, and how that grows."""
BANDS, WAYS, LOAD = 16, 8, 4
"""Of the WAYS of a bucket, LOAD are used on average."""
WORDS = BITS // 64
_BAND = np.arange(BANDS)
_STEP = np.uint32(0x9E3779B1)
Words = NDArray[np.uint64]
"""One sketch, of shape (WORDS,), or several, (n, WORDS)."""
Places = NDArray[np.int32]


def words_of(sketch: bytes) -> Words:
    """A sketch as it is compared."""
    return np.frombuffer(sketch, dtype="<u8")


def distances(several: Words, one: Words) -> NDArray[np.int64]:
    """In how many bits each differs."""
    found: NDArray[np.int64] = np.bitwise_count(several ^ one).sum(axis=-1, dtype=np.int64)
    return found


class Neighbours:
    """The last sketches, in a ring, and the buckets that lead to them."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._added = 0
        self._sketches, self._buckets = _empty(min(window, START))

    @property
    def size_bytes(self) -> int:
        """Of the arrays."""
        return self._sketches.nbytes + self._buckets.nbytes

    def nearest(self, sketch: Words) -> tuple[int, int]:
        """How many bits the likest that is found differs in, and how many have been added since; BITS for none."""
        found = self._buckets[_BAND, _slots(sketch, self._buckets.shape[1])].ravel()
        found = found[found >= 0]
        if not len(found):
            return BITS, 0
        apart = distances(self._sketches[found], sketch)
        best = int(np.argmin(apart))
        return int(apart[best]), (self._added - 1 - int(found[best])) % len(self._sketches)

    def fading(self, since: int) -> bool:
        """Whether what so many were added after has gone half of its way out."""
        return since > len(self._sketches) // 2

    def add(self, sketch: Words) -> None:
        """Remember one; in a full ring the oldest gives way."""
        if self._added == len(self._sketches) < self._window:
            self._grow()
        place = self._added % len(self._sketches)
        self._sketches[place] = sketch
        slots = _slots(sketch, self._buckets.shape[1])
        held = self._buckets[_BAND, slots]
        held[:, 1:] = held[:, :-1].copy()
        held[:, 0] = place
        self._buckets[_BAND, slots] = held
        self._added += 1

    def _grow(self) -> None:
        """Room for GROWTH times as many; the newest of each bucket stay first."""
        known = self._sketches
        sketches, buckets = _empty(min(self._window, GROWTH * len(known)))
        sketches[: len(known)] = known
        slots = _slots(known, buckets.shape[1])
        for band in range(BANDS):
            order = np.argsort(slots[:, band], kind="stable")
            inside = slots[order, band]
            rank = np.searchsorted(inside, inside, side="right") - 1 - np.arange(len(inside))
            kept = rank < WAYS
            buckets[band, inside[kept], rank[kept]] = order[kept]
        self._sketches, self._buckets = sketches, buckets


def _empty(room: int) -> tuple[Words, Places]:
    """Sketches (room, WORDS) and buckets (BANDS, slots, WAYS): places in the ring, newest first, -1 for none."""
    slots = 1 << max(0, (room // LOAD - 1).bit_length())
    return np.zeros((room, WORDS), dtype=np.uint64), np.full((BANDS, slots, WAYS), -1, dtype=np.int32)


def _slots(sketches: Words, slots: int) -> NDArray[np.intp]:
    """The bucket of each band: shape (..., BANDS)."""
    bands = sketches.view(np.uint16).astype(np.uint32) * _STEP
    return ((bands >> np.uint32(16)) & np.uint32(slots - 1)).astype(np.intp)
