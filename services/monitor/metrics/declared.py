"""How monitor's metrics are declared. What they show is read from the database by a job, not counted here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client.core import Metric

Labels = TypeVar("Labels", bound=tuple[str, ...])


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric: `name` without the suffixes that Prometheus adds to counters and histograms."""

    name: str
    type: str
    about: str
    labels: tuple[str, ...] = ()


def gauge(name: str, about: str, *labels: str) -> Declared:
    return Declared(f"labelstream_{name}", "gauge", about, labels)


def counter(name: str, about: str, *labels: str) -> Declared:
    return Declared(f"labelstream_{name}", "counter", about, labels)


def histogram(name: str, about: str, *labels: str) -> Declared:
    return Declared(f"labelstream_{name}", "histogram", about, labels)


def filled(declared: Declared, values: Mapping[Labels, float]) -> Metric:
    """The metric with these samples, by the values of its labels."""
    metric = Metric(declared.name, declared.about, declared.type)
    suffix = "_total" if declared.type == "counter" else ""
    for labels, value in sorted(values.items()):
        metric.add_sample(declared.name + suffix, dict(zip(declared.labels, labels, strict=True)), value)
    return metric
