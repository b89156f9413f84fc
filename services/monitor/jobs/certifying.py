"""Certificates for auto-accept: audits are weighed, certificates published, labels of a void one opened again."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from services.monitor.domain.certificate import Evidence
from services.monitor.domain.certifying import Ledger, certify, named, rules_of
from services.monitor.domain.relabel import requested
from services.monitor.domain.voids import told
from services.monitor.jobs.flow import OpenUnit
from services.monitor.settings import MonitorSettings
from services.monitor.store import CertificateStore, Store
from services.monitor.store.certificates import OLD_ACCEPTED, OLD_AUDITS, Reopening
from shared.bus.references import CurrentProject, Projects
from shared.bus.unit import Unit
from shared.events import Relabel, RelabelCause
from shared.topics import QUALITY, RELABELS

log = structlog.get_logger(__name__)
URGENCY = 0.9


class Certifying:
    """The jobs of one replica. Each may run in every replica at once: a project's row is locked meanwhile."""

    def __init__(self, unit: OpenUnit, projects: Projects, settings: MonitorSettings) -> None:
        self._unit = unit
        self._projects = projects
        self._settings = settings

    async def certify(self) -> None:
        """Weigh the new audits of every project that asks for a guarantee."""
        for project in self._projects.all():
            if project.spec.guaranteed is not None:
                async with self._unit() as unit:
                    await self._certify(project, unit)

    async def _certify(self, project: CurrentProject, unit: Unit) -> None:
        auto = project.spec.guaranteed
        rules = rules_of(auto, project.spec.label) if auto is not None else None
        if auto is None or rules is None:
            return
        store = CertificateStore(unit.connection)
        ledger = await store.claim_ledger(project.project_id) or Ledger(rules, Evidence.none(rules))
        findings = await store.take_audits(project.project_id, self._settings.certify_max_audits)
        if not findings and rules == ledger.rules:
            return
        findings = named(ledger, findings, self._projects.names(project.project_id))
        classes = len(getattr(project.spec.label, "classes", ()))
        said, doubts = await asyncio.to_thread(certify, ledger, findings, auto, rules, classes=classes, now=unit.now)
        await store.save_ledger(project.project_id, ledger)
        for certificate in said:
            unit.emit(QUALITY, told(project.project_id, certificate, unit.now))
            log.info("certificate", project_id=project.project_id, state=certificate.state, number=certificate.number)
        for doubt in doubts:
            await store.begin_reopening(project.project_id, doubt)

    async def reopen(self) -> None:
        """Ask for another round of what was accepted under a certificate that proved void; a chunk per run."""
        async with self._unit() as unit:
            store = CertificateStore(unit.connection)
            for project_id, symbol, reopening in await store.list_reopenings():
                items = await store.list_accepted(project_id, reopening, self._settings.reopen_max_items)
                names = self._projects.names(project_id)
                covered = [item for item in items if item.covered_by(symbol, names)]
                made = await open_again([(project_id, item.item_id, item.labelled_at) for item in covered], unit)
                done = len(items) < self._settings.reopen_max_items
                rest = None if done else Reopening(items[-1].labelled_at, items[-1].item_id, reopening.until)
                await store.save_reopening(project_id, symbol, rest)
                log.info("labels_reopened", project_id=project_id, labels=made, done=done)

    async def prune(self) -> None:
        """Delete weighed audits and accepted labels past their age, a bounded number at a time."""
        async with self._unit() as unit:
            before = unit.now - timedelta(days=self._settings.accepted_kept_days)
        for statement in (OLD_AUDITS, OLD_ACCEPTED):
            gone = self._settings.prune_rows
            while gone >= self._settings.prune_rows:
                async with self._unit() as unit:
                    gone = await Store(unit.connection).prune(statement, before, self._settings.prune_rows)


async def open_again(labels: Iterable[tuple[str, str, datetime]], unit: Unit) -> int:
    """Ask for another round of labels (project, item, when it was accepted), once each; how many that are."""
    store = Store(unit.connection)
    requests = [_doubt(project_id, item_id, at, unit.now) for project_id, item_id, at in labels]
    made = await store.save_relabels(requests)
    fresh = [request for request in requests if request.event_id in made]
    for request in fresh:
        unit.emit(RELABELS, request)
    await store.add_counts(requested(fresh), shard=0)
    return len(made)


def _doubt(project_id: str, item_id: str, at: datetime, now: datetime) -> Relabel:
    return Relabel(
        project_id=project_id,
        item_id=item_id,
        round=1,
        cause=RelabelCause.DRIFT,
        evidence=f"accepted at {at.isoformat()}, when the certificate was no longer true",
        urgency=URGENCY,
        requested_by="monitor",
        requested_at=now,
    )
