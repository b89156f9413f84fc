"""Agreement and calibration, measured over a window of recent answers and published where they changed."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from datetime import datetime

import structlog

from services.qc.domain.checked import calibration
from services.qc.domain.concord import agreements, concord, pairs
from services.qc.domain.counts import Parameters
from services.qc.domain.fusing.agreeing import by_part
from services.qc.domain.kinds.kind import Given as Fused
from services.qc.domain.refresh import Given
from services.qc.domain.scale import Kind, Scale, scale_of, symbol_of
from services.qc.jobs.snapshots import SHORT_S, OpenUnit
from services.qc.settings import QcSettings
from services.qc.store import ParameterCache, Store
from shared.bus.references import References
from shared.bus.unit import Unit
from shared.events import Agreement, Calibration, PairAgreement, Policy, Quality
from shared.labels import LabelValue
from shared.topics import QUALITY

log = structlog.get_logger(__name__)
NAME_AT_MOST = 100
FUSED_AT_MOST = 2000
Measured = Agreement | PairAgreement | Calibration


class AgreementJobs:
    """May run in every replica at once: one measures a project at a time, and equal figures are one event."""

    def __init__(
        self, unit: OpenUnit, references: References, settings: QcSettings, parameters: ParameterCache
    ) -> None:
        self._unit = unit
        self._references = references
        self._settings = settings
        self._parameters = parameters
        self._given: dict[str, int] = {}
        self._published: dict[tuple[str, str], str] = {}
        self._rests_until = 0.0

    async def publish_agreement(self) -> None:
        """Measure each project with new answers, and publish what changed."""
        async with self._unit() as unit:
            standing = await Store(unit.connection).list_given_by_people()
        for project, given in sorted(standing.items(), key=lambda one: self._given.get(one[0], 0) - one[1]):
            started = time.monotonic()
            if started < self._rests_until:
                return
            if self._given.get(project) != given and await self._measure(project):
                self._given[project] = given
            took = time.monotonic() - started
            if took > SHORT_S:
                self._rests_until = started + took / self._settings.agreement_share

    async def _measure(self, project: str) -> bool:
        """Whether it was this replica's turn, and the project is known."""
        current = self._references.projects.current(project)
        if current is None:
            return False
        scale, policy, most = scale_of(current.spec.label), current.spec.policy, self._settings.agreement_answers
        async with self._unit() as unit:
            store = Store(unit.connection, self._references.projects.naming)
            if not await store.lock_project(project, "agreement"):
                return False
            if scale.kind is Kind.FUSED:
                return await self._measure_fused(project, store, unit)
            given = await store.list_given(project, most)
            gold = await store.list_gold_given(project, most)
            parameters = (await self._parameters.latest([project], store))[project]
            truth = {
                item: symbol_of(answer.value)
                for item in {one.item_id for one in gold}
                if (answer := self._references.gold_answers.get(project, item)) is not None
            }
            resamples = self._settings.agreement_resamples
            found = await asyncio.to_thread(_all, given, scale, resamples)
            found += await asyncio.to_thread(_checked, given, gold, truth, (scale, parameters, policy))
            events = [_event(project, one, parameters.snapshot, unit.now) for one in found]
            for event in events:
                if self._published.get((project, event.subject)) != event.sequence:
                    unit.emit(QUALITY, event)
        self._published |= {(project, event.subject): event.sequence for event in events}
        log.info("agreement_measured", project_id=project, answers=len(given), measurements=len(events))
        return True

    async def _measure_fused(self, project: str, store: Store, unit: Unit) -> bool:
        """Of labels that are fused, over fewer answers: distances are dear."""
        most = min(self._settings.agreement_answers, FUSED_AT_MOST)
        given = await store.list_values(project, most)
        parameters = (await self._parameters.latest([project], store))[project]
        found = await asyncio.to_thread(_fused, given, self._settings.agreement_resamples)
        for event in (_event(project, one, parameters.snapshot, unit.now) for one in found):
            if self._published.get((project, event.subject)) != event.sequence:
                unit.emit(QUALITY, event)
                self._published[project, event.subject] = event.sequence
        log.info("agreement_measured", project_id=project, answers=len(given), measurements=len(found))
        return True


def _fused(given: Sequence[tuple[str, Fused[LabelValue]]], resamples: int) -> list[Measured]:
    rounds: dict[str, list[Fused[LabelValue]]] = {}
    for place, one in reversed(given):
        rounds.setdefault(place, []).append(one)
    return [*by_part(rounds, resamples=resamples)]


def _all(given: Sequence[Given], scale: Scale, resamples: int) -> list[Measured]:
    found = concord(given, scale)
    return [*agreements(found, scale, resamples=resamples), pairs(found, resamples=resamples)]


def _checked(
    given: Sequence[Given], gold: Sequence[Given], truth: dict[str, str], by: tuple[Scale, Parameters, Policy]
) -> list[Measured]:
    known = {one.item_id: one.known for one in given if one.known is not None}
    expert = [one for one in given if one.item_id in known]
    both = (
        calibration(gold, truth, *by, against="gold"),
        calibration(expert, known, *by, against="expert"),
    )
    return [one for one in both if one is not None]


def _subject(one: Measured) -> str:
    match one:
        case Agreement(scope="project"):
            return "agreement"
        case Agreement():
            name = one.name if len(one.name) <= NAME_AT_MOST else hashlib.sha256(one.name.encode()).hexdigest()
            return f"agreement#{one.scope}:{name}"
        case PairAgreement():
            return "agreement#pairs"
        case Calibration():
            return f"calibration#{one.against}"


def _event(project: str, one: Measured, snapshot: int, now: datetime) -> Quality:
    """The same figures are the same event, whoever measured them."""
    return Quality(
        project_id=project,
        subject=_subject(one),
        sequence=hashlib.sha256(one.model_dump_json().encode()).hexdigest(),
        measurement=one,
        snapshot=snapshot,
        measured_at=now,
    )
