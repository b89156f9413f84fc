"""How often labels and models are right, from people's labels of a known inclusion probability, with intervals.

Strata are lanes and deciles of confidence: within one every item had the same chance to be asked about, so the strata's
rates weighted by how much of the traffic each stands for are unbiased (Horvitz & Thompson 1952), however the lanes are
sampled. What people say is taken for true: their errors make the model look worse, not better.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.monitor.domain.counters import MILLION, Counts, Key, Kind, time_bucket
from shared.events import Label, Path, Prediction, Proposal

HOUR_S = 3600
ALONE_S = 600
"""Labels without a person are counted more finely: those since a change of the traffic are asked for."""
DECILES = 10
Z = 1.959964
AUDIT, ROUTED = "audit", "routed"


def decile(confidence: float) -> int:
    """0 to 9."""
    return min(int(confidence * DECILES), DECILES - 1)


def judge(label: Label, proposal: Proposal, counts: Counts, *, agrees: bool) -> None:
    """Count people's first label of an item beside the proposal."""
    if label.version != 1:
        return
    lane, hour = AUDIT if label.would_auto else ROUTED, time_bucket(label.labelled_at, HOUR_S)
    stratum = f"{lane}:{decile(proposal.confidence)}"
    cell = (proposal.model_version, f"{stratum}:{'agree' if agrees else 'differ'}", hour)
    counts[Key(label.project_id, Kind.JUDGED, *cell)] += 1
    counts[Key(label.project_id, Kind.JUDGED_WEIGHT, *cell)] += round(MILLION / label.inclusion_probability)
    confident = Key(label.project_id, Kind.JUDGED_CONFIDENCE, proposal.model_version, stratum, hour)
    counts[confident] += round(MILLION * proposal.confidence)


def trust(event: Prediction | Label, counts: Counts) -> None:
    """Count how sure the model is of a first proposal, or of a label that it gave alone."""
    if isinstance(event, Label):
        proposal = event.evidence.proposal
        if event.path is not Path.AUTO or proposal is None:
            return
        part, confidence, bucket = "path:auto", proposal.confidence, time_bucket(event.labelled_at, ALONE_S)
    else:
        part, confidence = f"model:{event.model_version}", event.confidence or 0.0
        bucket = time_bucket(event.predicted_at, HOUR_S)
    counts[Key(event.project_id, Kind.CONFIDENT, part, "n", bucket)] += 1
    counts[Key(event.project_id, Kind.CONFIDENT, part, "sum", bucket)] += round(MILLION * confidence)


@dataclass(slots=True)
class Stratum:
    """Labels of one lane and decile; `weight`: how many items they stand for; `confidence`: their sum."""

    agree: int = 0
    labels: int = 0
    weight: float = 0.0
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with a 95 % interval."""

    rate: float
    low: float
    high: float
    labels: int


@dataclass(slots=True)
class Judged:
    """What is known of one model: strata by (lane, decile)."""

    strata: dict[tuple[str, int], Stratum] = field(default_factory=lambda: defaultdict(Stratum))


def judged(counts: Mapping[Key, int]) -> dict[tuple[str, str], Judged]:
    """Per (project, model version)."""
    found: dict[tuple[str, str], Judged] = defaultdict(Judged)
    for key, n in counts.items():
        if key.kind not in (Kind.JUDGED, Kind.JUDGED_WEIGHT, Kind.JUDGED_CONFIDENCE):
            continue
        lane, place, *verdict = key.symbol.split(":")
        one = found[key.project_id, key.part].strata[lane, int(place)]
        if key.kind == Kind.JUDGED:
            one.labels += n
            one.agree += n if verdict == ["agree"] else 0
        elif key.kind == Kind.JUDGED_WEIGHT:
            one.weight += n / MILLION
        else:
            one.confidence += n / MILLION
    return dict(found)


def stratified(strata: Iterable[Stratum]) -> Rate | None:
    """The rate of agreement over the traffic that the strata stand for; None without labels.

    The interval is Wilson's at the effective number of labels: as many as would give an unstratified mean its variance.
    """
    some = [one for one in strata if one.labels > 0 and one.weight > 0.0]
    total = math.fsum(one.weight for one in some)
    if not some:
        return None
    labels = sum(one.labels for one in some)
    rate = math.fsum(one.weight / total * one.agree / one.labels for one in some)
    # A stratum of few labels that all agree is no certainty: its rate within the variance is drawn to the middle.
    variance = math.fsum(
        (one.weight / total) ** 2 * _spread((one.agree + 1.0) / (one.labels + 2.0)) / one.labels for one in some
    )
    middle = min(max(rate, 1.0 / (labels + 2.0)), 1.0 - 1.0 / (labels + 2.0))
    worth = min(_spread(middle) / variance, float(labels)) if variance else float(labels)
    return Rate(rate, *wilson(rate, worth), labels)


def _spread(rate: float) -> float:
    return rate * (1.0 - rate)


def wilson(rate: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate that was seen in n."""
    middle = (rate * n + Z * Z / 2) / (n + Z * Z)
    half = Z * math.sqrt(n * _spread(rate) + Z * Z / 4) / (n + Z * Z)
    return max(0.0, min(middle - half, rate)), min(1.0, max(middle + half, rate))


