"""What qc does on its own clock: snapshots of the parameters, quality events, gold answers that came late."""

import asyncio
from dataclasses import replace
from typing import Any

import structlog

from services.qc.domain.conduct import Judged
from services.qc.domain.confirmation import stands_without
from services.qc.domain.facts import Facts
from services.qc.domain.fold import ItemKey
from services.qc.domain.gold import Score, rescore
from services.qc.domain.outcomes import review_of
from services.qc.domain.scale import scale_of, symbol_of
from services.qc.domain.trust import heard_again, limits
from services.qc.handlers.watching import Fired, Watch
from services.qc.jobs.snapshots import Snapshots
from services.qc.store import Store
from services.qc.store.gold import GoldRow
from shared.bus.unit import Unit
from shared.events import GoldAnswer
from shared.labels import fits
from shared.topics import QUALITY, RELABELS

log = structlog.get_logger(__name__)


class Jobs(Snapshots):
    """The jobs of one replica. Each may run in every replica at once: the database decides whose result counts."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._watch = Watch(self._references.projects, self._metrics)

    async def review(self) -> None:
        """Look again at what somebody in quarantine answered; reopen the labels that do not stand without them.

        A chunk of one person's answers per run. Two replicas may do the same chunk: the second finds it done.
        """
        async with self._unit() as unit:
            store = Store(unit.connection, self._references.projects.naming)
            found = await store.get_review()
            project = None if found is None else self._references.projects.current(found[0][0])
            if found is None or project is None:
                return
            who, before = found
            limit = self._settings.review_max_items
            answers = await store.list_items_of(who, before.review or 0, limit)
            items = await store.claim_items((who[0], item) for _, item in answers)
            await store.fill_answers(items)
            excluded = (await store.list_quarantined([who[0]]))[who[0]] | {who[1]}
            parameters = (await self._parameters.latest([who[0]], store))[who[0]]
            if self._references.projects.naming is not store.naming:
                return  # a class was renamed at this moment
            project = self._references.projects.current(who[0]) or project
            scale, policy = scale_of(project.spec.label), project.spec.policy
            doubtful = await asyncio.to_thread(
                lambda: {
                    key: item.label
                    for key, item in items.items()
                    if item.label is not None and not stands_without(item, excluded, scale, parameters, policy=policy)
                }
            )
            now = await store.claim_trust([who])
            if now[who] != before:
                return  # reinstated, or done by another replica
            for key, label in sorted(doubtful.items()):
                unit.emit(RELABELS, review_of(*key, label, who[1], now=unit.now))
            rest = answers[-1][0] if len(answers) == limit else None
            await store.save_trust({who: replace(before, review=rest)})
        self._metrics.reviewed(who[0], confirmed=len(items) - len(doubtful), reopened=len(doubtful))
        self._metrics.reopened(who[0], "quarantine", len(doubtful))

    async def score_gold(self) -> None:
        """Score answers whose gold answer came after them, or was corrected since."""
        answers = self._references.gold_answers
        async with self._unit() as unit:
            store = Store(unit.connection, self._references.projects.naming)
            scored = await store.list_gold_items()
            known = {key: answer for key, _ in scored if self._fits(answer := answers.get(*key)) and answer is not None}
            if self._references.projects.naming is not store.naming:
                return  # a class was renamed at this moment
            self._metrics.pending(len({key for key, _ in scored} - known.keys()))
            wanted = {(*key, symbol_of(known[key].value)) for key, old in scored if _is_stale(known.get(key), old)}
            if wanted:
                await self._rescore(wanted, known, store, unit)

    def _fits(self, answer: GoldAnswer | None) -> bool:
        """Whether a known answer is one that people may give now: its class may be gone."""
        project = None if answer is None else self._references.projects.current(answer.project_id)
        return answer is not None and project is not None and fits(answer.value, project.spec.label)

    async def _rescore(
        self, wanted: set[tuple[str, str, str]], known: dict[ItemKey, GoldAnswer], store: Store, unit: Unit
    ) -> None:
        scores: list[tuple[ItemKey, Score]] = []
        first: list[Judged] = []
        delta: dict[str, Facts] = {}
        again: list[GoldRow] = []
        for key, answer, expected, correct in await store.claim_gold_answers(wanted, self._settings.gold_max_answers):
            project = self._references.projects.current(key[0])
            if project is None:
                continue
            scale = scale_of(project.spec.label)
            if expected == symbol_of(known[key].value):  # under a former name: only the row is to be written anew
                again.append((answer.annotation_id, *key, expected, correct))
                continue
            result = await asyncio.to_thread(
                rescore, known[key], answer, scale, expected_before=expected, correct_before=correct, now=unit.now
            )
            scores.append((key, result))
            if correct is None and result.correct is not None and answer.annotator_id is not None:
                first.append(Judged((key[0], answer.annotator_id), result.correct, gold=True))
            delta.setdefault(key[0], Facts()).add(result.delta)
        rows = [(s.answer.annotation_id, *key, s.expected, s.correct) for key, s in scores]
        await store.save_gold_results([*rows, *again])
        await store.add_facts(delta)
        fired = await self._watch.observe([], first, unit)
        await self._weigh_again({(key[0], s.answer.annotator_id or "") for key, s in scores}, fired, unit)
        published = await store.get_gold_published({s.answer.annotation_id: key[0] for key, s in scores})
        for key, result in scores:
            if result.event is not None and (result.answer.annotation_id, result.expected) not in published:
                unit.emit(QUALITY, result.event)
                self._metrics.gold(key[0], correct=bool(result.correct))
        log.info("gold_scored", answers=len(scores))

    async def _weigh_again(self, people: set[tuple[str, str]], fired: Fired, unit: Unit) -> None:
        """The evidence about these people, from all their results. A quarantine for it waits for their next result."""
        store = Store(unit.connection, self._references.projects.naming)
        known = await store.claim_trust(people)
        history = await store.list_gold_history(known)
        fresh = {}
        for who, before in known.items():
            project = self._references.projects.current(who[0])
            if project is not None:
                rules = limits(project.spec.policy.gold, scale_of(project.spec.label))
                fresh[who] = heard_again(before, rules, history[who])
        self._watch.condemn(fresh, [one for one in fired if one[0] in fresh], unit)
        await store.save_trust(fresh)


def _is_stale(answer: GoldAnswer | None, scored_against: str | None) -> bool:
    return answer is not None and symbol_of(answer.value) != scored_against
