"""assignment, wired: what it reads, what it writes, what it does on its own clock."""

from pathlib import Path

from services.assignment.api import Identities, make_api
from services.assignment.handlers import AssignmentEraser, Handlers, rebuild_annotations, rebuild_labels, rebuild_routes
from services.assignment.jobs import Accepting, Choosing, ClassJobs, Housekeeping, QueueJobs, Retention, Sweeper
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from shared.bus.erasing import Erasing
from shared.bus.records import written_by
from shared.runtime.service import Service
from shared.topics import (
    ANNOTATIONS,
    ASSIGNMENT,
    ERASURES,
    ESCALATIONS,
    GOLD_ITEMS,
    GUIDELINES,
    ITEMS,
    LABELS,
    MODELS,
    PREDICTIONS,
    PROJECTS,
    QUALITY,
    REFRESHES,
    RELABELS,
    ROUTES,
)

MIGRATIONS = Path(__file__).parent / "migrations"
HOUSEKEEPING_S = 5.0


def build(settings: AssignmentSettings) -> Service:
    """The service; reads as the list of its subscriptions.

    Raises:
        ConfigurationError: the administrator's token is short or well known.
    """
    service = Service(ASSIGNMENT, settings, migrations=MIGRATIONS)
    metrics = AssignmentMetrics(service.registry)
    handlers, housekeeping = Handlers(service.references, metrics), Housekeeping(service, settings, metrics)
    erasing, sweeper = Erasing(AssignmentEraser(metrics), service.unit), Sweeper(service, settings, metrics)
    queue = QueueJobs(service, settings, metrics, handlers.outlook)
    identities, pace_ms = Identities(service, settings, housekeeping), settings.feedback_pace_ms

    service.reads(PROJECTS, MODELS, GUIDELINES, GOLD_ITEMS)
    service.writes(ROUTES, ANNOTATIONS, LABELS, REFRESHES, QUALITY, GOLD_ITEMS)
    service.rebuild(ERASURES, erasing.on_erasures)
    service.rebuild(ROUTES, rebuild_routes)
    service.rebuild(LABELS, rebuild_labels)
    service.rebuild(ANNOTATIONS, rebuild_annotations)

    service.consume(ITEMS, handlers.on_items)
    service.consume(PREDICTIONS, handlers.on_predictions)
    service.consume(ESCALATIONS, handlers.on_escalations, pace_ms=pace_ms)
    service.consume(LABELS, handlers.on_labels, passes_over=written_by(ASSIGNMENT), pace_ms=pace_ms)
    service.consume(RELABELS, handlers.on_relabels, pace_ms=pace_ms)
    service.consume(QUALITY, handlers.on_quality, pace_ms=pace_ms)
    service.consume(ERASURES, erasing.on_erasures)

    service.every(settings.erase_again_s, "erase again", erasing.again)
    for name, job in (
        ("expire leases", queue.expire_leases),
        ("route overdue", queue.route_overdue),
        ("sweep", sweeper.sweep),
        ("choose", Choosing(service, settings, metrics).choose),
        ("accept", Accepting(service, settings, metrics).accept),
        ("flush", housekeeping.flush),
    ):
        service.every(settings.sweep_interval_s, name, job)
    service.every(settings.token_cache_s / 2, "believe tokens", identities.refresh)
    service.every(settings.retention_interval_s, "forget", Retention(service, settings, metrics).forget)
    for name, job in (
        ("supersede", queue.supersede_outdated),
        ("review", ClassJobs(service, settings, metrics).review),
    ):
        service.every(HOUSEKEEPING_S, name, job)
    service.every(HOUSEKEEPING_S, "gauges", housekeeping.gauge)
    service.every(HOUSEKEEPING_S, "fold", housekeeping.fold)

    service.mount("/", make_api(service, settings, metrics, housekeeping, identities))
    return service
