"""The metrics of assignment, declared once. Labels are projects, states and codes, never items or people."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

API_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class AssignmentMetrics:
    """One per service, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.items = Counter(
            "labelstream_assignment_items_total",
            "Items read, by what they were: new, duplicate or parked before.",
            ["project", "kind"],
            registry=registry,
        )
        self.decisions = Counter(
            "labelstream_assignment_decisions_total",
            "Decisions published: auto, queued, sampled_out, blocked, superseded, unlabelable, unresolved, exhausted,"
            " renamed, revised.",
            ["project", "decision"],
            registry=registry,
        )
        self.relabels_refused = Counter(
            "labelstream_assignment_relabels_refused_total",
            "Relabel requests beyond the last round.",
            ["project"],
            registry=registry,
        )
        self.leases = Counter(
            "labelstream_assignment_leases_total", "Leases granted or expired.", ["project", "event"], registry=registry
        )
        self.answers = Counter(
            "labelstream_assignment_answers_total",
            "Answers accepted: answered, skipped or late.",
            ["project", "outcome"],
            registry=registry,
        )
        self.forgotten = Counter(
            "labelstream_assignment_forgotten_total",
            "Rows that became too old: contents, leases, request_log.",
            ["what"],
            registry=registry,
        )
        self.refusals = Counter(
            "labelstream_assignment_refusals_total", "API requests refused, by code.", ["code"], registry=registry
        )
        self.request_seconds = Histogram(
            "labelstream_assignment_request_seconds",
            "Time of an API request, in seconds.",
            ["route", "status"],
            buckets=API_BUCKETS_S,
            registry=registry,
        )
        self.state = Gauge(
            "labelstream_assignment_items_by_state",
            "Items by state; read from the database, so every replica reports the same.",
            ["project", "state"],
            registry=registry,
        )
        self.present = Gauge(
            "labelstream_assignment_people_present", "People who may work and were seen of late.", registry=registry
        )
