"""What somebody who saw the model's proposal did with it: left it, edited it, or gave something else."""

from dataclasses import dataclass
from enum import StrEnum

from services.qc.domain.fusing.counted import MILLS
from services.qc.domain.kinds.tolerance import DISTANCES, distance
from shared.labels import LabelValue

SAME = 0.02
"""Distance up to which a proposal was left as it is: tools round."""
OTHER = 0.5
"""Distance from which more is new than was kept."""


class Deed(StrEnum):
    """What was done."""

    ACCEPTED = "accepted"
    EDITED = "edited"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Correction:
    """A deed, and how far the answer is from the proposal in mills of the kind's distance."""

    deed: Deed
    apart: int


def corrected(proposal: LabelValue, answer: LabelValue) -> Correction | None:
    """What became of a proposal; None for kinds that have no distance."""
    if answer.kind not in DISTANCES and answer.kind != "mixed":
        return None
    apart = distance(proposal, answer)
    deed = Deed.ACCEPTED if apart <= SAME else Deed.EDITED if apart < OTHER else Deed.REPLACED
    return Correction(deed, round(MILLS * apart))
