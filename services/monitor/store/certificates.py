"""Statements on audits, on labels accepted under a certificate, and on what the certificates stand on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from services.monitor.domain.certifying import Finding, Ledger
from services.monitor.domain.observe import ItemKey
from shared.events import Label

_LEDGER = TypeAdapter(Ledger)


@dataclass(frozen=True, slots=True)
class Reopening:
    """Labels accepted in [since, until] are opened again; those up to `after` at `since` are done."""

    since: datetime
    after: str
    until: datetime


class CertificateStore:
    """The statements, on the connection of one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def add_audits(self, found: Iterable[tuple[ItemKey, Finding]]) -> None:
        """Keep audits; one per item, and none of an erased item."""
        rows = [
            (*key, a.generation, a.model_version, a.symbol, a.confidence, a.share, a.at) for key, a in sorted(found)
        ]
        if rows:
            await self._connection.execute(
                "INSERT INTO audits (project_id, item_id, generation, model_version, symbol, confidence, share,"
                " labelled_at) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],"
                " $6::float8[], $7::float8[], $8::timestamptz[]) AS n(p, i, g, m, s, c, q, at)"
                " WHERE NOT EXISTS (SELECT FROM erasures AS e WHERE e.subject = p || '/' || i) ON CONFLICT DO NOTHING",
                *map(list, zip(*rows, strict=True)),
            )

    async def add_accepted(self, labels: Sequence[Label]) -> None:
        """Remember labels that were accepted under a certificate."""
        if labels:
            await self._connection.execute(
                "INSERT INTO accepted (project_id, item_id, labelled_at)"
                " SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n(p, i, at)"
                " WHERE NOT EXISTS (SELECT FROM erasures AS e WHERE e.subject = p || '/' || i) ON CONFLICT DO NOTHING",
                [label.project_id for label in labels],
                [label.item_id for label in labels],
                [label.labelled_at for label in labels],
            )

    async def claim_ledger(self, project_id: str) -> Ledger | None:
        """Lock the project's row, made where it is missing; what its certificates stand on, if anything yet."""
        await self._connection.execute(
            "INSERT INTO certificates (project_id) VALUES ($1) ON CONFLICT DO NOTHING", project_id
        )
        text = await self._connection.fetchval(
            "SELECT ledger::text FROM certificates WHERE project_id = $1 FOR UPDATE", project_id
        )
        return None if text is None else _LEDGER.validate_json(text)

    async def save_ledger(self, project_id: str, ledger: Ledger) -> None:
        await self._connection.execute(
            "UPDATE certificates SET ledger = $2::jsonb WHERE project_id = $1",
            project_id,
            _LEDGER.dump_json(ledger).decode(),
        )

    async def take_audits(self, project_id: str, limit: int) -> list[Finding]:
        """The oldest audits that were not weighed, by arrival; from now on they are."""
        rows = await self._connection.fetch(
            "UPDATE audits AS a SET weighed = true FROM (SELECT project_id, item_id FROM audits"
            " WHERE project_id = $1 AND NOT weighed ORDER BY seq LIMIT $2 FOR UPDATE) AS n"
            " WHERE a.project_id = n.project_id AND a.item_id = n.item_id"
            " RETURNING a.seq, a.generation, a.model_version, a.symbol, a.confidence, a.share, a.labelled_at",
            project_id,
            limit,
        )
        return [Finding(*tuple(row)[1:]) for row in sorted(rows, key=lambda row: row["seq"])]

    async def begin_reopening(self, project_id: str, since: datetime, until: datetime) -> None:
        """Labels accepted in [since, until] are to be opened again, besides what is still left of an earlier one."""
        await self._connection.execute(
            "UPDATE certificates SET reopen_after = CASE WHEN reopen_from <= $2 THEN reopen_after ELSE '' END,"
            " reopen_from = least(reopen_from, $2), reopen_until = $3 WHERE project_id = $1",
            project_id,
            since,
            until,
        )

    async def save_reopening(self, project_id: str, reopening: Reopening | None) -> None:
        """What is still to be opened again; None: nothing."""
        if reopening is None:
            await self._connection.execute(
                "UPDATE certificates SET reopen_from = NULL, reopen_after = '', reopen_until = NULL"
                " WHERE project_id = $1",
                project_id,
            )
            return
        await self._connection.execute(
            "UPDATE certificates SET reopen_from = $2, reopen_after = $3, reopen_until = $4 WHERE project_id = $1",
            project_id,
            reopening.since,
            reopening.after,
            reopening.until,
        )

    async def list_reopenings(self) -> dict[str, Reopening]:
        """The projects that have labels to open again; their rows are locked, those at work elsewhere left out."""
        rows = await self._connection.fetch(
            "SELECT project_id, reopen_from, reopen_after, reopen_until FROM certificates"
            " WHERE reopen_from IS NOT NULL ORDER BY project_id FOR UPDATE SKIP LOCKED"
        )
        return {row["project_id"]: Reopening(*tuple(row)[1:]) for row in rows}

    async def list_accepted(self, project_id: str, reopening: Reopening, limit: int) -> list[tuple[str, datetime]]:
        """The next items to open again, by (time, item)."""
        rows = await self._connection.fetch(
            "SELECT item_id, labelled_at FROM accepted WHERE project_id = $1 AND (labelled_at, item_id) > ($2, $3)"
            " AND labelled_at <= $4 ORDER BY labelled_at, item_id LIMIT $5",
            project_id,
            reopening.since,
            reopening.after,
            reopening.until,
            limit,
        )
        return [(row["item_id"], row["labelled_at"]) for row in rows]

    async def forget_items(self, keys: Iterable[ItemKey]) -> None:
        """Delete the audits and accepted labels of items."""
        ordered = sorted(set(keys))
        for table in ("audits", "accepted"):
            await self._connection.execute(
                f"DELETE FROM {table} AS t USING unnest($1::text[], $2::text[]) AS k(p, i)"  # noqa: S608  # constants
                " WHERE t.project_id = k.p AND t.item_id = k.i",
                [project for project, _ in ordered],
                [item for _, item in ordered],
            )


OLD_AUDITS = (
    "DELETE FROM audits WHERE ctid = ANY(ARRAY(SELECT ctid FROM audits WHERE weighed AND labelled_at < $1"
    " ORDER BY labelled_at LIMIT $2 FOR UPDATE SKIP LOCKED))"
)
OLD_ACCEPTED = (
    "DELETE FROM accepted WHERE ctid = ANY(ARRAY(SELECT ctid FROM accepted WHERE labelled_at < $1"
    " ORDER BY labelled_at LIMIT $2 FOR UPDATE SKIP LOCKED))"
)
