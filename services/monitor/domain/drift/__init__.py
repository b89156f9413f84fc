"""Drift of any signal with a finite alphabet; see docs/drift.md."""

from services.monitor.domain.drift.alphabet import OTHER, UNSEEN, Alphabet
from services.monitor.domain.drift.detector import Detector, Tables
from services.monitor.domain.drift.effect import Effect, Shift
from services.monitor.domain.drift.history import ChangePoint
from services.monitor.domain.drift.marks import Marks
from services.monitor.domain.drift.reference import Learner, Reference, load_reference, reference_state
from services.monitor.domain.drift.watch import Finding, Mode, Sensitivity, Watch

__all__ = [
    "OTHER",
    "UNSEEN",
    "Alphabet",
    "ChangePoint",
    "Detector",
    "Effect",
    "Finding",
    "Learner",
    "Marks",
    "Mode",
    "Reference",
    "Sensitivity",
    "Shift",
    "Tables",
    "Watch",
    "load_reference",
    "reference_state",
]
