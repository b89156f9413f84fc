"""NannyML's chi-squared in chunks of 1,000 over streams in a file; in an environment of its own, reporting nothing.

Usage: as river_.py.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import nannyml  # reads the variable

CHUNK = 1000


def alarms(y: NDArray[np.int8], skip: int, *, stop: int | None) -> list[int]:
    """Offsets after `skip` at which a chunk ended that had drifted; neighbours are one."""
    frame = pd.DataFrame({"label": y.astype(str)})
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=["label"], treat_as_categorical=["label"], categorical_methods=["chi2"], chunk_size=CHUNK
    )
    calculator.fit(frame.iloc[:skip])
    told = calculator.calculate(frame.iloc[skip:]).filter(period="analysis").to_df()
    found = list[int]()
    for chunk in np.flatnonzero(told["label", "chi2", "alert"].to_numpy()).tolist():
        at = chunk * CHUNK + CHUNK - 1
        if not found or at - found[-1] > CHUNK:
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
