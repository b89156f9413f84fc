"""Statements on audits, on labels accepted under a certificate, and on what the certificates stand on."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from services.monitor.domain.certificate import Evidence
from services.monitor.domain.certifying import Doubt, Finding, Ledger
from services.monitor.domain.observe import ItemKey
from services.monitor.domain.voids import Void, Voids
from shared.events import Label
from shared.labels import Names, category

_LEDGER = TypeAdapter(Ledger)
_EVIDENCE = TypeAdapter(Evidence)
_VOIDS = TypeAdapter(dict[str, Void])
SKEW = timedelta(seconds=10)
"""By so much the clocks of assignment and the database may differ."""
_OPEN_SINCE = (
    "(SELECT coalesce(min(xact_start), 'infinity') FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
    " AND usename = current_user AND datname = current_database() AND pid <> pg_backend_pid())"
)
"""When the oldest of the service's other transactions began that have written anything."""


@dataclass(frozen=True, slots=True)
class Reopening:
    """Labels accepted in [since, until] are opened again; those up to `after` at `since` are done.

    `until` is when the breach was first seen by a transaction after its own, and SKEW more: what is accepted later is
    read by batches that know of the breach.
    """

    since: datetime
    after: str
    until: datetime


@dataclass(frozen=True, slots=True)
class AcceptedLabel:
    """A label that was accepted under a certificate.

    `symbol`: its class, None where it was kept before classes were; `own`: on the class's own part of the certificate.
    """

    item_id: str
    labelled_at: datetime
    symbol: str | None
    own: bool

    def covered_by(self, symbol: str | None, names: Names) -> bool:
        """Whether it is of that class, by its present name; None: whether the part for all together covered it."""
        if symbol is None:
            return not self.own
        return self.symbol is None or names.symbol(self.symbol) == names.symbol(symbol)


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
                "INSERT INTO accepted (project_id, item_id, labelled_at, symbol, own)"
                " SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::boolean[])"
                " AS n(p, i, at, s, o)"
                " WHERE NOT EXISTS (SELECT FROM erasures AS e WHERE e.subject = p || '/' || i) ON CONFLICT DO NOTHING",
                [label.project_id for label in labels],
                [label.item_id for label in labels],
                [label.labelled_at for label in labels],
                [category(label.value) for label in labels],
                [label.evidence.certified_class is not None for label in labels],
            )

    async def claim_ledger(self, project_id: str) -> Ledger | None:
        """Lock the project's row, made where it is missing; what its certificates stand on, if anything yet."""
        await self._connection.execute(
            "INSERT INTO certificates (project_id) VALUES ($1) ON CONFLICT DO NOTHING", project_id
        )
        text = await self._connection.fetchval(
            "SELECT ledger::text FROM certificates WHERE project_id = $1 FOR UPDATE", project_id
        )
        return None if text is None else _load(text)

    async def save_ledger(self, project_id: str, ledger: Ledger) -> None:
        await self._connection.execute(
            "UPDATE certificates SET ledger = $2::jsonb WHERE project_id = $1",
            project_id,
            _dump(ledger),
        )

    async def list_voids(self, projects: Iterable[str]) -> dict[str, Voids]:
        """What the certificates of these projects lost, as far as they lost anything."""
        rows = await self._connection.fetch(
            "SELECT project_id, (ledger -> 'number')::bigint AS number, (ledger -> 'voids')::text AS voids"
            " FROM certificates WHERE project_id = ANY($1::text[]) AND ledger -> 'voids' <> '{}'",
            sorted(projects),
        )
        return {row["project_id"]: Voids(row["number"], _VOIDS.validate_json(row["voids"])) for row in rows}

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

    async def begin_reopening(self, project_id: str, doubt: Doubt) -> None:
        """Labels accepted since then are to be opened again, besides what is still left of an earlier breach."""
        if doubt.symbol is not None:
            await self._connection.execute(
                "INSERT INTO reopenings AS r (project_id, symbol, since, until) VALUES ($1, $2, $3, 'infinity')"
                " ON CONFLICT (project_id, symbol) DO UPDATE SET"
                " after = CASE WHEN r.since <= excluded.since THEN r.after ELSE '' END,"
                " since = least(r.since, excluded.since), until = excluded.until",
                project_id,
                doubt.symbol,
                doubt.since,
            )
            return
        await self._connection.execute(
            "UPDATE certificates SET reopen_after = CASE WHEN reopen_from <= $2 THEN reopen_after ELSE '' END,"
            " reopen_from = least(reopen_from, $2), reopen_until = 'infinity' WHERE project_id = $1",
            project_id,
            doubt.since,
        )

    async def save_reopening(self, project_id: str, symbol: str | None, reopening: Reopening | None) -> None:
        """What of a class, or of all together (None), is still to be opened again; None: nothing."""
        if symbol is None:
            await self._connection.execute(
                "UPDATE certificates SET reopen_from = $2, reopen_after = $3,"
                " reopen_until = CASE WHEN $2::timestamptz IS NOT NULL THEN reopen_until END WHERE project_id = $1",
                project_id,
                reopening.since if reopening is not None else None,
                reopening.after if reopening is not None else "",
            )
        elif reopening is None:
            await self._connection.execute(
                "DELETE FROM reopenings WHERE project_id = $1 AND symbol = $2", project_id, symbol
            )
        else:
            await self._connection.execute(
                "UPDATE reopenings SET since = $3, after = $4 WHERE project_id = $1 AND symbol = $2",
                project_id,
                symbol,
                reopening.since,
                reopening.after,
            )

    async def list_reopenings(self) -> list[tuple[str, str | None, Reopening]]:
        """What is to be opened again, by project and class; the rows are locked, those at work elsewhere left out.

        Nothing yet of a breach before which a transaction began that is still open: it may write labels that were
        accepted on what had proved void, without knowing of it.
        """
        for table, until in (("certificates", "reopen_until"), ("reopenings", "until")):
            await self._connection.execute(
                f"UPDATE {table} SET {until} = clock_timestamp() WHERE ctid = ANY(ARRAY("  # noqa: S608  # constants
                f"SELECT ctid FROM {table} WHERE {until} = 'infinity' FOR UPDATE SKIP LOCKED))"
            )
        rows = await self._connection.fetch(
            "SELECT project_id, NULL AS symbol, reopen_from, reopen_after, reopen_until FROM certificates"  # noqa: S608  # constants
            f" WHERE reopen_from IS NOT NULL AND reopen_until < {_OPEN_SINCE}"
            " ORDER BY project_id FOR UPDATE SKIP LOCKED"
        )
        rows += await self._connection.fetch(
            "SELECT project_id, symbol, since, after, until FROM reopenings"  # noqa: S608  # constants
            f" WHERE until < {_OPEN_SINCE} ORDER BY project_id, symbol FOR UPDATE SKIP LOCKED"
        )
        return [
            (project_id, symbol, Reopening(since, after, until + SKEW))
            for project_id, symbol, since, after, until in map(tuple, rows)
        ]

    async def list_accepted(self, project_id: str, reopening: Reopening, limit: int) -> list[AcceptedLabel]:
        """The next labels of a time that is in doubt, by (time, item), whichever their class."""
        rows = await self._connection.fetch(
            "SELECT item_id, labelled_at, symbol, own FROM accepted WHERE project_id = $1"
            " AND (labelled_at, item_id) > ($2, $3) AND labelled_at <= $4 ORDER BY labelled_at, item_id LIMIT $5",
            project_id,
            reopening.since,
            reopening.after,
            reopening.until,
            limit,
        )
        return [AcceptedLabel(*tuple(row)) for row in rows]

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


def _dump(ledger: Ledger) -> str:
    """JSON; the pool of a ledger with classes is not where a release that knows none would take it for all of them.

    A process of that release finds nothing certified, and gathers evidence anew.
    """
    kept = _LEDGER.dump_python(ledger, mode="json")
    if ledger.classes:
        kept["pool"] = kept["evidence"]
        kept["evidence"] = _EVIDENCE.dump_python(Evidence.none(ledger.rules), mode="json")
    return json.dumps(kept)


def _load(text: str) -> Ledger:
    kept = json.loads(text)
    kept["evidence"] = kept.pop("pool", kept["evidence"])
    return _LEDGER.validate_python(kept)
