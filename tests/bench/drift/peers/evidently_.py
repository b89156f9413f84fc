"""Evidently's default for a categorical column: Jensen-Shannon distance of windows of 1,000 events, from 0.1 on."""

from collections.abc import Iterator

import pandas as pd
from evidently.legacy.calculations.stattests import jensenshannon_stat_test
from evidently.legacy.core import ColumnType

from tests.bench.drift.peers.common import MERGED, Given, main

THRESHOLD = 0.1


def fired(given: Given) -> Iterator[int]:
    """See `common.Peer`."""
    names = given.y.astype(str)
    reference = pd.Series(names[: given.skip])
    for start in range(given.skip, len(names) - MERGED + 1, MERGED):
        window = pd.Series(names[start : start + MERGED])
        if jensenshannon_stat_test(reference, window, ColumnType.Categorical, THRESHOLD).drifted:
            yield start + MERGED - 1 - given.skip


if __name__ == "__main__":
    main(fired)
