"""The counts behind a diagnosis: how events add to them, and how the counters of some hours become a period.

Bounded: per bucket of ten minutes at most the classes squared, by four bands, for each value of a dimension that people
have; of each dimension the most used values, and of the classes the most frequent, are told apart in a period.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from services.monitor.domain.cause.counts import (
    OTHER,
    Answered,
    Answers,
    Dimension,
    Period,
    Predicted,
    Predictions,
    Tally,
    band,
)
from services.monitor.domain.counters import Counts, Key, Kind, time_bucket
from services.monitor.domain.symbols import symbols
from shared.events import Annotation, GoldResult, Label, Outcome, Prediction, Proposal, Quality
from shared.labels import LabelValue, Names

BUCKET_S = 600
VALUES, CLASSES = 50, 30
SEPARATOR = "\x1f"
KINDS = (Kind.SAID, Kind.CAME, Kind.TOLD, Kind.GOLDEN, Kind.AGREED)


def symbol_of(value: LabelValue) -> str:
    """The classes that a value names."""
    names = symbols(value)
    return names[0] if len(names) == 1 else "|".join(names)


def count_proposal(event: Prediction, counts: Counts) -> None:
    """An item's first proposal."""
    if event.value is not None:
        said = f"{band(event.confidence or 0.0)}:{symbol_of(event.value)}"
        bucket = time_bucket(event.predicted_at, BUCKET_S)
        counts[Key(event.project_id, Kind.SAID, event.model_version or "", said, bucket)] += 1
        for part in _along(event):
            counts[Key(event.project_id, Kind.CAME, part, said, bucket)] += 1


def answer_keys(event: Annotation) -> list[Key]:
    """What an answer beside a proposal adds to; nothing for gold, what came late, and skips."""
    if event.outcome is not Outcome.ANSWERED or event.gold or event.late:
        return []
    if event.proposal is None or event.value is None:
        return []
    said = f"{band(event.proposal.confidence)}:{symbol_of(event.proposal.value)}{SEPARATOR}{symbol_of(event.value)}"
    bucket = time_bucket(event.submitted_at, BUCKET_S)
    values = {
        Dimension.MODEL: event.proposal.model_version,
        Dimension.ANNOTATOR: event.annotator_id or "",
        Dimension.GUIDELINE: str(event.guideline_version),
    }
    parts = [f"{name}={value}" for name, value in values.items()]
    return [Key(event.project_id, Kind.TOLD, part, said, bucket) for part in (*parts, *_along(event.proposal))]


def _along(event: Prediction | Proposal) -> list[str]:
    """Of what source and client the item is, as far as that is known."""
    values = ((Dimension.SOURCE, event.source), (Dimension.CLIENT, event.client))
    return [f"{name}={value}" for name, value in values if value is not None]


def gold_key(event: Quality) -> Key | None:
    """What a gold result adds to."""
    about = event.measurement
    if not isinstance(about, GoldResult):
        return None
    right = "yes" if about.correct else "no"
    bucket = time_bucket(event.measured_at, BUCKET_S)
    return Key(event.project_id, Kind.GOLDEN, about.annotator_id, right, bucket)


def count_votes(event: Label, counts: Counts) -> None:
    """Of a first label of two opinions or more: whose equal it; of all of them by the item's source."""
    votes, proposal = event.evidence.votes, event.evidence.proposal
    if len(votes) > 1 and event.version == 1:
        bucket, label = time_bucket(event.labelled_at, BUCKET_S), symbol_of(event.value)
        source = [f"{Dimension.SOURCE}={proposal.source}"] if proposal is not None and proposal.source else []
        for vote in votes:
            same = "yes" if symbol_of(vote.value) == label else "no"
            for part in (f"{Dimension.ANNOTATOR}={vote.annotator_id}", *source):
                counts[Key(event.project_id, Kind.AGREED, part, same, bucket)] += 1


