"""Handing out tasks: one statement for what the queue's front gives; the longer way for gold and for what is rare."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from services.assignment.api.allowance import Allowance
from services.assignment.api.desk import Desk
from services.assignment.api.identity import Principal
from services.assignment.api.matching import Match, Matching
from services.assignment.api.problems import Problem, forbidden, project_unknown
from services.assignment.api.rendering import response, task
from services.assignment.api.schemas import NextRequest
from services.assignment.api.together import Together
from services.assignment.domain.aggregate import Round
from services.assignment.domain.draws import is_blind, is_gold
from services.assignment.domain.golden import blind_share, in_turn
from services.assignment.domain.guess import Guess
from services.assignment.domain.lifecycle import unblock
from services.assignment.handlers.deciding import publish
from services.assignment.store.cycles import lock_left, spend
from services.assignment.store.goldplans import get_gold_plans
from services.assignment.store.items import get_contents, get_guesses
from services.assignment.store.leases import Grant, count_held, grant, list_gold_seen
from services.assignment.store.offers import SEATS, Blind, Offer, Offered, Wanted, take, take_together, threshold
from services.assignment.store.people import Person
from services.assignment.store.rounds import BEGUN_ALL, BEGUN_FIRST, UNTOUCHED, claim, count_steps
from shared.bus.references import CurrentProject
from shared.bus.unit import Unit
from shared.events import Audience, GoldItem, ProjectSpec

FUTILE_S = 2.0
"""How long a search over all begun rounds that found nothing is not repeated for the same person."""
FUTILE_LIMIT = 10_000
NOTHING = Offered(0, (), blocked=False)


@dataclass(frozen=True, slots=True)
class Handed:
    """A task about to be leased on the longer way. `asked` is None for gold."""

    id: UUID
    asked: Round | None
    gold: GoldItem | None
    content: str
    spec: ProjectSpec
    project_version: int
    blind: bool
    proposed: Guess | None = None

    @property
    def guess(self) -> Guess | None:
        """What the person may see of the model."""
        return None if self.blind else self.proposed


@dataclass(frozen=True, slots=True)
class Seeker:
    """Who looks for tasks where, and which leases it would be.

    Attributes:
        most: leases that the person may hold.
        match: what of the queue is for them.
        gold_first: they are new here, and are given so many gold items and nothing else yet.
    """

    person: Person
    audience: Audience
    project: CurrentProject
    ids: Sequence[UUID]
    most: int
    match: Match
    gold_first: int | None = None

    @property
    def place(self) -> tuple[str, str, Audience]:
        return self.person.id, self.project.project_id, self.audience


class Taking:
    """POST /v1/next."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._matching = Matching(desk)
        self._allowance = Allowance(desk)
        self._futile: dict[tuple[str, str, Audience], float] = {}
        self._together: Together[Seeker, Offered] = Together(self._offer, lambda seeker: frozenset([seeker.person.id]))

    async def take(self, principal: Principal, request: NextRequest) -> bytes:
        """Lease up to `count` tasks; the response's JSON.

        Raises:
            Problem: 403 for somebody in quarantine, 404 for an unknown project, 409 beyond the limit of leases, or of
                the day.
        """
        person = principal.person
        if person is None:
            raise forbidden("Only a person can be given tasks.")
        audience = self._audience(principal, request)
        most = await self._allowance.most(person)
        if most == 0:
            raise Problem(409, "day_done", "You have given today's answers.", "Come back tomorrow.")
        tasks: list[str] = []
        sources: list[str] = []
        for project in await self._projects(person, request.project):
            if len(tasks) < request.count:
                ids = [uuid4() for _ in range(request.count - len(tasks))]
                match = await self._matching.match(person, audience, project, ids[0])
                seeker = Seeker(person, audience, project, ids, most, match)
                found = await self._from_project(seeker, first=not tasks)
                sources += [project.project_id] if found else []
                tasks += found
        return response(tasks, sources, self._desk)

    def _audience(self, principal: Principal, request: NextRequest) -> Audience:
        own = principal.audience
        if request.audience is Audience.EXPERT and own is not Audience.EXPERT:
            raise forbidden("The experts' queue is for experts.")
        return request.audience or own

    async def _projects(self, person: Person, wanted: str | None) -> list[CurrentProject]:
        """Where to look, in an order that favours no project."""
        if wanted is None:
            found = [p for p in self._desk.references.projects.all() if person.may_work_in(p.project_id)]
            secrets.SystemRandom().shuffle(found)
            return found
        project = await self._desk.find_project(wanted)
        if project is None or (person.projects is not None and wanted not in person.projects):
            raise project_unknown(wanted)
        if not person.may_work_in(wanted):
            raise Problem(403, "quarantined", "You are not asked in this project for now.", "Talk to its lead.")
        return [project]

    async def _from_project(self, seeker: Seeker, *, first: bool) -> list[str]:
        share = gold_share(seeker)
        golden = any(is_gold(share, one) for one in seeker.ids) and bool(
            self._desk.references.gold_items.of(seeker.project.project_id)
        )
        if seeker.audience is Audience.ANNOTATOR:
            gold_first = await self._allowance.gold_first(seeker.person, seeker.project)
            if gold_first is not None:
                return await self._carefully(replace(seeker, gold_first=gold_first), first=first)
        if not golden:
            offered = await self._offered(seeker)
            if offered.held >= seeker.most:
                return _full(offered.held, first=first)
            if offered.offers:
                self._desk.metrics.leases.labels(seeker.project.project_id, "granted").inc(len(offered.offers))
                return [self._render(one, seeker.project) for one in offered.offers]
            if not offered.blocked and self._futile.get(seeker.place, 0.0) > time.monotonic():
                return []
        return await self._carefully(seeker, first=first)

    async def _offered(self, seeker: Seeker) -> Offered:
        return await self._together.do(seeker)

    async def _offer(self, seekers: Sequence[Seeker]) -> list[Offered]:
        """What each gets by the short way. Those who ask at the same moment, for the same queue, share a statement."""
        found: dict[int, Offered] = {}
        async with self._desk.service.database.pool.acquire(timeout=10) as connection:
            for group in _groups(seekers):
                blind = self._blind(group[0][1].project)
                wanted = [self._wanted(one, blind) for _, one in group]
                together = len(group) > 1 and _alike(wanted)
                shared = await take_together(connection, wanted) if together else [NOTHING] * len(group)
                for (place, _), one, offered in zip(group, wanted, shared, strict=True):
                    found[place] = offered if offered.offers else await take(connection, one)
        return [found[place] for place in range(len(seekers))]

    def _wanted(self, seeker: Seeker, blind: Blind) -> Wanted:
        project, policy, match = seeker.project, seeker.project.spec.policy, seeker.match
        return Wanted(
            project.project_id,
            seeker.audience,
            seeker.person.id,
            seeker.ids,
            seeker.most,
            policy.lease_s,
            blind,
            None if policy.budget is None else policy.budget.items,
            None if match.plain else (match.queues, list(match.bonuses), list(match.bonuses.values())),
        )

    def _blind(self, project: CurrentProject) -> Blind:
        """The threshold of the blind share, and those of versions and slices with another share."""
        specs = {v: self._desk.references.projects.spec(project.project_id, v) for v in range(1, project.version + 1)}
        gold = self._desk.gold_share(project)
        usual = blind_share(project.spec.policy, gold)
        found = {
            f"{version}/{name or ''}": blind_share(spec.policy_of(name), gold)
            for version, spec in specs.items()
            if spec is not None
            for name in (None, *(one.name for one in spec.slices))
        }
        others = {place: share for place, share in found.items() if share != usual}
        return threshold(usual), list(others), [threshold(share) for share in others.values()]

    def _render(self, one: Offer, project: CurrentProject) -> str:
        spec, version = self._spec(project, one.project_version)
        guess = None if one.blind else self._shown(one.guess, project.project_id)
        return task(
            one.lease_id,
            (one.token, one.expires_at),
            spec,
            version,
            content=one.content,
            guess=guess,
            media=self._desk.links.of_task(one.lease_id, spec, one.content),
        )

    def _shown(self, guess: Guess | None, project_id: str) -> Guess | None:
        """A prediction in present names."""
        return None if guess is None else guess.named(self._desk.references.projects.names(project_id))

    def _spec(self, project: CurrentProject, version: int) -> tuple[ProjectSpec, int]:
        """The version that a round pins; the current one where that is unknown."""
        spec = self._desk.references.projects.spec(project.project_id, version)
        return (project.spec, project.version) if spec is None else (spec, version)

    async def _carefully(self, seeker: Seeker, *, first: bool) -> list[str]:
        """Step by step, in one transaction: gold may be mixed in, blocked rounds may wake."""
        async with self._desk.service.unit() as unit:
            held = await count_held(unit.connection, seeker.person.id)
            count = min(len(seeker.ids), seeker.most - held)
            if count <= 0:
                return _full(held, first=first)
            if seeker.gold_first is not None:
                handed = await self._first_gold(unit, seeker, min(count, seeker.gold_first))
            else:
                handed = await self._hand(unit, seeker, await self._claim(unit, seeker, count))
            if not handed:
                return []
            lease_s = seeker.project.spec.policy.lease_s
            given = await grant(
                unit.connection, [_grant(one, seeker.person.id, seeker.audience, lease_s) for one in handed]
            )
            begun = sum(one.id in given and one.asked is not None and one.asked.granted == 0 for one in handed)
            if begun and seeker.project.spec.policy.budget is not None:
                await spend(unit.connection, seeker.project.project_id, begun)
            woken = [one.asked for one in handed if one.id in given and one.asked and one.asked.blocked_at]
            if woken:
                await self._wake(unit, woken)
        self._desk.metrics.leases.labels(seeker.project.project_id, "granted").inc(len(given))
        return [
            task(
                one.id,
                given[one.id],
                one.spec,
                one.project_version,
                content=one.content,
                guess=self._shown(one.guess, seeker.project.project_id),
                media=self._desk.links.of_task(one.id, one.spec, one.content),
            )
            for one in handed
            if one.id in given
        ]

    async def _claim(self, unit: Unit, seeker: Seeker, count: int) -> list[Round]:
        """Begun rounds near the front, then untouched ones; the rest of the begun ones where there is nothing else."""
        who, project_id, _ = seeker.place
        found: dict[int | None, Round] = {}
        budget = seeker.project.spec.policy.budget
        for statement in (BEGUN_FIRST, UNTOUCHED):
            limit = count - len(found)
            if statement is UNTOUCHED and budget is not None and limit > 0:
                limit = min(limit, await lock_left(unit.connection, project_id, budget.items))
            for queue in seeker.match.queues:
                if limit > 0:
                    rounds = await claim(unit.connection, statement, project_id, queue, who, limit=limit)
                    found |= {one.id: one for one in rounds}
                    limit -= len(rounds)
        now = time.monotonic()
        if not found and self._futile.get(seeker.place, 0.0) <= now:
            for queue in seeker.match.queues:
                rounds = await claim(unit.connection, BEGUN_ALL, project_id, queue, who, limit=count - len(found))
                found |= {one.id: one for one in rounds}
            if not found:
                if len(self._futile) >= FUTILE_LIMIT:
                    self._futile.clear()
                self._futile[seeker.place] = now + FUTILE_S
        return list(found.values())

    async def _hand(self, unit: Unit, seeker: Seeker, claimed: Sequence[Round]) -> list[Handed]:
        """Turn claimed rounds into tasks; a drawn share of them into gold, and that round stays in the queue."""
        project, who = seeker.project, seeker.person.id
        ids = seeker.ids[: len(claimed)]
        gold = await self._gold(unit, who, project, [one for one in ids if is_gold(gold_share(seeker), one)])
        contents = await get_contents(unit.connection, ((r.project_id, r.item_id) for r in claimed))
        guesses = await get_guesses(unit.connection, ((one.project_id, one.item_id) for one in gold.values()))
        handed = []
        for lease_id, asked in zip(ids, claimed, strict=True):
            golden = gold.get(lease_id)
            content = contents.get((asked.project_id, asked.item_id))
            if golden is not None:
                handed.append(_golden(seeker, lease_id, golden, guesses))
            elif content is not None:
                spec, version = self._spec(project, asked.project_version)
                share = blind_share(spec.policy_of(asked.slice), self._desk.gold_share(project))
                blind = asked.would_auto or is_blind(share, asked.project_id, asked.item_id, who)
                handed.append(Handed(lease_id, asked, None, content, spec, version, blind, asked.guess))
        return handed

    async def _first_gold(self, unit: Unit, seeker: Seeker, count: int) -> list[Handed]:
        """What somebody new answers first; nothing while they hold all that is left of it."""
        gold = await self._gold(unit, seeker.person.id, seeker.project, seeker.ids[:count])
        guesses = await get_guesses(unit.connection, ((one.project_id, one.item_id) for one in gold.values()))
        return [_golden(seeker, lease_id, golden, guesses) for lease_id, golden in gold.items()]

    async def _gold(
        self, unit: Unit, annotator_id: str, project: CurrentProject, leases: Sequence[UUID]
    ) -> dict[UUID, GoldItem]:
        """A gold item that the person has not had for each of these leases, as far as there are any."""
        known = self._desk.references.gold_items.of(project.project_id)
        if not leases or not known:
            return {}
        seen = await list_gold_seen(unit.connection, annotator_id, project.project_id, [one.item_id for one in known])
        left = {one.item_id: one for one in known if one.item_id not in seen}
        own, usual = await get_gold_plans(unit.connection, project.project_id, annotator_id)
        order = in_turn(left, own, usual, project.project_id, annotator_id)
        return {lease_id: left[item_id] for lease_id, item_id in zip(leases, order, strict=False)}

    async def _wake(self, unit: Unit, blocked: Sequence[Round]) -> None:
        """Rounds that were blocked are queued again: somebody has just taken them."""
        for asked in blocked:
            _, route = unblock(asked, unit.now)
            publish((route,), unit, self._desk.metrics)
        await count_steps(unit.connection, [asked.id or 0 for asked in blocked])


