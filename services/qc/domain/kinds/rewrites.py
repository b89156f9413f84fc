"""What an annotator changed of a proposed transcript, counted in words; objects have `corrections`."""

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Indel


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Words of a proposal beside the answer.

    Attributes:
        kept: as proposed; changed: another word; added: not proposed; removed: not answered.
    """

    kept: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0

    @property
    def share(self) -> float:
        """What was not kept, of all that was proposed or answered; 0 where both are empty."""
        edits = self.changed + self.added + self.removed
        return edits / (edits + self.kept) if edits else 0.0


def rewritten(proposed: Sequence[str], answered: Sequence[str]) -> Rewrite:
    """Words by the longest line that both have in common; what stands between is changed as far as both have words."""
    kept = changed = added = removed = 0
    gone = come = 0
    for step in [*Indel.opcodes(proposed, answered), None]:
        if step is not None and step.tag != "equal":
            gone += step.src_end - step.src_start
            come += step.dest_end - step.dest_start
            continue
        both = min(gone, come)
        changed, added, removed = changed + both, added + come - both, removed + gone - both
        gone = come = 0
        kept += 0 if step is None else step.src_end - step.src_start
    return Rewrite(kept, changed, added, removed)
