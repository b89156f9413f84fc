"""Taking answers in: each counts once, or is refused with a reason."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.assignment.api.desk import Desk
from services.assignment.api.identity import LEADERS, Principal
from services.assignment.api.problems import (
    Problem,
    invalid_label,
    key_reused,
    lease_expired,
    lease_finished,
    lease_unknown,
    project_unknown,
)
from services.assignment.api.schemas import Receipt, Submission, SubmitResult
from services.assignment.api.together import Together
from services.assignment.domain.aggregate import Round
from services.assignment.domain.annotations import Answer, Pinned, annotation_id, answered, is_late
from services.assignment.domain.leases import Lease, LeaseState, Verdict, judge
from services.assignment.domain.lifecycle import returned
from services.assignment.handlers.deciding import pinned_of
from services.assignment.store.audit import LogLine, log_requests
from services.assignment.store.items import get_contents
from services.assignment.store.lanes import add_today
from services.assignment.store.leases import Finish, finish, lock_held
from services.assignment.store.optimistic import finish_unchanged, read_held
from services.assignment.store.people import begin_requests, forget_keys
from shared.bus.unit import Unit
from shared.events import Annotation, Outcome, ProjectSpec, TextContent
from shared.labels import LabelValue, check_label
from shared.topics import ANNOTATIONS

SPANNED = frozenset({"spans", "relations", "mixed"})
REFUSED = {Verdict.UNKNOWN: lease_unknown, Verdict.EXPIRED: lease_expired, Verdict.FINISHED: lease_finished}


@dataclass(slots=True)
class Held:
    """What one call has locked, and what has become of it so far."""

    leases: dict[UUID, Lease]
    rounds: dict[int, Round]
    texts: Mapping[tuple[str, str], str]
    ends: dict[UUID, Finish]
    touched: set[int]


@dataclass(frozen=True, slots=True)
class Call:
    """One request. With `behalf` each submission says for whom; only for leads."""

    principal: Principal
    submissions: Sequence[Submission]
    key: str | None
    behalf: bool
    many: bool

    @property
    def name(self) -> tuple[str, str] | None:
        """Whose Idempotency-Key it has."""
        return None if self.key is None else (self.principal.id, self.key)

    @property
    def plain(self) -> bool:
        """Whether it is one answer that touches nothing but its lease and round."""
        person = self.principal.person
        counted = person is not None and person.daily_answers is not None
        return len(self.submissions) == 1 and self.key is None and not counted

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that it says."""
        whole = hashlib.sha256()
        for one in self.submissions:
            whole.update(one.model_dump_json().encode("utf-8", "replace"))
        return whole.digest()

    @property
    def names(self) -> frozenset[Hashable]:
        """What no other call may touch at the same time: it would only wait for us in the database."""
        leases: frozenset[Hashable] = frozenset(one.lease_id for one in self.submissions)
        return leases if self.name is None else leases | {self.name}


Results = list[Receipt | Problem]


