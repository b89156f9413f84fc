"""One event of one item: how its facts grow and what is counted for it. An event that adds no fact counts nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.monitor.domain.counters import (
    MILLION,
    Counts,
    Key,
    Kind,
    latency_bucket,
    micros_between,
    time_bucket,
)
from services.monitor.domain.facts import Facts
from services.monitor.domain.symbols import agree, symbols
from shared.events import Item, Label, Path, Prediction, Route, RouteState

Observed = Item | Prediction | Route | Label
ItemKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Observation:
    """The facts after an event and what it adds to the counters; `new` says whether it told anything."""

    facts: Facts
    counts: Counts
    new: bool


def observe(facts: Facts, event: Observed, *, bucket_s: int) -> Observation:
    """Add one event to an item's facts.

    Args:
        facts: before the event.
        event: about this item; a label's version is at most `MAX_VERSION`.
        bucket_s: width of the time buckets, seconds.
    """
    match event:
        case Item():
            return _grown(facts, replace(facts, item=True), Counts())
        case Prediction():
            return _prediction(facts, event, bucket_s)
        case Route():
            return _route(facts, event)
        case Label():
            return _label(facts, event, bucket_s)


def observe_all(
    known: dict[ItemKey, Facts], events: Iterable[Observed], *, bucket_s: int
) -> tuple[dict[ItemKey, Facts], Counts, list[Observed]]:
    """Fold events over the facts of their items.

    Args:
        known: the facts of every item that the events are about; absent means nothing known.
        events: in the order of their topic.
        bucket_s: width of the time buckets, seconds.

    Returns:
        The items whose facts grew, what the counters gain (items change state: one loses, another gains), and the
        events that told something new.
    """
    after = dict(known)
    counts = Counts()
    fresh = []
    for event in events:
        key = (event.project_id, event.item_id)
        seen = observe(after.get(key, Facts()), event, bucket_s=bucket_s)
        if seen.new:
            after[key] = seen.facts
            counts.update(seen.counts)
            fresh.append(event)
    grown = {key: facts for key, facts in after.items() if facts != known.get(key, Facts())}
    for key, facts in grown.items():
        _move(counts, key[0], known.get(key, Facts()), facts)
    return grown, Counts({key: n for key, n in counts.items() if n}), fresh


def _move(counts: Counts, project_id: str, before: Facts, after: Facts) -> None:
    for facts, n in ((before, -1), (after, 1)):
        if facts.state is not None:
            counts[Key(project_id, Kind.ITEMS, facts.state, _path(facts))] += n


def _path(facts: Facts) -> str:
    return facts.path.value if facts.state == "labelled" and facts.path is not None else ""


def _grown(before: Facts, after: Facts, counts: Counts) -> Observation:
    return Observation(after, counts, new=after != before)


def _prediction(facts: Facts, event: Prediction, bucket_s: int) -> Observation:
    if event.generation <= facts.generation:
        return Observation(facts, Counts(), new=False)
    project = event.project_id
    outcome = "proposed" if event.abstention is None else event.abstention.value
    counts = Counts({Key(project, Kind.PREDICTIONS, outcome): 1})
    if facts.generation < 0:
        micros = micros_between(event.item_created_at, event.predicted_at)
        counts[Key(project, Kind.ITEM_TO_PREDICTION, "", str(latency_bucket(micros)))] += 1
        counts[Key(project, Kind.ITEM_TO_PREDICTION_TIME)] += micros
    if event.value is not None and not facts.proposed:
        # Only an item's first proposal: a refresh of open items is not a sample of the traffic.
        bucket = time_bucket(event.predicted_at, bucket_s)
        for symbol in symbols(event.value):
            counts[Key(project, Kind.PREDICTED, event.model_version or "", symbol, bucket)] += 1
    proposed = facts.proposed or event.value is not None
    return _grown(facts, replace(facts, generation=event.generation, proposed=proposed), counts)


def _route(facts: Facts, event: Route) -> Observation:
    erased = facts.erased or event.state is RouteState.ERASED
    after = replace(facts, erased=erased)
    if (event.round, event.step) > (facts.round, facts.step):
        after = replace(after, round=event.round, step=event.step, route=event.state)
    return _grown(facts, after, Counts())


def _label(facts: Facts, event: Label, bucket_s: int) -> Observation:
    if facts.has_label(event.version):
        return Observation(facts, Counts(), new=False)
    path = event.path if event.version > facts.version else facts.path
    after = replace(facts, labels=facts.labels | 1 << event.version, path=path)
    return Observation(after, _label_counts(event, bucket_s), new=True)


def _label_counts(event: Label, bucket_s: int) -> Counts:
    project, path = event.project_id, event.path.value
    micros = micros_between(event.item_created_at, event.labelled_at)
    bucket = time_bucket(event.labelled_at, bucket_s)
    counts = Counts({
        Key(project, Kind.LABELS, path): 1,
        Key(project, Kind.OPINIONS, path): event.opinions,
        Key(project, Kind.COST, path): round(event.cost * MILLION),
        Key(project, Kind.ITEM_TO_LABEL, path, str(latency_bucket(micros))): 1,
        Key(project, Kind.ITEM_TO_LABEL_TIME, path): micros,
    })  # fmt: skip
    for symbol in symbols(event.value):
        counts[Key(project, Kind.LABELLED, path, symbol, bucket)] += 1
    proposal = event.evidence.proposal
    if event.path is not Path.AUTO and proposal is not None:
        lane = "audit" if event.would_auto else "routed"
        verdict = "agree" if agree(event.value, proposal.value) else "disagree"
        cell = (proposal.model_version, f"{lane}:{verdict}", bucket)
        counts[Key(project, Kind.COMPARED, *cell)] += 1
        counts[Key(project, Kind.COMPARED_WEIGHT, *cell)] += round(MILLION / event.inclusion_probability)
    return counts
