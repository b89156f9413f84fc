"""What the drivers of the peers share: each runs in an environment of its own, on what it is given alone.

Usage: python -m tests.bench.drift.peers.NAME STREAMS.npz OUT.json. The first file holds `y` (streams, events) of small
integers, `classes`, `skip` (events of a reference), `stop` (offset after it from which on the first alarm ends a
stream; -1: none does). The second gets the alarms of each stream, the events seen, and the processor time they took.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

MERGED = 1000
"""Alarms within so many events are one; also the events of a window or chunk."""


class Given(NamedTuple):
    """A stream, and how it is to be watched."""

    y: NDArray[np.int8]
    classes: int
    skip: int
    stop: int


class Peer(Protocol):
    """Offsets after `skip` at which a peer fired, in order, lazily: the rest of a stream that ends is not asked for."""

    def __call__(self, given: Given) -> Iterable[int]: ...


def alarms(fired: Iterable[int], stop: int) -> tuple[list[int], int | None]:
    """Alarms with near ones taken as one, and the offset after the one that ends the stream, if one does."""
    found: list[int] = []
    for at in fired:
        if not found or at - found[-1] > MERGED:
            found.append(at)
            if 0 <= stop <= at:
                return found, at + 1
    return found, None


def streams(path: str) -> Iterator[Given]:
    """Of a file."""
    with np.load(path) as given:
        for y in given["y"]:
            yield Given(y, int(given["classes"]), int(given["skip"]), int(given["stop"]))


def main(peer: Peer) -> None:
    """Run it over the streams of the first argument, and write to the second what it found."""
    events, seconds, found = 0, 0.0, []
    for given in streams(sys.argv[1]):
        started = time.process_time()
        one, end = alarms(peer(given), given.stop)
        seconds += time.process_time() - started
        found.append(one)
        events += len(given.y) if end is None else given.skip + end
    Path(sys.argv[2]).write_text(json.dumps({"alarms": found, "events": events, "seconds": seconds}))
