"""NannyML's chi-squared in chunks of 1,000 events, reporting nothing."""

import os
from collections.abc import Iterator

import numpy as np
import pandas as pd

from tests.bench.drift.peers.common import MERGED, Given, main

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import nannyml  # reads the variable


def fired(given: Given) -> Iterator[int]:
    """See `common.Peer`."""
    frame = pd.DataFrame({"label": given.y.astype(str)})
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=["label"], treat_as_categorical=["label"], categorical_methods=["chi2"], chunk_size=MERGED
    )
    calculator.fit(frame.iloc[: given.skip])
    told = calculator.calculate(frame.iloc[given.skip :]).filter(period="analysis").to_df()
    for chunk in np.flatnonzero(told["label", "chi2", "alert"].to_numpy()).tolist():
        yield chunk * MERGED + MERGED - 1


if __name__ == "__main__":
    main(fired)
