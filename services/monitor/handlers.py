"""What monitor does with each topic's events: a handful of statements per batch."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from zlib import crc32

from services.monitor.domain.anchoring import cell
from services.monitor.domain.cause.periods import answer_keys, gold_key, parts_of
from services.monitor.domain.certificate import Rules
from services.monitor.domain.certifying import Finding, finding_of, read_back, refused, rules_of
from services.monitor.domain.counters import Counts, Key, Kind, time_bucket
from services.monitor.domain.drift import signals
from services.monitor.domain.drift.sampling import is_beside_audits, is_sampled
from services.monitor.domain.facts import MAX_VERSION, Facts, State
from services.monitor.domain.observe import NOTHING, ItemKey, Observed, erase, observe_all
from services.monitor.domain.relabel import Beliefs, doubts, requested
from services.monitor.domain.voids import too_late
from services.monitor.jobs.certifying import open_again
from services.monitor.jobs.relabelling import came, release, with_experts
from services.monitor.store import AlarmStore, CertificateStore, Cohort, DoubtStore, DriftStore, KeptAlarm, Store
from shared.bus.records import Received
from shared.bus.references import Projects
from shared.bus.unit import Unit
from shared.db.erasures import Removed
from shared.errors import Reason
from shared.events import (
    Accuracy,
    Anchoring,
    Annotation,
    AutoAccept,
    Certificate,
    ClassMix,
    Disagreement,
    DriftAlarm,
    GoldResult,
    Item,
    Label,
    ModelCalibration,
    Path,
    Prediction,
    Quality,
    Relabel,
    Route,
    RouteState,
    ShadowPrediction,
    in_present_names,
)

E = TypeVar("E", Item, Prediction, Route, Label, Annotation, Quality, ShadowPrediction)
SHARDS = 16


class Handlers:
    """The handlers of one replica.

    Args:
        projects: the reference topic; events of unknown projects are refused.
        bucket_s: width of the time buckets, seconds.
        beliefs: kept up to date by a job.
    """

    def __init__(self, projects: Projects, *, bucket_s: int, beliefs: Beliefs | None = None) -> None:
        self._projects = projects
        self._beliefs = beliefs or Beliefs()
        self._bucket_s = bucket_s

    async def on_items(self, batch: Sequence[Received[Item]], unit: Unit) -> None:
        """Most are new: those cost one statement, the others go the way of every fact."""
        known = [received for received in await self._known(batch, unit) if self._fits(received, unit)]
        store = Store(unit.connection)
        fresh = await store.add_items((r.event.project_id, r.event.item_id) for r in known)
        rest = [r for r in known if (r.event.project_id, r.event.item_id) not in fresh]
        await self._observe(rest, unit, _arrived(fresh), shard=_shard(batch))

    async def on_predictions(self, batch: Sequence[Received[Prediction]], unit: Unit) -> None:
        first = await self._observe(await self._known(batch, unit), unit, only_first=True)
        watched = [e for e in first if isinstance(e, Prediction) and self._watched(e.project_id)]
        slices = {name: self._slices(name) for name in {event.project_id for event in watched}}
        await DriftStore(unit.connection).add_observations(signals.predicted(watched, slices))

    async def on_routes(self, batch: Sequence[Received[Route]], unit: Unit) -> None:
        known = await self._known(batch, unit)
        first = await self._observe(known, unit, only_first=True)
        await self._keep_audits([r.event for r in known if r.event.proposal is not None], unit)
        due = Counter(
            self._cohort(e)
            for e in first
            if isinstance(e, Route) and e.state in (RouteState.QUEUED, RouteState.BLOCKED) and self._is_sample(e)
        )
        await DriftStore(unit.connection).add_cohorts(due, {})

    async def on_labels(self, batch: Sequence[Received[Label]], unit: Unit) -> None:
        possible = []
        for received in await self._known(batch, unit):
            if received.event.version <= MAX_VERSION:
                possible.append(received)
            else:
                unit.reject(received.record, Reason.UNPROCESSABLE, f"version: at most {MAX_VERSION} is possible")
        fresh = [event for event in await self._observe(possible, unit) if isinstance(event, Label)]
        await self._keep_evidence(fresh, unit)
        await self._relabel(fresh, unit)
        await self._compare(fresh, unit)

    async def on_annotations(self, batch: Sequence[Received[Annotation]], unit: Unit) -> None:
        await self._count_once(await self._known(batch, unit), _annotation, unit)

    async def on_shadow_predictions(self, batch: Sequence[Received[ShadowPrediction]], unit: Unit) -> None:
        await self._count_once(await self._known(batch, unit), _shadow, unit)

    async def on_quality(self, batch: Sequence[Received[Quality]], unit: Unit) -> None:
        known = await self._known(batch, unit)
        results = await self._count_once([r for r in known if isinstance(r.event.measurement, GoldResult)], _gold, unit)
        watched = signals.gold(event for event in results if self._watched(event.project_id))
        await DriftStore(unit.connection).add_observations(watched)
        lasting = [r.event for r in known if not isinstance(r.event.measurement, GoldResult)]
        await Store(unit.connection).save_measurements(lasting)

    async def rebuild_relabels(self, batch: Sequence[Received[Relabel]], unit: Unit) -> None:
        """Take in requests that an earlier database made: they are never made again, and they used up budget."""
        own = {r.event.event_id: r.event for r in batch if r.event.requested_by == "monitor"}
        store = Store(unit.connection)
        made = await store.save_relabels(list(own.values()), rebuilt=True)
        await store.add_counts(requested(own[event_id] for event_id in made), shard=0)

    async def rebuild_quality(self, batch: Sequence[Received[Quality]], unit: Unit) -> None:
        """Take in what an earlier database published: windows and certificates are never published again."""
        own: dict[tuple[str, str], Quality] = {}
        for event in sorted((received.event for received in batch), key=lambda e: e.measured_at):
            if isinstance(event.measurement, ClassMix | Disagreement | Anchoring | Accuracy | ModelCalibration):
                own[event.project_id, event.subject] = event
        await Store(unit.connection).claim_windows([(*key, event.measured_at) for key, event in own.items()])
        alarms = [KeptAlarm(r.event.project_id, m) for r in batch if isinstance(m := r.event.measurement, DriftAlarm)]
        await AlarmStore(unit.connection).save_alarms(alarms)
        told: dict[str, tuple[Certificate, datetime]] = {}
        for event in (received.event for received in batch):
            about = event.measurement
            known = told.get(event.project_id)
            if isinstance(about, Certificate) and (known is None or about.number > known[0].number):
                told[event.project_id] = about, event.measured_at
        store = CertificateStore(unit.connection)
        for project_id, (certificate, at) in sorted(told.items()):
            rules = self._rules(project_id)
            if rules is not None:
                ledger = read_back(await store.claim_ledger(project_id), certificate, rules, at)
                if ledger is not None:
                    await store.save_ledger(project_id, ledger)

    async def _known(self, batch: Sequence[Received[E]], unit: Unit) -> list[Received[E]]:
        """The events of known projects; the others are refused."""
        projects = await self._projects.known({received.event.project_id for received in batch})
        known = []
        for received in batch:
            if received.event.project_id in projects:
                known.append(received)
            else:
                detail = f"project_id: there is no project {received.event.project_id!r}; apply it, then replay"
                unit.reject(received.record, Reason.UNKNOWN_PROJECT, detail)
        return known

    def _fits(self, received: Received[Item], unit: Unit) -> bool:
        """Whether the content is of the project's kind, as assignment judges it too."""
        project, kind = self._projects.current(received.event.project_id), received.event.content.kind
        if project is None or project.spec.data == kind:
            return True
        unit.reject(received.record, Reason.CONTENT_KIND, f"content: the project takes {project.spec.data!r}")
        return False

    async def _observe(
        self,
        batch: Sequence[Received[Any]],
        unit: Unit,
        arrived: Mapping[Key, int] | None = None,
        *,
        shard: int | None = None,
        only_first: bool = False,
    ) -> list[Observed]:
        """Fold the events into the facts of their items and count.

        Returns:
            The events that told something new; with `only_first` those that are the first proposal or route of an item.
        """
        store = Store(unit.connection)
        events = [in_present_names(r.event, self._projects.names(r.event.project_id)) for r in batch]
        known = await store.claim_items((event.project_id, event.item_id) for event in events)
        grown, counts, fresh = observe_all(known, events, bucket_s=self._bucket_s)
        await store.save_items(grown)
        counts.update(arrived or {})
        await store.add_counts(counts, shard=_shard(batch) if shard is None else shard)
        return _firsts(fresh, known) if only_first else fresh

    async def _count_once(self, batch: Sequence[Received[E]], keys: Callable[[E], list[Key]], unit: Unit) -> list[E]:
        """Count events that change no item, each once; those that were never seen before."""
        if not batch:
            return []
        store = Store(unit.connection)
        named = (in_present_names(r.event, self._projects.names(r.event.project_id)) for r in batch)
        events = {event.event_id: event for event in named}
        fresh = await store.mark_seen(list(events))
        found = Counts(key for event_id in fresh for key in keys(events[event_id]))
        await store.add_counts(found, shard=_shard(batch))
        return [event for event_id, event in events.items() if event_id in fresh]

    async def _compare(self, labels: Sequence[Label], unit: Unit) -> None:
        """What people's labels say to the detectors, where chance chose the items."""
        found, done = signals.Gathered(), Counter[Cohort]()
        for label in labels:
            if label.version == 1 and label.path is not Path.AUTO and self._is_sample(label):
                cohort = self._cohort(label)
                done[cohort] += 1
                self._say(label, cohort.cohort, found)
        store = DriftStore(unit.connection)
        await store.add_cohorts({}, done)
        await store.add_observations(found.all())

    def _watched(self, project_id: str) -> bool:
        project = self._projects.current(project_id)
        return project is not None and project.spec.drift.mode != "off"

    def _say(self, label: Label, cohort: int, found: signals.Gathered) -> None:
        project = self._projects.current(label.project_id)
        if project is not None and not is_beside_audits(label, project.spec.policy_of(label.slice)):
            signals.labelled(label, cohort, found, self._slices(label.project_id))

    def _slices(self, project_id: str) -> frozenset[str]:
        project = self._projects.current(project_id)
        return frozenset() if project is None else frozenset(one.name for one in project.spec.slices)

    def _is_sample(self, event: Route | Label) -> bool:
        project = self._projects.current(event.project_id)
        if project is None or project.spec.drift.mode == "off":
            return False
        return is_sampled(event, project.spec)

    def _cohort(self, event: Route | Label) -> Cohort:
        return Cohort(event.project_id, time_bucket(event.item_created_at, self._bucket_s))

    async def _keep_evidence(self, labels: Sequence[Label], unit: Unit) -> None:
        """What certificates stand on, and what stands on them; no statement where no project asks for a guarantee."""
        store = CertificateStore(unit.connection)
        await self._keep_audits([label for label in labels if label.would_auto], unit)
        accepted = [label for label in labels if label.evidence.certificate is not None and label.renames is None]
        await store.add_accepted(accepted)
        projects = {label.project_id for label in accepted}
        voids = await store.list_voids(projects) if projects else {}
        if voids:
            late = too_late(accepted, voids, {name: self._projects.names(name) for name in voids})
            await open_again([(label.project_id, label.item_id, label.labelled_at) for label in late], unit)

    async def _keep_audits(self, events: Sequence[Label | Route], unit: Unit) -> None:
        found = [((each.project_id, each.item_id), self._finding(each)) for each in events]
        audits = [(key, finding) for key, finding in found if finding is not None]
        await CertificateStore(unit.connection).add_audits(audits)

    def _finding(self, event: Label | Route) -> Finding | None:
        project = self._projects.current(event.project_id)
        if project is None:
            return None
        return finding_of(event, project.spec) if isinstance(event, Label) else refused(event, project.spec)

    def _auto(self, project_id: str) -> AutoAccept | None:
        """The project's policy of auto-accept, where it asks for a guarantee."""
        project = self._projects.current(project_id)
        return project.spec.guaranteed if project is not None else None

    def _rules(self, project_id: str) -> Rules | None:
        project, auto = self._projects.current(project_id), self._auto(project_id)
        return None if project is None or auto is None else rules_of(auto, project.spec.label)

    async def _relabel(self, labels: Sequence[Label], unit: Unit) -> None:
        """Let labels that are likely wrong wait for another round, and ask for what the budgets allow now."""
        store, waiting = Store(unit.connection), DoubtStore(unit.connection)
        new = [one for one in labels if one.version > 1 and one.renames is None]
        await waiting.drop_older({(one.project_id, one.item_id): one.version for one in new})
        policies = {p.project_id: p.spec.policy.relabel for p in self._projects.all()}
        found = doubts(labels, policies, self._beliefs, {})
        if not found:
            return
        until = await store.get_decided_until(one.project_id for one in found)
        found = doubts(labels, policies, self._beliefs, until)
        bars, spent = self._beliefs.bars, self._beliefs.spent
        await waiting.add_doubts([one for one in found if one.wrong >= bars.get(one.project_id, 0.0)])
        await store.add_counts(came(found, unit.now), shard=0)
        affording = {one.project_id: policies[one.project_id] for one in found if one.project_id not in spent}
        if affording:
            await release(affording, unit, experts=with_experts(self._projects))


