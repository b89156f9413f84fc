"""A signal's detector as it is kept between batches: its watch, where its events stood in time, and whose they are."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from services.monitor.domain.drift.bins import LEARNED_FROM, Bins
from services.monitor.domain.drift.marks import Marks
from services.monitor.domain.drift.packing import packed, steps_of, unpacked
from services.monitor.domain.drift.signals import BY_PEOPLE, CONFIDENCE, GOLD, Group, weight
from services.monitor.domain.drift.standing import DetectorState, Standing
from services.monitor.domain.drift.telling import Context, raised, tell
from services.monitor.domain.drift.watch import TOLERANCE, Finding, Sensitivity, Watch
from shared.events import Drift, DriftAlarm

EXEMPLARS, RECENT, RECENT_SYMBOLS, MARKS = 10, 3, 50, 128
FEWER_BY_PEOPLE, OF_GOLD, LEAST = 10, 50, 200


class Taken(NamedTuple):
    """An observation as it comes from the database."""

    group: Group
    observed_at: datetime
    symbols: list[str]
    items: Mapping[str, str]
    matured: float | None = None


class Keeper:
    """One signal.

    Args:
        group: its project, signal and slice.
        policy: of the project; not `off`.
        sliced: whether the project has slices.
    """

    def __init__(self, group: Group, policy: Drift, *, sliced: bool = False) -> None:
        self._group, self._policy = group, policy
        self._weight = weight(group.signal, sliced=sliced)
        self._bins = self._new_bins()
        self.watch = Watch(self._sensitivity(), _version(group))
        self.alarm: DriftAlarm | None = None
        self._marks = Marks(MARKS)
        self._recent: dict[str, list[str]] = {}

    def _new_bins(self) -> Bins | None:
        if self._group.signal != CONFIDENCE:
            return None
        return Bins(min(LEARNED_FROM, self._policy.reference // 2))

    def _sensitivity(self) -> Sensitivity:
        signal, policy = self._group.signal, self._policy
        size = policy.reference
        if signal in BY_PEOPLE:
            size = max(size // FEWER_BY_PEOPLE, LEAST)
        if signal == GOLD:
            size = OF_GOLD
        mode = "sharp" if signal == GOLD or policy.mode == "off" else policy.mode
        tolerance = TOLERANCE if policy.tolerance is None else policy.tolerance
        return Sensitivity(mode, policy.budget / self._weight, size, tolerance)

    def fold(self, taken: Taken, detectors: int, name: Callable[[str], str]) -> list[DriftAlarm]:
        """Take in one batch of the signal; what is to be told of it, in order.

        Args:
            taken: of this signal, in order.
            detectors: how many the project has.
            name: a class by its present name: after a rename the reference is learned again.
        """
        group, told = taken.group, []
        if (group.generation, group.guideline_version) < (self._group.generation, self._group.guideline_version):
            return []  # of a model or guideline that has been replaced meanwhile
        reference = self.watch.reference
        renamed = reference is not None and any(name(one) != one for one in reference.alphabet.named)
        if _version(group) != self.watch.version or renamed:
            said = self.watch.rebase(_version(group))
            told += [] if said is None else [self._tell(said, taken, detectors)]
            self._recent, self._bins = {}, self._new_bins()
        self._group = group
        symbols = taken.symbols if self._bins is None else self._bins.named(taken.symbols)
        if not symbols:
            return told
        self._marks.add(self.watch.offset, round(taken.observed_at.timestamp() * 1000.0))
        for symbol, item_id in taken.items.items():
            name_ = symbol if self._bins is None else self._bins.name(symbol)
            if name_ in self._recent or len(self._recent) < RECENT_SYMBOLS:
                self._recent[name_] = [item_id, *self._recent.get(name_, ())][:RECENT]
        return told + [self._tell(one, taken, detectors) for one in self.watch.observe(symbols)]

    def _tell(self, finding: Finding, taken: Taken, detectors: int) -> DriftAlarm:
        before = None if finding.state == "open" else self.alarm
        about = Context(
            self._group, self._weight, self._policy.budget, detectors,
            opened_at=taken.observed_at if before is None else before.opened_at,
            changed=(self._time(finding.change.at), self._time(finding.change.low), self._time(finding.change.high)),
            reference_time=(
                self._time(finding.reference_start), self._time(finding.reference_start + finding.reference.n)
            ),
            at=taken.observed_at,
            exemplars=tuple(i for symbol in raised(finding) for i in self._recent.get(symbol, ()))[:EXEMPLARS],
            matured=taken.matured,
        )  # fmt: skip
        self.alarm = tell(finding, self.watch, about, before)
        return self.alarm

    def _time(self, offset: int) -> datetime | None:
        nearest = self._marks.nearest(offset)
        return None if nearest is None else datetime.fromtimestamp(nearest[1] / 1000.0, UTC)

    def standing(self) -> Standing:
        """For whoever looks at it."""
        watch = self.watch
        state = DetectorState.LEARNING if watch.learning else DetectorState.WATCHING
        return Standing(
            self._group.signal, self._group.slice, DetectorState.ALARMED if watch.alarmed else state,
            watch.log_opened if watch.alarmed else watch.log_evidence, math.log(watch.sensitivity.budget),
            watch.learned, watch.sensitivity.reference, watch.offset,
        )  # fmt: skip

    def state(self) -> str:
        """For the database: a few kB of text."""
        open_ = self.alarm if self.watch.alarmed else None  # of one that is over nothing more is told
        return packed({
            "group": self._group, "watch": self.watch.state(), "marks": self._marks.state(),
            "bins": None if self._bins is None else self._bins.state(),
            "recent": self._recent, "alarm": None if open_ is None else open_.model_dump(mode="json"),
        })  # fmt: skip

    @classmethod
    def load(cls, text: str, policy: Drift, *, sliced: bool = False) -> "Keeper":
        """Go on from `state()`."""
        state = unpacked(text)
        found = cls(Group(*state["group"]), policy, sliced=sliced)
        found.watch = Watch.load(found.watch.sensitivity, state["watch"])
        if found._bins is not None:
            kept = state.get("bins")
            if kept is None:
                found.watch.version = ""  # of a database that had other bins: begin anew
            else:
                found._bins = Bins.load(kept, min(LEARNED_FROM, policy.reference // 2))
        found.alarm = None if state["alarm"] is None else DriftAlarm.model_validate(state["alarm"])
        found._marks = Marks.load(_marks_state(state["marks"]), MARKS)
        found._recent = state["recent"]
        return found


def _marks_state(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Earlier versions wrote the offsets themselves, and times in seconds."""
    if "offsets" not in state:
        return state
    times = [round(seconds * 1000.0) for seconds in state["places"]]
    return {"offset_steps": steps_of(state["offsets"]), "place_steps": steps_of(times)}


def _version(group: Group) -> str:
    return f"{group.model_version}/{group.guideline_version}"


def same_change(one: DriftAlarm, other: DriftAlarm) -> bool:
    """Whether two alarms of a signal are about one change.

    Either an earlier database told the other one, and it was found again; or one is of a slice, and the other of all.
    """
    if one.subject.signal != other.subject.signal or other.subject.slice not in ("", one.subject.slice):
        return False
    start = other.effect.changed_from or other.opened_at
    return start <= one.opened_at and (one.effect.changed_from or one.opened_at) <= other.opened_at
