"""What the trainer subscribes to, in one place."""

from services.prelabel.training.consumer import KeptConsumer
from services.prelabel.training.handlers import Handlers
from services.prelabel.training.jobs.cycle import Cycle
from services.prelabel.training.jobs.keeping import Keeping
from services.prelabel.training.jobs.trials import Trials
from services.prelabel.training.jobs.work import Workshop
from services.prelabel.training.metrics import Metrics
from services.prelabel.training.settings import TrainerSettings
from services.prelabel.training.store.kept import Kept
from shared.runtime.service import Service
from shared.topics import (
    ERASURES,
    ITEMS,
    LABELS,
    MODELS,
    PROJECTS,
    QUALITY,
    ROUTES,
    SHADOW_PREDICTIONS,
    TRAINER,
)

ERASE_S, PRUNE_S = 1.0, 60.0


def build(settings: TrainerSettings) -> Service:
    """The service, declared and not started."""
    service = Service(TRAINER, settings)
    references, metrics, kept = service.references, Metrics(service.registry), Kept(settings.directory)
    handlers = Handlers(references)
    workshop = Workshop(settings, kept)
    keeping = Keeping(kept, references, settings, service.clock)
    trials = Trials(
        kept=kept,
        references=references,
        publisher=service.publisher,
        workshop=workshop,
        metrics=metrics,
        clock=service.clock,
    )
    cycle = Cycle(
        kept=kept,
        references=references,
        publisher=service.publisher,
        workshop=workshop,
        trials=trials,
        settings=settings,
        metrics=metrics,
        clock=service.clock,
    )

    service.reads(PROJECTS, MODELS, ERASURES)
    service.writes(MODELS)
    for topic, handler in (
        (ITEMS, handlers.on_items),
        (LABELS, handlers.on_labels),
        (SHADOW_PREDICTIONS, handlers.on_shadow_predictions),
        (ROUTES, handlers.on_routes),
        (QUALITY, handlers.on_quality),
    ):
        service.add(KeptConsumer(topic, handler, kept, settings=settings, metrics=service.metrics))
    service.on_start(keeping.start)
    service.every(ERASE_S, "erase", keeping.erase)
    service.every(PRUNE_S, "prune", keeping.prune)
    service.every(settings.check_s, "cycle", cycle.run)
    service.on_stop(keeping.close)
    return service
