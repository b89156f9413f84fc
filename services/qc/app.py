"""qc, wired: what it reads, what it writes, what it does on its own clock."""

from pathlib import Path

from services.qc.handlers import Handlers, QcEraser, rebuild_relabels
from services.qc.jobs import AgreementJobs, Doubts, GoldPlans, Jobs, Patterns, PeopleJobs, Reviews
from services.qc.metrics import Metrics
from services.qc.settings import QcSettings
from services.qc.store import ParameterCache
from shared.bus.erasing import Erasing
from shared.bus.records import written_by
from shared.runtime.service import Service
from shared.topics import (
    ANNOTATIONS,
    ASSIGNMENT,
    ERASURES,
    ESCALATIONS,
    GOLD_ANSWERS,
    GUIDELINES,
    LABELS,
    PROJECTS,
    QUALITY,
    RELABELS,
)

FORGET_S = 3600.0
MIGRATIONS = Path(__file__).parent / "migrations"


def build(settings: QcSettings) -> Service:
    """The service; reads as the list of its subscriptions."""
    service = Service("qc", settings, migrations=MIGRATIONS)
    metrics = Metrics(service.registry)
    parameters = ParameterCache()
    erasing = Erasing(QcEraser(service.references.projects), service.unit)
    jobs = Jobs(service.unit, service.references, settings, metrics, parameters)
    handlers = Handlers(service.references, metrics, parameters, jobs.catch_up)
    doubts = Doubts(service.unit, service.references, settings, metrics, parameters)
    agreement = AgreementJobs(service.unit, service.references, settings, parameters)

    service.reads(PROJECTS, GUIDELINES, GOLD_ANSWERS)
    service.writes(LABELS, ESCALATIONS, QUALITY, RELABELS, GOLD_ANSWERS)
    service.rebuild(ERASURES, erasing.on_erasures)
    service.rebuild(LABELS, handlers.rebuild_labels)
    service.rebuild(ESCALATIONS, handlers.rebuild_escalations)
    service.rebuild(RELABELS, rebuild_relabels)
    service.rebuild(QUALITY, handlers.rebuild_quality)

    service.consume(ANNOTATIONS, handlers.on_annotations)
    service.consume(LABELS, handlers.on_labels, passes_over=written_by(ASSIGNMENT))
    service.consume(ERASURES, erasing.on_erasures)
    service.consume(QUALITY, handlers.on_quality)

    service.every(settings.snapshot_check_s, "snapshots", jobs.take_snapshots)
    service.every(settings.agreement_interval_s, "agreement", agreement.publish_agreement)
    service.every(settings.erase_again_s, "erase again", erasing.again)
    service.every(FORGET_S, "forget", jobs.forget_snapshots)
    service.every(settings.gold_interval_s, "gold", jobs.score_gold)
    service.every(settings.review_interval_s, "review", jobs.review)
    service.every(settings.review_interval_s, "doubts", doubts.reconsider)
    _about_people(service, settings, metrics, parameters)
    return service


def _about_people(service: Service, settings: QcSettings, metrics: Metrics, parameters: ParameterCache) -> None:
    """What is measured of people and of guidelines, and what is planned for them."""
    people, patterns = (
        PeopleJobs(service.unit, service.references, settings, parameters),
        Patterns(service.unit, service.references),
    )
    plans = GoldPlans(service.unit, service.references, settings)
    reviews = Reviews(service.unit, service.references, settings, metrics)
    service.every(settings.quality_interval_s, "skills", people.publish_skills)
    service.every(settings.gold_interval_s, "gold plans", plans.plan)
    service.every(settings.patterns_interval_s, "patterns", patterns.publish)
    service.every(settings.review_interval_s, "reviews", reviews.review)
