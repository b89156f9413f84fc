"""What prelabel subscribes to, in one place."""

from services.prelabel.handlers import Handlers
from services.prelabel.jobs.follower import ModelFollower
from services.prelabel.jobs.sources import Sources
from services.prelabel.metrics import Metrics
from services.prelabel.settings import PrelabelSettings
from services.prelabel.store.live import LiveModels
from services.prelabel.store.media import FetchLimits, MediaFetcher
from shared.runtime.service import Service
from shared.topics import ERASURES, ITEMS, MODELS, PREDICTIONS, PRELABEL, PROJECTS, REFRESHES, SHADOW_PREDICTIONS

REFRESH_SHARE = 10


def build(settings: PrelabelSettings) -> Service:
    """The service, declared and not started."""
    service = Service(PRELABEL, settings)
    references, metrics, live = service.references, Metrics(service.registry), LiveModels()
    follower = ModelFollower(references, live, settings, metrics)
    sources = Sources(references, service.publisher, settings, metrics)
    media = MediaFetcher(fetch_limits(settings))
    handlers = Handlers(
        references=references,
        live=live,
        ensure=follower.ensure,
        media=media,
        settings=settings,
        metrics=metrics,
        clock=service.clock,
    )

    service.reads(PROJECTS, MODELS, ERASURES)
    service.forward(ITEMS, handlers.on_items)
    service.forward(REFRESHES, handlers.on_refreshes, max_records=max(1, settings.max_records // REFRESH_SHARE))
    service.writes(PREDICTIONS, SHADOW_PREDICTIONS, ITEMS)
    service.on_start(follower.start)
    service.every(settings.model_poll_s, "models", follower.poll)
    service.background("sources", sources.run)
    service.readiness("models", follower.unready)
    return service


def fetch_limits(settings: PrelabelSettings) -> FetchLimits:
    """The limits on fetched media that the settings say."""
    return FetchLimits(
        max_bytes=settings.fetch_max_bytes,
        timeout_s=settings.fetch_timeout_s,
        batch_timeout_s=settings.fetch_batch_timeout_s,
        concurrency=settings.fetch_concurrency,
        max_pixels=settings.image_max_pixels,
        networks=settings.fetch_networks,
        ca_file=settings.fetch_cafile,
    )