class MonitorEraser:
    """See `shared.bus.erasing`. Counters are of the traffic as it was: they stay, less those of a person."""

    async def erase_items(self, keys: Sequence[ItemKey], unit: Unit) -> Mapping[ItemKey, Removed]:
        """Nothing of what items hold is kept here; their requests for another round go, their state is `erased`."""
        store = Store(unit.connection)
        grown, counts = erase(await store.claim_items(keys))
        await store.save_items(grown)
        await store.add_counts(counts, shard=0)
        await CertificateStore(unit.connection).forget_items(keys)
        await DoubtStore(unit.connection).forget_items(keys)
        return await store.delete_relabels(keys)

    async def erase_person(self, annotator_id: str, unit: Unit) -> Removed:
        """What was measured and counted of the person goes."""
        await Store(unit.connection).delete_parts(list(parts_of(annotator_id)))
        await DriftStore(unit.connection).delete_slice(signals.GOLD, annotator_id)
        await AlarmStore(unit.connection).delete_alarms(signals.GOLD, annotator_id)
        return +Removed(
            measurements=await Store(unit.connection).delete_measurements(f"annotator#{annotator_id}", annotator_id)
        )


def _firsts(fresh: Iterable[Observed], known: Mapping[ItemKey, Facts]) -> list[Observed]:
    """A later proposal or route of an item is no new piece of the traffic."""
    found, had = [], set[ItemKey]()
    for event in fresh:
        key = (event.project_id, event.item_id)
        facts = known.get(key, NOTHING)
        later = facts.proposed or event.value is None if isinstance(event, Prediction) else facts.route is not None
        if not later and key not in had:
            had.add(key)
            found.append(event)
    return found


