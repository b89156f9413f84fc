"""Rows to values and back. No decisions."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from services.assignment.domain.aggregate import Aggregate, Round, Wish
from services.assignment.domain.guess import Guess
from services.assignment.domain.leases import Lease, LeaseState
from services.assignment.domain.states import Ending
from shared.events import Audience

GUESS = TypeAdapter(Guess)
Key = tuple[str, str]
"""(project, item)."""

ITEM_COLUMNS = (
    "i.project_id, i.item_id, i.round, i.ending, i.label_version, i.content_hash, i.created_at, i.guess, i.relabels,"
    " i.slice, i.language, i.sketch,"
    " i.content IS NULL AND i.content_hash IS NOT NULL AS bare"
)
ROUND_COLUMNS = (
    "r.id, r.project_id, r.item_id, r.number, r.audience, r.wanted, r.answered, r.skipped, r.active, r.granted,"
    " r.expert_answered, r.expert_active, r.exhausted, r.ended, r.blocked_at, r.step, r.reason, r.priority, r.urgency,"
    " r.would_auto, r.inclusion, r.excluded, r.guess, r.generation,"
    " r.project_version, r.guideline_version, r.item_created_at, r.slice, r.likely, r.spread,"
    " r.expert_lane, r.narrow_since"
)
LEASE_COLUMNS = (
    "l.token, l.id, l.round_id, l.project_id, l.item_id, l.round, l.gold, l.annotator_id, l.role, l.state, l.blind,"
    " l.state = 'active' AND l.expires_at > clock_timestamp() AS valid, l.granted_at, l.expires_at, l.ended_at, l.late,"
    " l.digest"
)


def dump_guess(guess: Guess | None, *, whole: bool = False) -> str | None:
    """A guess as its JSON; `whole`: with its sketches, which are of no use once the item is routed."""
    if guess is None:
        return None
    return GUESS.dump_json(guess, exclude_none=True, exclude=None if whole else {"sketch", "features"}).decode()


def load_guess(text: str | None) -> Guess | None:
    """The guess of its JSON."""
    return None if text is None else GUESS.validate_json(text)


def dump_relabels(relabels: Mapping[int, Wish]) -> str | None:
    """Relabel requests as JSON; None for none."""
    if not relabels:
        return None
    return json.dumps(
        {n: [wish.urgency, wish.reason, sorted(wish.excluded), *_kind(wish)] for n, wish in relabels.items()},
        ensure_ascii=False,
    )


def _kind(wish: Wish) -> list[int]:
    """Left out of a plain doubt; opinions, and whether an expert is to answer, or nobody, where it says so."""
    kind: list[int] = [wish.doubt, wish.rename, wish.renamed]
    if wish.revise:
        return [*kind, wish.opinions, wish.expert, wish.revise]
    if wish.expert:
        return [*kind, wish.opinions, wish.expert]
    if wish.opinions:
        return [*kind, wish.opinions]
    return [] if kind == [True, False, False] else kind


def load_relabels(text: str | None) -> dict[int, Wish]:
    """The relabel requests of their JSON."""
    if text is None:
        return {}
    return {
        int(n): Wish(urgency, reason, frozenset(who), *kind)
        for n, (urgency, reason, who, *kind) in json.loads(text).items()
    }


def load_item(row: Mapping[str, Any]) -> Aggregate:
    """The aggregate of an items row, without its round."""
    return Aggregate(
        project_id=row["project_id"],
        item_id=row["item_id"],
        content_hash=row["content_hash"],
        created_at=row["created_at"],
        guess=load_guess(row["guess"]),
        round=row["round"],
        ending=Ending(row["ending"]),
        label_version=row["label_version"],
        relabels=load_relabels(row["relabels"]),
        slice=row["slice"],
        language=row["language"],
        sketch=row["sketch"],
        bare=row["bare"],
    )


def load_round(row: Mapping[str, Any]) -> Round:
    """A rounds row."""
    known = {name: row[name] for name in _PLAIN}
    return Round(
        audience=Audience(row["audience"].partition(":")[0]),
        lane=row["expert_lane"] or row["audience"],
        excluded=frozenset(row["excluded"]),
        guess=load_guess(row["guess"]),
        **known,
    )


_PLAIN = tuple(
    name for name in (column.split(".")[1] for column in ROUND_COLUMNS.split(", ")) if name not in
    ("audience", "expert_lane", "excluded", "guess")
)  # fmt: skip


def load_lease(row: Mapping[str, Any]) -> Lease:
    """A leases row."""
    return Lease(
        token=row["token"],
        id=row["id"],
        round_id=row["round_id"],
        project_id=row["project_id"],
        item_id=row["item_id"],
        round=row["round"],
        gold=row["gold"],
        annotator_id=row["annotator_id"],
        role=Audience(row["role"]),
        state=LeaseState(row["state"]),
        blind=row["blind"],
        valid=row["valid"],
        granted_at=row["granted_at"],
        expires_at=row["expires_at"],
        ended_at=row["ended_at"],
        late=row["late"],
        digest=row["digest"],
    )
