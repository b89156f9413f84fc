"""One signal under watch: its reference is learned, changes are found in it, each is one alarm from open to resolved.

Learning: until the reference is full, only what goes clearly beyond what is known of it raises an alarm. Open: what
comes after the change is learned as the next reference; the alarm is resolved once that holds still, or once the signal
is back at the old one. A new version of the model or the guideline starts a new reference and raises no alarm.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift.detector import BLOCK, Detector, Tables
from services.monitor.domain.drift.effect import Effect, Shift, effect
from services.monitor.domain.drift.history import PRIOR, ChangePoint, History
from services.monitor.domain.drift.reference import Learner, Reference, load_reference, reference_state
from services.monitor.domain.drift.season import WIDER, swing

Mode = Literal["auto", "sharp", "tolerant"]
TOLERANCE = 0.04
UNKNOWN_SWING = 0.08
"""How far a signal may move, in total variation, while its first reference is not full."""
FIRST_LOOK = 1000
SETTLED_SHARE = 10
LEAST_SETTLED = 100
MOST_TRIES = 10
SURE = 3.0
"""Nats by which the old shares must explain what follows an alarm better than those that raised it."""
GROWTH = (1, 2, 4)
"""A reference is taken into use when it is full, and again with these multiples: a larger one is wrong less often."""
GROWN, GROWN_DOUBT = 16_000, 0.5
"""Smaller ones go on to double until then, unless there is any doubt: as `DOUBT`, and their halves look alike."""
DOUBT = 0.6
"""Share of the logarithm of the threshold; with more evidence than that nothing new goes into a reference."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How a signal is watched.

    Attributes:
        mode: auto: what the reference itself does over time is no change; sharp: every lasting change; tolerant: what
            goes beyond a fixed distance from the reference.
        budget: events between false alarms, on average at least.
        reference: events that make a reference.
        tolerance: total variation distance, of `tolerant`.
    """

    mode: Mode = "auto"
    budget: float = 1e6
    reference: int = 10_000
    tolerance: float = TOLERANCE

    @property
    def settled(self) -> int:
        """Events after a change on which it is judged whether it is over."""
        return max(min(FIRST_LOOK, self.reference // SETTLED_SHARE), LEAST_SETTLED)


class Finding(NamedTuple):
    """What became of an alarm, with all that is to be said of it.

    Attributes:
        offset: of the event that showed it.
        opened: offset of the event that opened the alarm.
        counts: events since the change, by name.
        log_evidence: when it was opened.
        returned: resolved because the signal is back at its old reference.
    """

    state: Literal["open", "updated", "resolved", "superseded"]
    offset: int
    opened: int
    change: ChangePoint
    effect: Effect
    counts: Mapping[str, int]
    log_evidence: float
    reference: Reference
    reference_start: int
    returned: bool = False


class Watch:
    """The state of one signal; `state()` is a few kB of JSON.

    Attributes:
        offset: events seen.
        version: of the model and the guideline that the reference is of.
        reference: what the detector compares with; None before the first look.
    """

    def __init__(self, sensitivity: Sensitivity, version: str = "") -> None:
        self.sensitivity = sensitivity
        self.version = version
        self.offset = 0
        self.reference: Reference | None = None
        self.reference_start = 0
        self.detector: Detector | None = None
        self.learner: Learner | None = Learner(sensitivity.reference)
        self._history = History(1, 0)
        self._prior: Reference | None = None
        self._tolerance = 0.0
        self._learned_from = 0
        self._finding: Finding | None = None
        self._tries = 0
        self._next = 0
        self._plan()

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence against the reference, 0 or more; what a plot shows."""
        return self.detector.log_evidence if self.detector is not None else 0.0

    @property
    def log_opened(self) -> float:
        """The same of the alarm that is open, when it was opened; 0 without one."""
        return self._finding.log_evidence if self._finding is not None else 0.0

    @property
    def alarmed(self) -> bool:
        return self._finding is not None

    @property
    def learned(self) -> int:
        """Events in the reference, or in the one that is being learned."""
        if self.learner is not None:
            return self.learner.n
        return self.reference.n if self.reference is not None else 0

    @property
    def learning(self) -> bool:
        """Whether the reference is not full yet."""
        return self.learner is not None and self.learner.n < self.learner.target

    def given(self, reference: Reference) -> None:
        """Begin with a reference that was learned elsewhere."""
        self.learner = None
        self._compare_with(reference, self._full_tolerance())

    def observe(self, symbols: Sequence[str]) -> list[Finding]:
        """Take in the next events; what was found, in order."""
        found = []
        start = 0
        while start < len(symbols):
            part = symbols[start : start + self._step()]
            taken, finding = self._take(part)
            start += taken
            if finding is not None:
                found.append(finding)
        return found

    def rebase(self, version: str) -> Finding | None:
        """Another model or guideline version: learn a new reference; an open alarm is superseded."""
        said = self._finding._replace(state="superseded", offset=self.offset) if self._finding is not None else None
        self.version, self._finding, self._prior = version, None, self.reference or self._prior
        self._learn()
        return said

    def _step(self) -> int:
        """Events until something may have to be done."""
        if self.learner is None:
            return BLOCK
        return max(min(BLOCK, self._next - self.learner.n), 1)

    def _plan(self) -> None:
        """Set how many events the learner has when it is looked at next."""
        learner, settled = self.learner, self.sensitivity.settled
        if learner is None:
            return
        if self.alarmed:
            self._next = max(settled, learner.n + 1)
            return
        looks = [FIRST_LOOK << k for k in range(20) if FIRST_LOOK << k < learner.target]
        looks += self._sizes(learner)
        self._next = next((look for look in looks if look > learner.n), learner.n + settled)

    def _sizes(self, learner: Learner) -> list[int]:
        """Events with which a reference is taken into use."""
        sizes = [learner.target * times for times in GROWTH]
        while 2 * sizes[-1] <= GROWN:
            sizes.append(2 * sizes[-1])
        return sizes

    def _take(self, symbols: Sequence[str]) -> tuple[int, Finding | None]:
        taken = len(symbols)
        if self.detector is not None and self.reference is not None:
            codes = self.reference.alphabet.encoded(symbols)
            index = self.detector.update(codes)
            taken = taken if index is None else index + 1
            self._history.add(codes[:taken])
            if index is not None:
                self.offset += taken
                return taken, self._alarm(self.detector.log_evidence)
        self.offset += taken
        if self.learner is not None:
            self.learner.add(symbols)
            return taken, self._look()
        return taken, None

    def _alarm(self, log_evidence: float) -> Finding | None:
        reference = self.reference
        if reference is None:
            return None
        change, counts = self._history.change(reference.p, reference.inflation)
        named = {name: c for name, c in zip(reference.alphabet.names, counts.tolist(), strict=True) if c}
        self._finding = Finding(
            "open", self.offset - 1, self.offset - 1, change, effect(reference, counts), named, log_evidence, reference,
            self.reference_start,
        )  # fmt: skip
        self._prior, self._tries = reference, 0
        self._learn()
        return self._finding

    def _learn(self) -> None:
        self.learner, self.detector, self.reference = Learner(self.sensitivity.reference), None, None
        self._learned_from = self.offset
        self._plan()

    def _look(self) -> Finding | None:
        """What the learner shows by now."""
        learner = self.learner
        if learner is None:
            return None
        if learner.n < self._next:
            return None
        if self._finding is not None:
            said = self._settle(learner, self._finding)
            self._plan()
            return said
        if self.log_evidence > DOUBT * math.log(self.sensitivity.budget):
            self._next = learner.n + self.sensitivity.settled
            return None
        if learner.n > learner.target * GROWTH[-1] and self._moves(learner):
            self.learner = None
        elif learner.n >= learner.target:
            self._compare_with(learner.reference(seasonal=self.sensitivity.mode == "auto"), self._full_tolerance())
            self._prior = self.reference
            self.learner = learner if learner.n < self._sizes(learner)[-1] else None
        else:
            reference = learner.reference(prior=self._prior, seasonal=False)
            self._compare_with(reference, self._early_tolerance(reference))
        self._plan()
        return None

    def _moves(self, learner: Learner) -> bool:
        """Whether there is any doubt that what was learned since holds still: else it would be lost."""
        inflation = 1.0 if self.reference is None else self.reference.inflation
        return self.log_evidence > GROWN_DOUBT * math.log(self.sensitivity.budget) or not learner.homogeneous(
            inflation, 0.01
        )

    def _settle(self, learner: Learner, opened: Finding) -> Finding | None:
        """Whether an alarm is over: the signal is back, or holds still somewhere else."""
        old = opened.reference
        now = learner.counted(old.alphabet)
        moved = effect(old, now)
        named = {name: c for name, c in zip(old.alphabet.names, now.tolist(), strict=True) if c}
        said = opened._replace(offset=self.offset - 1, effect=moved, counts=named)
        if moved.low <= 0.0 and _is_back(old, opened.counts, now):
            self.learner, self._finding = None, None
            self._compare_with(old, self._full_tolerance())
            return said._replace(state="resolved", returned=True, effect=opened.effect, counts=opened.counts)
        self._tries += 1
        if learner.homogeneous(old.inflation) or self._tries >= MOST_TRIES:
            self._finding = None
            reference = learner.reference(prior=old, seasonal=False)
            self._compare_with(reference, self._early_tolerance(reference))
            return said._replace(state="resolved")
        learner.forget_half()
        self._learned_from = self.offset - learner.n
        return said._replace(state="updated")

    def _compare_with(self, reference: Reference, tolerance: float) -> None:
        self.reference, self._tolerance = reference, tolerance
        self.reference_start = self._learned_from
        tables = Tables.of(reference, tolerance=tolerance, seasonal=self.sensitivity.mode == "auto")
        self.detector = Detector(tables, self.sensitivity.budget)
        self._history = History(reference.alphabet.size, self.offset)

    def _full_tolerance(self) -> float:
        return self.sensitivity.tolerance if self.sensitivity.mode == "tolerant" else 0.0

    def _early_tolerance(self, reference: Reference) -> float:
        """Of a reference that is not full: its sampling error, and how much the signal may swing."""
        p = reference.p
        sampling = float(np.sqrt(p * (1.0 - p) * reference.inflation / max(reference.n, 1)).sum()) / 2.0
        if self.sensitivity.mode == "sharp":
            return sampling
        if self._prior is None:
            return max(UNKNOWN_SWING, self._full_tolerance()) + sampling
        own = WIDER * swing(self._prior.season) if self._prior.season is not None else 0.0
        return max(own, self._full_tolerance()) + sampling

    def state(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "version": self.version, "offset": self.offset, "tolerance": self._tolerance, "tries": self._tries,
            "next": self._next,
            "learned_from": self._learned_from, "reference_start": self.reference_start,
            "learner": None if self.learner is None else self.learner.state(),
            "reference": None if self.reference is None else reference_state(self.reference),
            "prior": None if self._prior is None else reference_state(self._prior),
            "detector": None if self.detector is None else self.detector.state(),
            "history": None if self.detector is None else self._history.state(),
            "finding": None if self._finding is None else finding_state(self._finding),
        }  # fmt: skip

    @classmethod
    def load(cls, sensitivity: Sensitivity, state: Mapping[str, Any]) -> "Watch":
        """Go on from `state()`."""
        found = cls(sensitivity, state["version"])
        found.offset = state["offset"]
        found._learned_from = state["learned_from"]
        found._tries = state["tries"]
        found._next = state["next"]
        found._prior = None if state["prior"] is None else load_reference(state["prior"])
        found.learner = None if state["learner"] is None else Learner.load(state["learner"])
        found._finding = None if state["finding"] is None else load_finding(state["finding"])
        if state["reference"] is not None:
            found._compare_with(load_reference(state["reference"]), state["tolerance"])
            found.reference_start = state["reference_start"]
            size = found._history.size
            found._history = History.load(state["history"], size)
            if found.detector is not None:
                found.detector.resume(state["detector"])
        return found


def _is_back(old: Reference, raised: Mapping[str, int], now: NDArray[np.int64]) -> bool:
    """Whether events are as the old reference, and not as those that raised the alarm."""
    counts = np.array([raised.get(name, 0) for name in old.alphabet.names], dtype=float)
    since = (counts + PRIOR * old.p) / (counts.sum() + PRIOR)
    return float((now * np.log(old.p / since)).sum()) / old.inflation > SURE


def finding_state(finding: Finding) -> dict[str, Any]:
    """As JSON."""
    return finding._asdict() | {"reference": reference_state(finding.reference)}


def load_finding(state: Mapping[str, Any]) -> Finding:
    """From `finding_state`."""
    about = state["effect"]
    shifts = tuple(Shift(*one) for one in about[3])
    change = ChangePoint(*state["change"])
    made = Effect(about[0], about[1], about[2], shifts)
    return Finding(
        **(dict(state) | {"change": change, "effect": made, "reference": load_reference(state["reference"])})
    )