class Submitting:
    """Submit and skip. The calls that come while a transaction runs share the next one: a handful of statements."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._together: Together[Call, Results | Problem] = Together(self._do, lambda call: call.names)

    async def submit(
        self,
        principal: Principal,
        submissions: Sequence[Submission],
        *,
        key: str | None,
        behalf: bool = False,
        many: bool = False,
    ) -> Results:
        """Record answers. With `behalf` each submission says for whom; only for leads. `many`: refusals are results.

        Raises:
            Problem: 422 where the Idempotency-Key was used with another body.
        """
        results = await self._together.do(Call(principal, submissions, key, behalf, many))
        if isinstance(results, Problem):
            raise results
        return results

    async def _do(self, calls: Sequence[Call]) -> list[Results | Problem]:
        """Several calls in one transaction; a lone plain answer without a lock, unless it meets somebody."""
        alone = calls[0] if len(calls) == 1 and calls[0].plain else None
        results = None if alone is None else await self._unlocked(alone)
        return await self._locked(calls) if results is None else [results]

    async def _unlocked(self, call: Call) -> Results | None:
        """Read, conclude, and write if nobody has changed the round since (docs/decisions/0106). None: nothing is done.

        That is so for gold and for what is refused, too.
        """
        service, (one,) = self._desk.service, call.submissions
        async with service.database.connection() as connection:
            read = await read_held(connection, one.lease_id)
            if read is None or read.lease.round_id is None:
                return None
            unit = Unit(service.name, connection, service.clock())
            leases, texts = {read.lease.id: read.lease}, await self._texts(connection, [read.lease])
            held = Held(leases, {read.lease.round_id: read.asked}, texts, {}, set())
            results: Results = [self._accept(call, one, held, unit)]
            lines, outbox = _lines(call, results, held), unit.hand_over()
            if not held.ends or outbox is None:
                return None
            end, asked = held.ends[read.lease.id], held.rounds[read.lease.round_id]
            if not await finish_unchanged(connection, end, asked, unit.now, read.version, line=lines[0], outbox=outbox):
                return None
        service.committed(unit)
        return results

    async def _locked(self, calls: Sequence[Call]) -> list[Results | Problem]:
        """Several calls in one transaction that locks what it reads."""
        async with self._desk.service.unit() as unit:
            reused = await self._begin(unit, calls)
            held = await self._lock(unit, [one.lease_id for call in calls for one in call.submissions])
            results: list[Results | Problem] = []
            for place, call in enumerate(calls):
                answers = [self._accept(call, one, held, unit) for one in call.submissions if place not in reused]
                results.append(key_reused() if place in reused else answers)
            lines = [line for call, found in zip(calls, results, strict=True) for line in _lines(call, found, held)]
            if held.ends:
                rounds = [held.rounds[number] for number in sorted(held.touched)]
                ends, outbox = list(held.ends.values()), unit.hand_over()
                await finish(unit.connection, ends, rounds, unit.now, lines=lines, outbox=outbox)
            else:
                await log_requests(unit.connection, lines)
            await self._count_today(unit, calls, results)
            await self._give_back(unit, calls, results)
        return results

    async def _count_today(self, unit: Unit, calls: Sequence[Call], results: Sequence[Results | Problem]) -> None:
        """The answers of people with a daily limit; no statement where nobody has one."""
        given: Counter[str] = Counter()
        for call, found in zip(calls, results, strict=True):
            person = call.principal.person
            if person is not None and person.daily_answers is not None and not isinstance(found, Problem):
                given[person.id] += sum(_counts(one, unit.now) for one in found)
        if given := +given:
            await add_today(unit.connection, given)

    async def _begin(self, unit: Unit, calls: Sequence[Call]) -> set[int]:
        """Take the calls' keys; the places of those whose key was used with another body."""
        wanted = {call.name: call.digest for call in calls if call.name is not None}
        if not wanted:
            return set()
        before = await begin_requests(unit.connection, wanted)
        used = {name for name, digest in before.items() if digest is not None and digest != wanted[name]}
        return {place for place, call in enumerate(calls) if call.name in used}

    async def _give_back(self, unit: Unit, calls: Sequence[Call], results: Sequence[Results | Problem]) -> None:
        """The keys of calls of which nothing was accepted."""
        unused = [
            call.name
            for call, found in zip(calls, results, strict=True)
            if call.name is not None and not isinstance(found, Problem)
            if not any(isinstance(result, Receipt) for result in found)
        ]
        if unused:
            await forget_keys(unit.connection, unused)

    async def _lock(self, unit: Unit, ids: Sequence[UUID]) -> Held:
        """Rounds first, then leases: the order in which everybody locks them."""
        leases, rounds = await lock_held(unit.connection, ids)
        return Held(leases, rounds, await self._texts(unit.connection, leases.values()), {}, set())

    async def _texts(self, connection: Any, leases: Iterable[Lease]) -> Mapping[tuple[str, str], str]:
        """The contents that answers mark places in."""
        spanned = [
            (lease.project_id, lease.item_id)
            for lease in leases
            if not lease.gold and self._kind(lease.project_id) in SPANNED
        ]
        return await get_contents(connection, spanned) if spanned else {}

    def _kind(self, project_id: str) -> str:
        project = self._desk.project(project_id)
        return project.spec.label.kind if project is not None else ""

    def _accept(self, call: Call, one: Submission, held: Held, unit: Unit) -> Receipt | Problem:
        lease = held.leases.get(one.lease_id)
        digest = digest_of(one)
        verdict = judge(lease, one.annotator_id if call.behalf else call.principal.id, digest)
        if lease is None or (call.behalf and not self._may_act(call.principal, lease)):
            return lease_unknown()
        if verdict is Verdict.REPEAT:
            return _receipt(lease, lease.ended_at or unit.now, late=lease.late)
        if verdict is not Verdict.ACCEPT:
            return REFUSED[verdict]()
        asked = held.rounds.get(lease.round_id) if lease.round_id is not None else None
        pinned = self._pinned(lease, asked, unit.now)
        spec = pinned and self._desk.references.projects.spec(lease.project_id, pinned.project_version)
        if pinned is None or not spec:
            return project_unknown(lease.project_id)
        value = one.value and self._desk.references.projects.names(lease.project_id).value(one.value)
        wrong = self._misfit(value, lease, spec, held)
        if wrong is not None:
            return wrong
        answer = Answer(value, one.skip_reason, one.comment, one.duration_ms)
        return self._record(
            lease, asked, answered(lease, asked, pinned, answer, unit.now), digest, held=held, unit=unit
        )

    def _record(
        self, lease: Lease, asked: Round | None, annotation: Annotation, digest: bytes, *, held: Held, unit: Unit
    ) -> Receipt:
        """The answer counts from here on."""
        late = is_late(asked)
        state = LeaseState.ANSWERED if annotation.outcome is Outcome.ANSWERED else LeaseState.SKIPPED
        held.ends[lease.id] = Finish(lease.id, state, late, digest)
        ended = replace(lease, state=state, late=late, digest=digest, ended_at=unit.now, valid=False)
        held.leases[lease.id] = ended
        if asked is not None and asked.id is not None:
            held.rounds[asked.id] = returned(asked, lease.role, annotation.outcome)
            held.touched.add(asked.id)
        unit.emit(ANNOTATIONS, annotation)
        outcome = "late" if late else annotation.outcome.value
        unit.afterwards.append(self._desk.metrics.answers.labels(lease.project_id, outcome).inc)
        return _receipt(ended, unit.now, late=late)

    def _may_act(self, principal: Principal, lease: Lease) -> bool:
        return principal.role in LEADERS and principal.sees(lease.project_id)

    def _pinned(self, lease: Lease, asked: Round | None, now: datetime) -> Pinned | None:
        """What the task stands on; gold stands on the project as it is."""
        references = self._desk.references
        if asked is not None:
            return pinned_of(asked, references, now)
        project = self._desk.project(lease.project_id)
        if project is None:
            return None
        golden = references.gold_items.get(lease.project_id, lease.item_id)
        created_at = golden.created_at if golden is not None else lease.granted_at
        guideline = references.guidelines.current(lease.project_id)
        return Pinned(project.spec.policy, project.version, guideline, created_at)

    def _misfit(self, value: LabelValue | None, lease: Lease, spec: ProjectSpec, held: Held) -> Problem | None:
        if value is None:
            return None
        try:
            check_label(value, spec.label, text=self._text(lease, spec, held))
        except ValueError as error:
            where, _, what = str(error).partition(": ")
            return invalid_label(f"body.value.{where}", what)
        return None

    def _text(self, lease: Lease, spec: ProjectSpec, held: Held) -> str | None:
        if spec.data != "text" or spec.label.kind not in SPANNED:
            return None
        if lease.gold:
            golden = self._desk.references.gold_items.get(lease.project_id, lease.item_id)
            content = golden.content if golden is not None else None
            return content.text if isinstance(content, TextContent) else None
        stored = held.texts.get((lease.project_id, lease.item_id))
        return None if stored is None else TextContent.model_validate_json(stored).text