def period(counts: Mapping[Key, int], project_id: str, since: int, until: int) -> Period:
    """What was counted of a project in the buckets that start in [since, until), seconds since 1970."""
    own = [(key, n) for key, n in counts.items() if key.project_id == project_id and since <= key.bucket < until]
    said: dict[Dimension, dict[str, Predictions]] = {}
    told: dict[Dimension, dict[str, Answers]] = {}
    gold: dict[str, Tally] = {}
    agreed: dict[Dimension, dict[str, Tally]] = {}
    for key, n in own:
        if key.kind == Kind.SAID:
            said.setdefault(Dimension.MODEL, {}).setdefault(key.part, Counter())[_predicted(key.symbol)] += n
        elif key.kind == Kind.CAME:
            dimension, value = _value(key.part)
            said.setdefault(dimension, {}).setdefault(value, Counter())[_predicted(key.symbol)] += n
        elif key.kind == Kind.TOLD:
            dimension, value = _value(key.part)
            proposal, answer = key.symbol.split(SEPARATOR)
            one = Answered(_predicted(proposal), answer)
            told.setdefault(dimension, {}).setdefault(value, Counter())[one] += n
        elif key.kind == Kind.GOLDEN:
            gold[key.part] = gold.get(key.part, Tally()).plus(_tally(key.symbol, n))
        elif key.kind == Kind.AGREED:
            dimension, value = _value(key.part)
            table = agreed.setdefault(dimension, {})
            table[value] = table.get(value, Tally()).plus(_tally(key.symbol, n))
    return Period(said, told, gold, agreed)


def alike(before: Period, after: Period) -> tuple[Period, Period]:
    """Both with the same values of each dimension and the same classes told apart: those that both have most of."""
    classes: Counter[str] = Counter()
    used: dict[Dimension, Counter[str]] = {}
    for side in (before, after):
        for said, n in side.all_predictions.items():
            classes[said.symbol] += n
        for one, n in side.all_answers.items():
            classes[one.symbol] += n
        for tables in (side.predictions, side.answers):
            for dimension, table in tables.items():
                for value, counts in table.items():
                    used.setdefault(dimension, Counter())[value] += counts.total()
    names = _most(classes, CLASSES)
    kept = {dimension: _most(values, VALUES) for dimension, values in used.items()}
    return _kept(before, names, kept), _kept(after, names, kept)


def _most(counted: Counter[str], limit: int) -> frozenset[str]:
    return frozenset(name for name, _ in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:limit])


def _kept(side: Period, names: frozenset[str], kept: Mapping[Dimension, frozenset[str]]) -> Period:
    def named(symbol: str) -> str:
        return symbol if symbol in names else OTHER

    def valued(dimension: Dimension, value: str) -> str:
        return value if value in kept.get(dimension, ()) else OTHER

    predictions: dict[Dimension, dict[str, Predictions]] = {}
    for dimension, table in side.predictions.items():
        for value, counts in table.items():
            into = predictions.setdefault(dimension, {}).setdefault(valued(dimension, value), Counter())
            for said, n in counts.items():
                into[Predicted(named(said.symbol), said.band)] += n
    answers: dict[Dimension, dict[str, Answers]] = {}
    for dimension, told in side.answers.items():
        for value, given in told.items():
            to = answers.setdefault(dimension, {}).setdefault(valued(dimension, value), Counter())
            for one, n in given.items():
                said = Predicted(named(one.predicted.symbol), one.predicted.band)
                to[Answered(said, named(one.symbol))] += n
    people = kept.get(Dimension.ANNOTATOR, frozenset())
    gold = {who: tally for who, tally in side.gold.items() if who in people}
    return Period(predictions, answers, gold, side.agreement)


def renamed(symbol: str, names: Names) -> str:
    """What was counted of a proposal, or of an answer beside one, under the present names of classes."""
    proposal, _, answer = symbol.partition(SEPARATOR)
    place, _, said = proposal.partition(":")
    proposal = f"{place}:{_named(said, names)}"
    return f"{proposal}{SEPARATOR}{_named(answer, names)}" if answer else proposal


def _named(symbol: str, names: Names) -> str:
    return "|".join(sorted({names.name(part) for part in symbol.split("|")}))


def _predicted(text: str) -> Predicted:
    place, _, symbol = text.partition(":")
    return Predicted(symbol, int(place))


def _value(part: str) -> tuple[Dimension, str]:
    name, _, value = part.partition("=")
    return Dimension(name), value


def _tally(symbol: str, n: int) -> Tally:
    return Tally(n, 0) if symbol == "yes" else Tally(0, n)


def parts_of(person: str) -> Iterable[str]:
    """Under which a person is counted."""
    return (person, f"{Dimension.ANNOTATOR}={person}")
