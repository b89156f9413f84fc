"""River's ADWIN one-vs-rest over streams in a file; runs in an environment of its own, on what it is given alone.

Usage: python river_.py STREAMS.npz OUT.json. The file holds `y` (streams, events) of small integers, `classes`, `skip`
(events of a reference, which ADWIN sees too), `stop` (whether a stream ends at its first alarm).
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN

MERGED = 1000


def alarms(y: NDArray[np.int8], classes: int, skip: int, *, stop: int | None) -> tuple[list[int], int]:
    """Offsets after `skip` at which any class's detector fired; all are reset then; alarms within 1,000 are one."""
    found: list[int] = []
    detectors = [ADWIN() for _ in range(classes)]
    for t, symbol in enumerate(y.tolist()):
        fired = False
        for k, detector in enumerate(detectors):
            detector.update(1.0 if k == symbol else 0.0)
            fired = fired or detector.drift_detected
        if fired:
            if t >= skip and (not found or t - skip - found[-1] > MERGED):
                found.append(t - skip)
                if stop is not None and t - skip >= stop:
                    break
            detectors = [ADWIN() for _ in range(classes)]
    return found, t + 1


def main() -> None:
    """Write the alarms of each stream, the events seen, and the processor time that they took."""
    given = np.load(sys.argv[1])
    stop = int(given["stop"])
    started, events, found = time.process_time(), 0, []
    for y in given["y"]:
        one, seen = alarms(y, int(given["classes"]), int(given["skip"]), stop=None if stop < 0 else stop)
        found.append(one)
        events += seen
    spent = time.process_time() - started
    Path(sys.argv[2]).write_text(json.dumps({"alarms": found, "events": events, "seconds": spent}))


if __name__ == "__main__":
    main()
