"""Names: how answers become labels, and what a snapshot assumes about people."""

from enum import StrEnum
from typing import Final

TWO_LEVELS: Final = "two levels"
ORDERED: Final = "two levels on an ordered scale"
ONE_COIN: Final = "one coin"


class Method(StrEnum):
    """How answers become labels; a project names one in its policy."""

    DEFAULT = "default"
    MAJORITY = "majority"
    WEIGHTED_MAJORITY = "weighted-majority"
    ONE_COIN = "one-coin"
    DAWID_SKENE = "dawid-skene"
    ORDINAL = "ordinal"

    @property
    def votes(self) -> bool:
        """Whether it has vote shares, and no posterior of a model: one opinion is then no evidence at all."""
        return self in (Method.MAJORITY, Method.WEIGHTED_MAJORITY)
