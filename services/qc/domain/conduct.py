"""What is remembered of how one person works in one project: pace, the test for drift, the rules. Bounded size."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from services.qc.domain.drift import Alarm, Drift
from services.qc.domain.drift import judged as drifted
from services.qc.domain.facts import is_right, judged_by
from services.qc.domain.item import ItemState
from services.qc.domain.pace import bin_of
from services.qc.domain.rules import Firing, Observation, RuleState, judged_as, observe, observed
from shared.events import Action, Annotation, Outcome, Rule

Person = tuple[str, str]
"""(project, annotator)."""
ItemKey = tuple[str, str]


class Judged(NamedTuple):
    """An answer that was just told right or wrong, once in its life."""

    person: Person
    correct: bool
    gold: bool


@dataclass(slots=True)
class Conduct:
    """Somebody's work in one project.

    Attributes:
        pace: bin of log time -> answers; a fact, equal to the sum over the annotations.
        drift: the state of the test.
        rules: rule -> what it has seen of late.
        fired: rule -> how often its condition held.
        said: kind of decision -> how many of them were published, here or by an earlier database.
        overlap, overlap_until: so many more opinions are asked beside theirs, until then.
    """

    pace: Counter[int] = field(default_factory=Counter)
    drift: Drift = field(default_factory=Drift)
    rules: dict[str, RuleState] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    overlap: int = 0
    overlap_until: datetime | None = None


DRIFT = "drift"


def dump(known: Conduct) -> tuple[str, str]:
    """Pace and the rest as JSON."""
    pace = {str(place): number for place, number in sorted(known.pace.items()) if number}
    state = {
        "drift": asdict(known.drift),
        "rules": {name: asdict(state) for name, state in sorted(known.rules.items())},
        "fired": dict(sorted(known.fired.items())),
        "said": dict(sorted(known.said.items())),
    }
    return json.dumps(pace), json.dumps(state)


def load(pace: str, state: str, overlap: int = 0, overlap_until: datetime | None = None) -> Conduct:
    """What `dump` gave; a state without a part is one of before that part was kept."""
    parts = json.loads(state)
    drift = parts.get("drift", {})
    if drift:
        drift["evidence"] = tuple(drift["evidence"])
    counts = Counter({int(place): number for place, number in json.loads(pace).items()})
    rules = {name: RuleState(**one) for name, one in parts.get("rules", {}).items()}
    fired, said = Counter(parts.get("fired", {})), Counter(parts.get("said", {}))
    return Conduct(counts, Drift(**drift), rules, fired, said, overlap, overlap_until)


def worked(known: Conduct, event: Annotation, rules: Sequence[Rule], now: datetime) -> list[Firing]:
    """One more annotation by this person; the rules that fire."""
    if event.outcome is Outcome.ANSWERED:
        known.pace[bin_of(event.duration_ms)] += 1
    return [found for one in observed(event) for found in _watched(known, one, rules, now)]


def _watched(known: Conduct, one: Observation, rules: Sequence[Rule], now: datetime) -> Iterator[Firing]:
    for rule in rules:
        found = observe(known.rules.setdefault(rule.name, RuleState()), rule, one)
        if found is None:
            continue
        known.fired[rule.name] += 1
        if rule.then.do is Action.MORE_OVERLAP:
            known.overlap, known.overlap_until = rule.then.opinions, now + timedelta(seconds=rule.then.for_s)
        kind = said_of(rule.name)
        if known.fired[rule.name] > known.said[kind]:
            known.said[kind] = known.fired[rule.name]
            yield Firing(rule, known.fired[rule.name], *found)


def said_of(rule: str) -> str:
    """The kind of a rule's decisions."""
    return f"rule:{rule}"


def forget_others(known: Conduct, rules: Sequence[Rule]) -> None:
    """Rules that the project no longer has are forgotten, but not how often they fired."""
    names = {rule.name for rule in rules}
    known.rules = {name: state for name, state in known.rules.items() if name in names}


def forgiven(known: Conduct) -> None:
    """A lead reinstated the person: rules start afresh."""
    known.rules.clear()
    known.overlap, known.overlap_until = 0, None


def judged(known: Conduct, told: Judged, rules: Sequence[Rule], now: datetime) -> list[Firing]:
    """One more judged answer; the rules that fire."""
    return list(_watched(known, judged_as(correct=told.correct, gold=told.gold), rules, now))


def heard(known: Conduct, told: Judged) -> Alarm | None:
    """The same answer for the test of drift; an alarm that was not published yet."""
    known.drift, alarm = drifted(known.drift, correct=told.correct)
    if alarm is None or alarm.number <= known.said[DRIFT]:
        return None
    known.said[DRIFT] = alarm.number
    return alarm


def was_said(known: Conduct, kind: str, number: int) -> None:
    """A decision comes back from the own output: it is not published again."""
    known.said[kind] = max(known.said[kind], number)


def judged_answers(items: Mapping[ItemKey, ItemState]) -> frozenset[UUID]:
    """The answers that the items' labels judge."""
    return frozenset(
        answer.annotation_id
        for item in items.values()
        if item.label is not None
        for answer in item.answers.values()
        if judged_by(answer, item.label)
    )


def newly_judged(
    items: Mapping[ItemKey, ItemState], order: Iterable[ItemKey], before: frozenset[UUID]
) -> Iterable[Judged]:
    """Those that were not judged before, by the order in which their items were touched."""
    for key in dict.fromkeys(order):
        project, item = key[0], items[key]
        for answer in item.answers.values():
            if item.label is None or answer.annotation_id in before or answer.annotator_id is None:
                continue
            if judged_by(answer, item.label):
                yield Judged((project, answer.annotator_id), is_right(item, answer, item.label), gold=False)
