"""A signal's detector as it is kept between batches: its watch, where its events stood in time, and whose they are."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from services.monitor.domain.drift.marks import Marks
from services.monitor.domain.drift.signals import BY_PEOPLE, GOLD, SHARES, Group
from services.monitor.domain.drift.telling import Context, raised, tell
from services.monitor.domain.drift.watch import TOLERANCE, Finding, Sensitivity, Watch
from shared.events import Drift, DriftAlarm

EXEMPLARS, RECENT, RECENT_SYMBOLS = 10, 3, 50
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
        place: which of the project's annotators this one is, from 1; 1 for all other signals.
    """

    def __init__(self, group: Group, policy: Drift, place: int = 1) -> None:
        self._group, self._policy, self.place = group, policy, place
        share = SHARES[group.signal]
        self._weight = share / (place * (place + 1)) if group.signal == GOLD else share
        self.watch = Watch(self._sensitivity(), _version(group))
        self.alarm: DriftAlarm | None = None
        self._marks = Marks()
        self._recent: dict[str, list[str]] = {}

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
            self._recent = {}
        self._group = group
        self._marks.add(self.watch.offset, taken.observed_at.timestamp())
        for symbol, item_id in taken.items.items():
            if symbol in self._recent or len(self._recent) < RECENT_SYMBOLS:
                self._recent[symbol] = [item_id, *self._recent.get(symbol, ())][:RECENT]
        return told + [self._tell(one, taken, detectors) for one in self.watch.observe(taken.symbols)]

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
        return None if nearest is None else datetime.fromtimestamp(nearest[1], UTC)

    def state(self) -> str:
        """For the database."""
        document = {
            "group": self._group, "place": self.place, "watch": self.watch.state(), "marks": self._marks.state(),
            "recent": self._recent, "alarm": None if self.alarm is None else self.alarm.model_dump(mode="json"),
        }  # fmt: skip
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def load(cls, text: str, policy: Drift) -> "Keeper":
        """Go on from `state()`."""
        state: dict[str, Any] = json.loads(text)
        found = cls(Group(*state["group"]), policy, state["place"])
        found.watch = Watch.load(found.watch.sensitivity, state["watch"])
        found.alarm = None if state["alarm"] is None else DriftAlarm.model_validate(state["alarm"])
        found._marks = Marks.load(state["marks"])
        found._recent = state["recent"]
        return found


def _version(group: Group) -> str:
    return f"{group.model_version}/{group.guideline_version}"


def same_change(one: DriftAlarm, other: DriftAlarm) -> bool:
    """Whether two alarms of a signal are about one change: what an earlier database told, found again in a new one."""
    if (one.subject.signal, one.subject.slice) != (other.subject.signal, other.subject.slice):
        return False
    start = other.effect.changed_from or other.opened_at
    return start <= one.opened_at and (one.effect.changed_from or one.opened_at) <= other.opened_at
