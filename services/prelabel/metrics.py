"""What prelabel measures. Labels are bounded: projects, sources, outcomes; never items."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one replica."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.predictions = Counter(
            "labelstream_prelabel_predictions",
            "Predictions made, by outcome: proposed, or the reason of the abstention",
            ["project", "outcome"],
            registry=registry,
        )
        self.shadows = Counter(
            "labelstream_prelabel_shadow_predictions",
            "Predictions of models on trial: proposed, abstained, failed",
            ["project", "outcome"],
            registry=registry,
        )
        self.skipped = Counter(
            "labelstream_prelabel_skipped",
            "Items not predicted: the project is unknown, its predictions come from elsewhere, or the item is erased",
            ["reason"],
            registry=registry,
        )
        self.call_rows = Histogram(
            "labelstream_prelabel_model_call_rows", "Rows per model call", buckets=BATCH_SIZES, registry=registry
        )
        self.call_seconds = Histogram(
            "labelstream_prelabel_model_call_seconds", "Seconds per model call", buckets=SECONDS, registry=registry
        )
        self.unsketched = Counter(
            "labelstream_prelabel_unsketched",
            "Predictions without a sketch because making it failed, by what it was to be of: content, features",
            ["of"],
            registry=registry,
        )
        self.loads = Counter(
            "labelstream_prelabel_model_loads",
            "Attempts to load a live model: loaded, refused, unavailable",
            ["project", "outcome"],
            registry=registry,
        )
        self.generation = Gauge(
            "labelstream_prelabel_model_generation", "Generation of the serving model", ["project"], registry=registry
        )
        self.refused = Gauge(
            "labelstream_prelabel_model_refused",
            "1 where the live model of a project was refused, so that an older one or none serves",
            ["project"],
            registry=registry,
        )
        self.source_records = Counter(
            "labelstream_prelabel_source_records",
            "Records read from sources: mapped, sampled_out, erased, or the reason of the refusal",
            ["project", "source", "outcome"],
            registry=registry,
        )
        self.source_lag = Gauge(
            "labelstream_prelabel_source_lag_records",
            "Records of a source that this replica has still to read",
            ["project", "source"],
            registry=registry,
        )
        self.source_stopped = Gauge(
            "labelstream_prelabel_source_stopped",
            "1 where a source was stopped for good: its configuration is wrong, or nearly everything is unmappable",
            ["project", "source"],
            registry=registry,
        )
        self.source_failures = Counter(
            "labelstream_prelabel_source_failures",
            "Times that a source stopped with an error and was started again",
            ["project", "source"],
            registry=registry,
        )
