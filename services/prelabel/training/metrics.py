"""What the trainer measures. Labels are bounded: projects, outcomes, reasons; never items."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MINUTES = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The metrics of one trainer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.trainings = Counter(
            "labelstream_trainer_trainings",
            "Trainings by outcome: registered, unchanged (the same labels again), refused, failed",
            ["project", "outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "labelstream_trainer_training_seconds", "Seconds per training", buckets=MINUTES, registry=registry
        )
        self.labels = Gauge(
            "labelstream_trainer_labels", "Labels with their contents that are kept", ["project"], registry=registry
        )
        self.waiting = Gauge(
            "labelstream_trainer_labels_since_training",
            "Labels that came since the last training",
            ["project"],
            registry=registry,
        )
        self.verdicts = Counter(
            "labelstream_trainer_verdicts",
            "What became of candidates: promote, refuse, rollback",
            ["project", "verdict"],
            registry=registry,
        )
        self.pairs = Gauge(
            "labelstream_trainer_trial_labels",
            "Held-out labels that the model on trial and the live one are compared on",
            ["project"],
            registry=registry,
        )
        self.gain = Gauge(
            "labelstream_trainer_trial_gain",
            "Accuracy of the model on trial minus that of the live one, on those labels",
            ["project"],
            registry=registry,
        )
        self.accuracy = Gauge(
            "labelstream_trainer_live_accuracy",
            "Accuracy of the live model on held-out labels, as last compared",
            ["project"],
            registry=registry,
        )
