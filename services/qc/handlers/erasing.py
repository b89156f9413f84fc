"""Forgetting items and people, as `erasures.v1` asks."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from uuid import UUID

from services.qc.domain.facts import Facts, facts_of, gold_facts
from services.qc.domain.fold import ItemKey
from services.qc.domain.item import Answer, ItemState
from services.qc.store import Store
from services.qc.store.erasing import GoldAnswered
from shared.bus.references import Projects
from shared.bus.unit import Unit
from shared.db.erasures import Removed

CHUNK = 500


class QcEraser:
    """See `shared.bus.erasing`. Counts are sums over items and answers: they lose what these added."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def erase_items(self, keys: Sequence[ItemKey], unit: Unit) -> Mapping[ItemKey, Removed]:
        """Answers, rounds and labels go, with what they counted; the row stays, marked."""
        store = Store(unit.connection, self._projects.naming)
        items = await store.claim_items(keys)
        await store.fill_rounds(items)
        await store.fill_answers(items)
        paces = await store.count_paces(keys)
        gold = await store.take_gold(keys)
        delta = await asyncio.to_thread(_lost, items)
        removed: dict[ItemKey, Removed] = {
            key: Counter(annotations=len(item.answers), rounds=len(item.rounds), labels=bool(item.label))
            for key, item in items.items()
        }
        for one in gold:
            delta[one.key[0]].subtract(_counted(one))
            removed[one.key]["gold_answers"] += 1
        await store.delete_items(keys)
        await store.delete_disputes(keys)
        await store.add_facts(delta)
        conduct = await store.claim_conduct(paces)
        for who, known in conduct.items():
            known.pace.subtract(paces[who])
        await store.save_conduct(conduct)
        return {key: +found for key, found in removed.items()}

    async def erase_person(self, annotator_id: str, unit: Unit) -> Removed:
        """Answers stay as nobody's, and so do their counts; skill and snapshots no longer know the person.

        What somebody in quarantine answered must not count for a label again because nobody said it: it stays as late.
        """
        store = Store(unit.connection, self._projects.naming)
        doubted = await store.list_quarantines_of(annotator_id)
        removed: Removed = Counter()
        projects = await store.list_projects_of(annotator_id)
        while found := await store.list_answered_by(annotator_id, gold=False, limit=CHUNK):
            await self._blank((key for _, key in found), annotator_id, doubted, store)
            projects |= {key[0] for _, key in found}
            removed["annotations_made_anonymous"] += len(found)
        while found := await store.list_answered_by(annotator_id, gold=True, limit=CHUNK):
            await self._blank_gold(await store.lock_gold([one for one, _ in found]), store)
            projects |= {key[0] for _, key in found}
            removed["annotations_made_anonymous"] += len(found)
        removed["counts"] = await store.delete_annotator(annotator_id)
        if projects:
            removed["snapshots"] = await store.blank_snapshots(annotator_id, projects)
        return +removed

    async def _blank(self, keys: Iterable[ItemKey], annotator_id: str, doubted: AbstractSet[str], store: Store) -> None:
        """Let a person's answers to these items be nobody's."""
        items = await store.claim_items(keys)
        await store.fill_rounds(items)
        await store.fill_answers(items)
        delta, ids, late = await asyncio.to_thread(_blanked, items, annotator_id, doubted)
        await store.blank_annotators(ids)
        await store.blank_annotators(late, late=True)
        await store.add_facts(delta)

    async def _blank_gold(self, answers: Sequence[GoldAnswered], store: Store) -> None:
        delta: defaultdict[str, Facts] = defaultdict(Facts)
        for one in answers:
            delta[one.key[0]].subtract(_counted(one))
            delta[one.key[0]].add(_counted(replace(one, answer=_nobodys(one.answer))))
        await store.blank_annotators([one.answer.annotation_id for one in answers])
        await store.add_facts(delta)


def _lost(items: Mapping[ItemKey, ItemState]) -> defaultdict[str, Facts]:
    """What counts lose with these items; heavy where masks or many objects are judged."""
    delta: defaultdict[str, Facts] = defaultdict(Facts)
    for key, item in items.items():
        delta[key[0]].subtract(facts_of(item))
    return delta


def _blanked(
    items: Mapping[ItemKey, ItemState], annotator_id: str, doubted: AbstractSet[str]
) -> tuple[defaultdict[str, Facts], list[UUID], list[UUID]]:
    """Make a person's answers nobody's; changes the items.

    Returns:
        What counts change by, and the answers, those that count for no label apart.
    """
    delta = _lost(items)
    ids: list[UUID] = []
    late: list[UUID] = []
    for (project, _), item in items.items():
        for answer in list(item.answers.values()):
            if answer.annotator_id == annotator_id:
                stays = replace(answer, late=answer.late or project in doubted)
                item.answers[answer.annotation_id] = _nobodys(stays)
                (late if stays.late else ids).append(answer.annotation_id)
        delta[project].add(facts_of(item))
    return delta, ids, late


def _nobodys(answer: Answer) -> Answer:
    return replace(answer, annotator_id=None)


def _counted(one: GoldAnswered) -> Facts:
    return gold_facts(one.answer, one.expected, correct=bool(one.correct))
