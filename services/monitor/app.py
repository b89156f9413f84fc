"""monitor, wired: what it reads, what it writes, what it does on its own clock."""

from pathlib import Path

from services.monitor.api import Lag, Reading, make_api
from services.monitor.handlers import Handlers, MonitorEraser
from services.monitor.jobs import Certifying, Jobs
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
    handlers = Handlers(projects, bucket_s=settings.bucket_s)
    erasing = Erasing(MonitorEraser(), service.unit)
    collector = FlowCollector(max_classes=settings.metric_classes)
    certifying = Certifying(service.unit, projects, settings)
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

    service.every(settings.snapshot_interval_s, "snapshot", jobs.take_snapshot)
    service.every(settings.quality_interval_s, "quality", jobs.publish_quality)
    service.every(settings.certify_interval_s, "certify", certifying.certify)
    service.every(settings.certify_interval_s, "reopen", certifying.reopen)
    service.every(settings.erase_again_s, "erase again", erasing.again)
    service.every(settings.prune_interval_s, "prune", jobs.prune)
    service.every(settings.prune_interval_s, "prune evidence", certifying.prune)
    service.mount("/", make_api(_reading(service, collector), token=settings.page_token()))
    return service


def _reading(service: Service, collector: FlowCollector) -> Reading:
    """What the page and the read API answer from."""

    def lags() -> list[Lag]:
        return [Lag(topic, int(records), age) for topic, (records, age) in service.metrics.lags().items()]

    return Reading(collector, service.unit, lags=lags, stopped=service.health.unready, clock=service.clock)