def _lines(call: Call, found: Results | Problem, held: Held) -> list[LogLine]:
    """The audit log of a call. A refusal that is the call's whole answer is logged where it is given."""
    if isinstance(found, Problem):
        return []
    lines = []
    for one, result in zip(call.submissions, found, strict=True):
        lease, refused = held.leases.get(one.lease_id), isinstance(result, Problem)
        if refused and not call.many:
            continue
        outcome = result.code if isinstance(result, Problem) else "late" if result.late else result.outcome
        project = None if refused or lease is None else lease.project_id
        action = "submit" if one.skip_reason is None else "skip"
        lines.append(LogLine(call.principal.id, action, outcome, "-", project, one.lease_id))
    return lines


def digest_of(one: Submission) -> bytes:
    """SHA-256 of what an answer says; a repeat has the same one, however its JSON was written."""
    return hashlib.sha256(one.model_dump_json(exclude={"lease_id", "duration_ms"}).encode("utf-8", "replace")).digest()


def as_result(lease_id: UUID, result: Receipt | Problem) -> SubmitResult:
    """One element of a batch's response."""
    if isinstance(result, Problem):
        return SubmitResult(lease_id=lease_id, problem=result.body())
    return SubmitResult(lease_id=lease_id, receipt=result)


def _counts(result: Receipt | Problem, now: datetime) -> bool:
    """Whether it is an answer of just now; a repeat's receipt says when it was given."""
    return isinstance(result, Receipt) and result.outcome == "answered" and result.submitted_at == now


def _receipt(lease: Lease, at: datetime, *, late: bool) -> Receipt:
    return Receipt(
        lease_id=lease.id,
        annotation_id=annotation_id(lease),
        outcome="answered" if lease.state is LeaseState.ANSWERED else "skipped",
        late=late,
        submitted_at=at,
    )
