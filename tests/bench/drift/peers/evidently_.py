"""Evidently's default for a categorical column over streams in a file; in an environment of its own.

Jensen-Shannon distance of windows of 1,000 events from the reference, drift from 0.1 on. Usage: as river_.py.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import jensenshannon_stat_test
from evidently.legacy.core import ColumnType
from numpy.typing import NDArray

WINDOW, THRESHOLD = 1000, 0.1


def alarms(y: NDArray[np.int8], skip: int, *, stop: int | None) -> list[int]:
    """Offsets after `skip` at which a window ended that had drifted; neighbours are one."""
    reference, found = pd.Series(y[:skip].astype(str)), list[int]()
    for start in range(skip, len(y) - WINDOW + 1, WINDOW):
        window = pd.Series(y[start : start + WINDOW].astype(str))
        told = jensenshannon_stat_test(reference, window, ColumnType.Categorical, THRESHOLD)
        at = start + WINDOW - 1 - skip
        if told.drifted and (not found or at - found[-1] > WINDOW):
            found.append(at)
            if stop is not None and at >= stop:
                break
    return found


def main() -> None:
    """Write the alarms of each stream, the events seen, and the processor time that they took."""
    given = np.load(sys.argv[1])
    stop, skip = int(given["stop"]), int(given["skip"])
    started, events, found = time.process_time(), 0, []
    for y in given["y"]:
        one = alarms(y, skip, stop=None if stop < 0 else stop)
        found.append(one)
        events += len(y)
    spent = time.process_time() - started
    Path(sys.argv[2]).write_text(json.dumps({"alarms": found, "events": events, "seconds": spent}))


if __name__ == "__main__":
    main()
