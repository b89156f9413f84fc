"""Root cause: what changed between two periods, and who is suspected of it.

`Period` holds the counts, `diagnose` ranks the suspects, `split` and `mechanisms` take the change of the disagreement
apart.
"""

from services.monitor.domain.cause.counts import (
    Answered,
    Dimension,
    Period,
    Predicted,
    Tally,
    band,
)
from services.monitor.domain.cause.split import Part, mechanisms, split
from services.monitor.domain.cause.suspects import Signature, Suspect, diagnose

__all__ = [
    "Answered", "Dimension", "Part", "Period", "Predicted", "Signature", "Suspect", "Tally", "band", "diagnose",
    "mechanisms", "split",
]  # fmt: skip
