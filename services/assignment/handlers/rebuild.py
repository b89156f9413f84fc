"""Reading back own output after a loss of the database: facts only, nothing is decided again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.assignment.domain.facts import Fact, Labelled, Opined, Routed
from services.assignment.domain.fold import fold
from services.assignment.domain.guess import Guess
from services.assignment.domain.leases import LeaseState
from services.assignment.store.aggregates import load, save
from services.assignment.store.leases import Answered, recount, restore
from services.assignment.store.rounds import mark_exhausted
from services.assignment.store.rows import Key
from shared.bus.records import Received
from shared.bus.unit import Unit
from shared.events import Annotation, ItemEvent, Label, Outcome, Path, Route

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When a label's proposal was predicted, which it does not say: the prediction itself, when it comes, is the newer."""


async def rebuild_routes(batch: Sequence[Received[Route]], unit: Unit) -> None:
    """Which rounds are open, for whom, and why."""
    await _read_back([(r.event.round, _key(r.event), _routed(r.event)) for r in batch], unit)


async def rebuild_labels(batch: Sequence[Received[Label]], unit: Unit) -> None:
    """Which rounds ended in a label, our own among them."""
    await _read_back([(r.event.version, _key(r.event), labelled(r.event)) for r in batch], unit)


async def rebuild_annotations(batch: Sequence[Received[Annotation]], unit: Unit) -> None:
    """Who answered what: each counts once, by person and item, however often the topic holds it."""
    once = {r.event.annotation_id: r.event for r in batch}
    given = [_answered(event) for event in once.values() if event.annotator_id is not None]
    new = await restore(unit.connection, given) if given else set()
    ends = [r.event for r in batch if not r.event.gold and r.event.outcome is Outcome.EXHAUSTED]
    told = [event for event in once.values() if event.annotation_id in new and not event.gold]
    await _read_back([(event.round, _key(event), _opined(event)) for event in (*told, *ends)], unit)
    if ends:  # of rounds before the latest too
        await mark_exhausted(unit.connection, ((*_key(event), event.round) for event in ends))
    if told:  # an older backup knows rounds that have ended since, and leases that have become answers
        await recount(unit.connection, (_key(event) for event in told))


async def _read_back(facts: Sequence[tuple[int, Key, Fact]], unit: Unit) -> None:
    """Fold facts, those of a round before those of the next: only the latest round of an item is held at a time."""
    for number in sorted({number for number, _, _ in facts}):
        of_round = [(key, fact) for found, key, fact in facts if found == number]
        before = await load(unit.connection, (key for key, _ in of_round), ended=True)
        after = dict(before)
        for key, fact in of_round:
            after[key] = fold(after[key], fact)
        await save(unit.connection, before, after)


def _key(event: ItemEvent) -> Key:
    return event.project_id, event.item_id


def labelled(event: Label) -> Labelled:
    proposal = event.evidence.proposal
    if event.path is not Path.AUTO:
        return Labelled(event.version)
    guess = Guess(predicted_at=LONG_AGO) if proposal is None else Guess.of_proposal(proposal, LONG_AGO)
    return Labelled(event.version, replace(guess, label=event.value))


def _routed(event: Route) -> Routed:
    return Routed(
        round=event.round,
        step=event.step,
        state=event.state,
        reason=event.reason,
        audience=event.audience,
        opinions_wanted=event.opinions_wanted,
        would_auto=event.would_auto,
        inclusion=event.inclusion_probability,
        priority=event.priority,
        generation=event.generation,
        project_version=event.project_version,
        guideline_version=event.guideline_version,
        item_created_at=event.item_created_at,
        slice=event.slice,
        lane=event.lane,
    )


def _opined(event: Annotation) -> Opined:
    return Opined(
        round=event.round,
        outcome=event.outcome,
        role=event.role,
        proposal=event.proposal,
        would_auto=event.would_auto,
        inclusion=event.inclusion_probability,
        project_version=event.project_version,
        guideline_version=event.guideline_version,
        item_created_at=event.item_created_at,
        at=event.submitted_at,
    )


def _answered(event: Annotation) -> Answered:
    return Answered(
        id=event.annotation_id,
        key=_key(event),
        round=event.round,
        gold=event.gold,
        annotator_id=event.annotator_id or "",
        role=event.role,
        state=LeaseState.ANSWERED if event.outcome is Outcome.ANSWERED else LeaseState.SKIPPED,
        blind=not event.saw_proposal,
        late=event.late,
        at=event.submitted_at,
    )
