"""The metrics that every service has, declared once. Labels are topics and reasons, never items or people."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

# A series more for each counter, which nothing asks for: twice the size and time of a scrape.
disable_created_metrics()  # type: ignore[no-untyped-call]

BATCH_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class BusMetrics:
    """Counters of the plumbing, in one registry per service."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "labelstream_records_total",
            "Records read from a topic by how they ended: processed, rejected or skipped.",
            ["topic", "outcome"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "labelstream_dead_letters_total", "Records refused, by reason.", ["topic", "reason"], registry=registry
        )
        self.batch_seconds = Histogram(
            "labelstream_batch_seconds",
            "Time to process one batch, in seconds.",
            ["topic"],
            buckets=BATCH_BUCKETS_S,
            registry=registry,
        )
        self.batch_records = Histogram(
            "labelstream_batch_records", "Records per batch.", ["topic"], buckets=BATCH_BUCKETS, registry=registry
        )
        self.retries = Counter(
            "labelstream_batch_retries_total", "Batches tried again, by cause.", ["topic", "cause"], registry=registry
        )
        self.published = Counter(
            "labelstream_published_records_total", "Records handed to the outbox or to Kafka.", registry=registry
        )
        self.rebalances = Counter(
            "labelstream_rebalances_total",
            "Times that the group assigned partitions of a topic to this process anew.",
            ["topic"],
            registry=registry,
        )
        self.lag = Gauge(
            "labelstream_consumer_lag_records",
            "Records of a partition that are not processed yet.",
            ["topic", "partition"],
            registry=registry,
        )
        self.oldest = Gauge(
            "labelstream_consumer_oldest_unprocessed_seconds",
            "Age of the oldest record of a partition that is not processed yet, in seconds; 0 without lag.",
            ["topic", "partition"],
            registry=registry,
        )
        self.skipped_offsets = Counter(
            "labelstream_offsets_lost_total",
            "Offsets that retention removed before they were read.",
            ["topic"],
            registry=registry,
        )
        self.outbox_records = Gauge(
            "labelstream_outbox_pending_records", "Records committed and not yet published.", registry=registry
        )
        self.outbox_age = Gauge(
            "labelstream_outbox_oldest_seconds", "Age of the oldest outbox row, in seconds.", registry=registry
        )
        self.ready = Gauge("labelstream_ready", "1 while the service is ready.", registry=registry)
        self.job_failures = Counter(
            "labelstream_job_failures_total", "Runs of a periodic job that failed.", ["task"], registry=registry
        )

    def consumes(self, topic: str) -> None:
        """Show a topic's counters from 0 on: a rate never sees what a series is born with."""
        for outcome in ("processed", "rejected", "skipped"):
            self.records.labels(topic, outcome)
        self.skipped_offsets.labels(topic)
        self.rebalances.labels(topic)

    def lags(self) -> dict[str, tuple[float, float]]:
        """Topic -> records that this process has still to process, and the age of the oldest in seconds."""
        found: dict[str, tuple[float, float]] = {}
        ages = {tuple(s.labels.items()): s.value for family in self.oldest.collect() for s in family.samples}
        for sample in (sample for family in self.lag.collect() for sample in family.samples):
            records, age = found.get(sample.labels["topic"], (0.0, 0.0))
            own = ages.get(tuple(sample.labels.items()), 0.0)
            found[sample.labels["topic"]] = (records + sample.value, max(age, own))
        return found