def _groups(seekers: Sequence[Seeker]) -> list[list[tuple[int, Seeker]]]:
    """Seekers with their places, by project and audience; no more tasks in one group than a statement gives."""
    queues: dict[tuple[str, Audience], list[list[tuple[int, Seeker]]]] = {}
    for place, one in enumerate(seekers):
        groups = queues.setdefault((one.project.project_id, one.audience), [[]])
        if sum(len(other.ids) for _, other in groups[-1]) + len(one.ids) > SEATS[-1]:
            groups.append([])
        groups[-1].append((place, one))
    return [group for groups in queues.values() for group in groups if group]


def _alike(wanted: Sequence[Wanted]) -> bool:
    """Whether one statement can serve them all.

    A budget is counted one after the other, and what is for one person in particular is looked for alone.
    """
    return all(one.budget is None and one.match is None and one.most == wanted[0].most for one in wanted)


def _golden(seeker: Seeker, lease_id: UUID, golden: GoldItem, guesses: Mapping[tuple[str, str], Guess]) -> Handed:
    """A gold item as a task like any other."""
    project, policy = seeker.project, seeker.project.spec.policy
    text = golden.content.model_dump_json(exclude_none=True)
    blind = is_blind(blind_share(policy, policy.gold.share), project.project_id, golden.item_id, seeker.person.id)
    guess = guesses.get((golden.project_id, golden.item_id))
    return Handed(lease_id, None, golden, text, project.spec, project.version, blind, guess)


def gold_share(seeker: Seeker) -> float:
    """The share of this person's leases that are gold: the policy's, less for the proven, more where a rule says so."""
    person, name, policy = seeker.person, seeker.project.project_id, seeker.project.spec.policy.gold
    usual = min(person.planned_shares.get(name, policy.share), policy.share)
    return max(usual, person.gold_shares.get(name, 0.0))


def _full(held: int, *, first: bool) -> list[str]:
    """Nothing more for somebody who holds enough.

    Raises:
        Problem: nothing at all was handed out.
    """
    if first:
        raise Problem(409, "too_many_leases", f"You hold {held} leases.", "Answer, skip or let some run out.")
    return []


def _grant(one: Handed, annotator_id: str, audience: Audience, lease_s: float) -> Grant:
    if one.gold is not None:
        key, number, round_id = (one.gold.project_id, one.gold.item_id), 1, None
    elif one.asked is not None:
        key, number, round_id = (one.asked.project_id, one.asked.item_id), one.asked.number, one.asked.id
    else:
        raise ValueError("a task is a round or gold")
    return Grant(one.id, round_id, key, number, annotator_id, audience, one.blind, lease_s)
