"""monitor, wired: what it reads, what it writes, what it does on its own clock."""

from pathlib import Path

from services.monitor.api import Lag, Reading, make_api
from services.monitor.domain.relabel import Beliefs
from services.monitor.handlers import Handlers, MonitorEraser
from services.monitor.jobs import Certifying, Diagnosing, Drifting, Jobs, Relabelling
from services.monitor.metrics import FlowCollector
from services.monitor.settings import MonitorSettings
from shared.bus.erasing import Erasing
from shared.runtime.service import Service
from shared.topics import (
    ANNOTATIONS,
    ERASURES,
    GUIDELINES,
    ITEMS,
    LABELS,
    MODELS,
    PREDICTIONS,
    PROJECTS,
    QUALITY,
    RELABELS,
    ROUTES,
    SHADOW_PREDICTIONS,
)

MIGRATIONS = Path(__file__).parent / "migrations"


def build(settings: MonitorSettings) -> Service:
    """The service; reads as the list of its subscriptions.

    Raises:
        ConfigurationError: the token of the status page is short or well known.
    """
    service = Service("monitor", settings, migrations=MIGRATIONS)
    projects = service.references.projects
    beliefs = Beliefs()
    handlers = Handlers(projects, bucket_s=settings.bucket_s, beliefs=beliefs)
    erasing = Erasing(MonitorEraser(), service.unit)
    collector = FlowCollector(max_classes=settings.metric_classes)
    certifying = Certifying(service.unit, projects, settings)
    relabelling = Relabelling(service.unit, projects, settings, beliefs)
    drifting = Drifting(service.unit, projects, settings)
    jobs = Jobs(service.unit, projects, settings, collector)
    service.registry.register(collector)

    service.reads(PROJECTS, MODELS, GUIDELINES)
    service.writes(QUALITY, RELABELS)
    service.rebuild(ERASURES, erasing.on_erasures)
    service.rebuild(RELABELS, handlers.rebuild_relabels)
    service.rebuild(QUALITY, handlers.rebuild_quality)

    service.consume(ITEMS, handlers.on_items)
    service.consume(PREDICTIONS, handlers.on_predictions)
    service.consume(SHADOW_PREDICTIONS, handlers.on_shadow_predictions)
    service.consume(ROUTES, handlers.on_routes)
    service.consume(ANNOTATIONS, handlers.on_annotations)
    service.consume(LABELS, handlers.on_labels)
    service.consume(QUALITY, handlers.on_quality)
    service.consume(ERASURES, erasing.on_erasures)

    for seconds, name, job in (
        (settings.snapshot_interval_s, "snapshot", jobs.take_snapshot),
        (settings.quality_interval_s, "quality", jobs.publish_quality),
        (settings.relabel_interval_s, "relabel", relabelling.release),
        (settings.beliefs_interval_s, "beliefs", relabelling.believe),
        (settings.diagnose_interval_s, "diagnose", Diagnosing(service.unit, projects).diagnose),
        (settings.certify_interval_s, "certify", certifying.certify),
        (settings.drift_interval_s, "drift", drifting.detect),
        (settings.certify_interval_s, "reopen", certifying.reopen),
        (settings.erase_again_s, "erase again", erasing.again),
        (settings.prune_interval_s, "prune", jobs.prune),
        (settings.prune_interval_s, "prune drift", drifting.prune),
        (settings.prune_interval_s, "prune evidence", certifying.prune),
    ):
        service.every(seconds, name, job)
    service.mount("/", make_api(_reading(service, collector), token=settings.page_token()))
    return service


def _reading(service: Service, collector: FlowCollector) -> Reading:
    """What the page and the read API answer from."""

    def lags() -> list[Lag]:
        return [Lag(topic, int(records), age) for topic, (records, age) in service.metrics.lags().items()]

    return Reading(collector, service.unit, lags=lags, stopped=service.health.unready, clock=service.clock)
