"""One event of one item: how its facts grow and what is counted for it. An event that adds no fact counts nothing."""

from collections.abc import Iterable

from services.monitor.domain.accuracy import judge, trust
from services.monitor.domain.belief import taught
from services.monitor.domain.cause.periods import count_proposal, count_votes
from services.monitor.domain.counters import (
    MILLION,
    Counts,
    Key,
    Kind,
    latency_bucket,
    micros_between,
    time_bucket,
)
from services.monitor.domain.facts import Facts, State
from services.monitor.domain.objects import LABELS, PREDICTIONS, Compared, count_apart, count_objects
from services.monitor.domain.symbols import agree, symbols
from shared.events import Item, Label, Path, Prediction, Proposal, Route, RouteState
from shared.labels import Choice, category

Observed = Item | Prediction | Route | Label
ItemKey = tuple[str, str]
DAY_S = 86_400
NOTHING = Facts()


def observe(facts: Facts, event: Observed, counts: Counts, *, bucket_s: int) -> Facts:
    """Add one event to an item's facts.

    Args:
        facts: before the event.
        event: about this item; a label's version is at most `MAX_VERSION`.
        counts: gains what the event adds; nothing where it tells nothing new.
        bucket_s: width of the time buckets, seconds.

    Returns:
        The facts after it: the same object where it told nothing new.
    """
    if type(event) is Prediction:  # in place of `match`: asking pydantic's metaclass costs more than all the rest
        return _prediction(facts, event, counts, bucket_s)
    if type(event) is Label:
        return _label(facts, event, counts, bucket_s)
    if type(event) is Route:
        return _route(facts, event)
    return facts if facts.item else facts._replace(item=True)


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
        events that told something new of an item that is not erased.
    """
    grown: dict[ItemKey, Facts] = {}
    counts = Counts()
    fresh = []
    for event in events:
        key = (event.project_id, event.item_id)
        before = grown.get(key) or known.get(key, NOTHING)
        after = observe(before, event, counts, bucket_s=bucket_s)
        if after is not before:
            grown[key] = after
            if not after.erased:
                fresh.append(event)
    for key, facts in grown.items():
        _move(counts, key[0], known.get(key, NOTHING), facts)
    return grown, Counts({key: n for key, n in counts.items() if n}), fresh


def erase(known: dict[ItemKey, Facts]) -> tuple[dict[ItemKey, Facts], Counts]:
    """Mark items as erased: those that were not, and what the counters gain. Facts are bits and numbers; they stay."""
    grown = {key: facts._replace(erased=True) for key, facts in known.items() if not facts.erased}
    counts = Counts()
    for key, facts in grown.items():
        _move(counts, key[0], known[key], facts)
    return grown, Counts({key: n for key, n in counts.items() if n})


def _move(counts: Counts, project_id: str, before: Facts, after: Facts) -> None:
    for facts, n in ((before, -1), (after, 1)):
        state = facts.state
        if state is not None:
            path = facts.path.value if state is State.LABELLED and facts.path is not None else ""
            counts[Key(project_id, Kind.ITEMS, state.value, path)] += n


def _prediction(facts: Facts, event: Prediction, counts: Counts, bucket_s: int) -> Facts:
    if event.generation <= facts.generation:
        return facts
    project = event.project_id
    outcome = "proposed" if event.abstention is None else event.abstention.value
    counts[Key(project, Kind.PREDICTIONS, outcome)] += 1
    if facts.generation < 0:
        micros = micros_between(event.item_created_at, event.predicted_at)
        counts[Key(project, Kind.ITEM_TO_PREDICTION, "", str(latency_bucket(micros)))] += 1
        counts[Key(project, Kind.ITEM_TO_PREDICTION_TIME)] += micros
    if event.value is not None and not facts.proposed:
        # Only an item's first proposal: a refresh of open items is not a sample of the traffic.
        bucket = time_bucket(event.predicted_at, bucket_s)
        for symbol in symbols(event.value):
            counts[Key(project, Kind.PREDICTED, event.model_version or "", symbol, bucket)] += 1
        trust(event, counts)
        count_proposal(event, counts)
        if type(event.value) is not Choice:
            count_objects(counts, project, event.value, PREDICTIONS, bucket)
    return facts._replace(generation=event.generation, proposed=facts.proposed or event.value is not None)


def _route(facts: Facts, event: Route) -> Facts:
    if event.state is RouteState.ERASED and not facts.erased:
        facts = facts._replace(erased=True)
    if (event.round, event.step) > (facts.round, facts.step):
        facts = facts._replace(round=event.round, step=event.step, route=event.state)
    return facts


def _label(facts: Facts, event: Label, counts: Counts, bucket_s: int) -> Facts:
    if facts.has_label(event.version):
        return facts
    newer = event.version > facts.version
    counts[Key(event.project_id, Kind.LABELS, event.path.value)] += 1
    if facts.path is not None:
        counts[Key(event.project_id, Kind.REPLACED, (facts.path if newer else event.path).value)] += 1
    if not _given_again(facts, event):
        _count_label(event, counts, bucket_s)
    return facts._replace(labels=facts.labels | 1 << event.version, path=event.path if newer else facts.path)


def _given_again(facts: Facts, event: Label) -> bool:
    """Whether nobody was asked for a label, and what it stands on was counted with an earlier one.

    So it is under present names, and where qc revises it: people's label without an opinion of its own.
    """
    unasked = event.path is not Path.AUTO and event.opinions == 0
    return event.renames is not None or (unasked and facts.labels != 0)


def _count_label(event: Label, counts: Counts, bucket_s: int) -> None:
    project, path = event.project_id, event.path.value
    micros = micros_between(event.item_created_at, event.labelled_at)
    bucket = time_bucket(event.labelled_at, bucket_s)
    counts[Key(project, Kind.OPINIONS, path)] += event.opinions
    counts[Key(project, Kind.COST, path)] += round(event.cost * MILLION)
    counts[Key(project, Kind.ITEM_TO_LABEL, path, str(latency_bucket(micros)))] += 1
    counts[Key(project, Kind.ITEM_TO_LABEL_TIME, path)] += micros
    for symbol in symbols(event.value):
        counts[Key(project, Kind.LABELLED, path, symbol, bucket)] += 1
    trust(event, counts)
    count_votes(event, counts)
    if type(event.value) is not Choice:
        count_objects(counts, project, event.value, LABELS, bucket)
    proposal = event.evidence.proposal
    if event.path is not Path.AUTO and proposal is not None:
        agrees = agree(event.value, proposal.value)
        _teach(event, proposal, counts)
        judge(event, proposal, counts, agrees=agrees)
        lane = "audit" if event.would_auto else "routed"
        verdict = "agree" if agrees else "disagree"
        cell = (proposal.model_version, f"{lane}:{verdict}", bucket)
        counts[Key(project, Kind.COMPARED, *cell)] += 1
        weight = round(MILLION / event.inclusion_probability)
        counts[Key(project, Kind.COMPARED_WEIGHT, *cell)] += weight
        if type(event.value) is not Choice:
            about = Compared(proposal.model_version, lane, bucket, weight)
            count_apart(counts, project, event.value, proposal.value, about)


def _teach(event: Label, proposal: Proposal, counts: Counts) -> None:
    """What people's first label of an item says of how sure the model may be."""
    if event.version == 1 and proposal.distribution is not None:
        day = time_bucket(event.labelled_at, DAY_S)
        for place, micros in enumerate(taught(proposal.distribution, category(event.value))):
            counts[Key(event.project_id, Kind.CALIBRATED, proposal.model_version, str(place), day)] += micros
