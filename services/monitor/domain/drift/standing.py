"""How detectors stand between alarms: what evidence they have gathered, and how much of their reference."""

from enum import StrEnum
from typing import NamedTuple


class DetectorState(StrEnum):
    """What a detector does.

    Until its reference is full it finds only large changes; while its alarm is open it learns the next one.
    """

    LEARNING = "learning"
    WATCHING = "watching"
    ALARMED = "alarmed"


class Standing(NamedTuple):
    """One detector.

    Attributes:
        log_evidence: natural logarithm of the evidence against its reference, 0 or more; while an alarm is open, of
            that which opened it.
        log_limit: from which on it alarms: the logarithm of its budget of events.
        learned, wanted: events in its reference, and those that make it full.
        seen: events so far.
    """

    signal: str
    slice: str
    state: DetectorState
    log_evidence: float
    log_limit: float
    learned: int
    wanted: int
    seen: int

    @property
    def share(self) -> float:
        """Of the way to an alarm, 0 to 1."""
        return min(self.log_evidence / self.log_limit, 1.0)


class Watched(NamedTuple):
    """All detectors of one signal of one project: the surest one, and how many are in which state."""

    log_evidence: float
    log_limit: float
    learning: int
    watching: int
    alarmed: int

    @property
    def share(self) -> float:
        """Of the way to an alarm, 0 to 1."""
        return min(self.log_evidence / self.log_limit, 1.0)
