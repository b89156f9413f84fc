"""One violation of one invariant."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise.

    Attributes:
        invariant: I1 to I11, see `tests.e2e.world.proof.INVARIANTS`.
        check: short, the same for all violations of a kind.
        detail: what is wrong.
        item: whose history explains it, where there is one.
        history: what is known of it.
    """

    invariant: str
    check: str
    detail: str
    item: str | None = None
    history: Sequence[str] = ()