@dataclass(frozen=True, slots=True)
class Bin:
    """Of about the same confidence."""

    labels: int
    confidence: float
    accuracy: float


def calibration_error(strata: Mapping[tuple[str, int], Stratum]) -> tuple[Rate, tuple[Bin, ...]] | None:
    """The root mean squared gap between confidence and accuracy, debiased, with a 95 % interval, and the bins.

    From each bin's squared gap its expectation under perfect calibration is taken (Kumar, Liang & Ma 2019), so that
    few labels do not look like bad calibration. Bins of one label are left out. None without two labels in a bin.
    """
    bins: dict[int, list[Stratum]] = defaultdict(list)
    for (_, place), one in strata.items():
        if one.labels and one.weight:
            bins[place].append(one)
    rows = []
    for _, some in sorted(bins.items()):
        labels, weight = sum(one.labels for one in some), math.fsum(one.weight for one in some)
        accuracy = math.fsum(one.weight / weight * one.agree / one.labels for one in some)
        confidence = math.fsum(one.weight / weight * one.confidence / one.labels for one in some)
        noise = math.fsum(
            (one.weight / weight) ** 2 * _spread((one.agree + 0.5) / (one.labels + 1.0)) / max(one.labels - 1, 1)
            for one in some
        )
        if labels > 1:
            rows.append((weight, Bin(labels, confidence, accuracy), noise))
    total = math.fsum(weight for weight, _, _ in rows)
    if not rows:
        return None
    squared = math.fsum(w / total * ((b.accuracy - b.confidence) ** 2 - v) for w, b, v in rows)
    variance = math.fsum(
        (w / total) ** 2 * (4.0 * (b.accuracy - b.confidence) ** 2 * v + 2.0 * v * v) for w, b, v in rows
    )
    half = Z * math.sqrt(variance)
    low, middle, high = (math.sqrt(max(one, 0.0)) for one in (squared - half, squared, squared + half))
    return Rate(middle, low, high, sum(b.labels for _, b, _ in rows)), tuple(b for _, b, _ in rows)


def confident(counts: Mapping[Key, int]) -> dict[tuple[str, str], float]:
    """The mean confidence per (project, what): an estimate of accuracy without labels, blind to what has changed.

    Where the model is calibrated and what people say of an item has not changed, it is the accuracy.
    """
    sums: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, n in counts.items():
        if key.kind == Kind.CONFIDENT:
            sums[key.project_id, key.part][key.symbol] += n
    return {what: one["sum"] / MILLION / one["n"] for what, one in sums.items() if one["n"] > 0}