def _arrived(items: Iterable[ItemKey]) -> Counts:
    return Counts(Key(project, Kind.ITEMS, State.AWAITING_PREDICTION.value) for project, _ in items)


def _annotation(event: Annotation) -> list[Key]:
    lane = "gold" if event.gold else "late" if event.late else "round"
    anchored = cell(event)
    return [
        *answer_keys(event),
        Key(event.project_id, Kind.ANNOTATIONS, event.outcome.value, lane),
        *(() if anchored is None else (anchored,)),
    ]


def _shadow(event: ShadowPrediction) -> list[Key]:
    outcome = "proposed" if event.abstention is None else event.abstention.value
    return [Key(event.project_id, Kind.SHADOW_PREDICTIONS, outcome)]


def _gold(event: Quality) -> list[Key]:
    correct = isinstance(event.measurement, GoldResult) and event.measurement.correct
    golden = gold_key(event)
    return [Key(event.project_id, Kind.GOLD, "correct" if correct else "wrong"), *(() if golden is None else (golden,))]


def _shard(batch: Sequence[Received[Any]]) -> int:
    """Consumers of different topics or partitions add to different rows."""
    if not batch:
        return 0
    record = batch[0].record
    return crc32(f"{record.topic}/{record.partition}".encode()) % SHARDS
