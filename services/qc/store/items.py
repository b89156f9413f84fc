"""Items, their annotations and rounds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from services.qc.domain.fold import ItemKey
from services.qc.domain.fusing.proposals import Correction
from services.qc.domain.item import Answer, End, ItemState, LiveLabel, RoundRecord
from services.qc.store.rows import (
    annotation_row,
    answer_of,
    columns,
    label_columns,
    label_of_row,
    reached_of,
    round_columns,
)
from shared.bus.references import Naming
from shared.errors import RetryLater
from shared.events import Annotation
from shared.labels import SAME, Names

Known = tuple[ItemKey, Answer, bool]
"""An annotation that is stored: its item, itself, whether it is gold."""


class ItemStore:
    """Statements on one connection, inside its transaction."""

    def __init__(self, connection: Any, naming: Naming | None = None) -> None:
        self._connection = connection
        self.naming: Naming = {} if naming is None else naming

    def names(self, project: str) -> Names:
        """What is read of a project is given its present names: rows stay as they were written."""
        return self.naming.get(project, SAME)

    async def claim_items(self, keys: Iterable[ItemKey]) -> dict[ItemKey, ItemState]:
        """Lock the rows of these items, made where missing, in key order; their live labels, and nothing else yet."""
        ordered = sorted(set(keys))
        pairs = columns(ordered, 2)
        await self._connection.execute(
            "INSERT INTO items (project_id, item_id)"
            " SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
            *pairs,
        )
        rows = await self._connection.fetch(
            "SELECT i.* FROM items i JOIN unnest($1::text[], $2::text[]) AS k(project_id, item_id)"
            " USING (project_id, item_id) ORDER BY i.project_id, i.item_id FOR UPDATE OF i",
            *pairs,
        )
        return {
            (row["project_id"], row["item_id"]): ItemState(
                label=label_of_row(row, self.names(row["project_id"])), erased=row["erased"]
            )
            for row in rows
        }

    async def fill_rounds(self, items: Mapping[ItemKey, ItemState]) -> None:
        """Read the rounds of claimed items into them."""
        rows = await self._connection.fetch(
            "SELECT r.* FROM rounds r JOIN unnest($1::text[], $2::text[]) AS k(project_id, item_id)"
            " USING (project_id, item_id)",
            *columns(sorted(items), 2),
        )
        for row in rows:
            ended = None if row["ended"] is None else End(row["ended"])
            record = RoundRecord(row["asked"], row["expert_asked"], ended, row["pooled"], reached_of(row))
            items[row["project_id"], row["item_id"]].rounds[row["round"]] = record

    async def fill_answers(self, items: Mapping[ItemKey, ItemState]) -> None:
        """Read the annotations of claimed items into them, in the order they came."""
        rows = await self._connection.fetch(
            "SELECT a.* FROM annotations a JOIN unnest($1::text[], $2::text[]) AS k(project_id, item_id)"
            " USING (project_id, item_id) WHERE NOT a.gold ORDER BY a.seq",
            *columns(sorted(items), 2),
        )
        for row in rows:
            answer = answer_of(row, self.names(row["project_id"]))
            items[row["project_id"], row["item_id"]].answers[row["annotation_id"]] = answer

    async def get_annotations(self, ids: Iterable[UUID]) -> dict[UUID, Known]:
        """Those of the annotations that are stored."""
        rows = await self._connection.fetch(
            "SELECT * FROM annotations WHERE annotation_id = ANY($1::uuid[])", list(ids)
        )
        return {
            row["annotation_id"]: (
                (row["project_id"], row["item_id"]),
                answer_of(row, self.names(row["project_id"])),
                row["gold"],
            )
            for row in rows
        }

    async def save_annotations(
        self, events: Sequence[Annotation], corrections: Mapping[UUID, Correction] | None = None
    ) -> None:
        """Store new annotations, in order; with what became of proposals, by annotation.

        Raises:
            RetryLater: one of them was stored by someone else meanwhile; on the next try it will be known.
        """
        if not events:
            return
        told = corrections or {}
        stored = await self._connection.fetchval(
            "WITH stored AS (INSERT INTO annotations (annotation_id, project_id, item_id, round, outcome, annotator_id,"
            " role, value, symbol, skip_reason, gold, late, saw_proposal, duration_ms, project_version,"
            " guideline_version, submitted_at, predicted, slice, correction, apart)"
            " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::text[],"
            " $7::text[], $8::jsonb[], $9::text[], $10::text[], $11::boolean[], $12::boolean[], $13::boolean[],"
            " $14::bigint[], $15::integer[], $16::integer[], $17::timestamptz[], $18::jsonb[], $19::text[],"
            " $20::text[], $21::smallint[])"
            " ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM stored",
            *columns([annotation_row(event, told.get(event.annotation_id)) for event in events], 21),
        )
        if stored != len(events):
            raise RetryLater(f"{len(events) - stored} of {len(events)} annotations were stored by another consumer")

    async def save_rounds(self, rounds: Mapping[tuple[str, str, int], RoundRecord]) -> None:
        """Write rounds of claimed items."""
        if not rounds:
            return
        rows = [(*key, *round_columns(rounds[key])) for key in sorted(rounds)]
        await self._connection.execute(
            "INSERT INTO rounds (project_id, item_id, round, asked, expert_asked, ended, pooled, posterior, snapshot,"
            " target, most)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::integer[], $5::boolean[], $6::text[],"
            " $7::boolean[], $8::double precision[], $9::bigint[], $10::double precision[], $11::smallint[])"
            " ON CONFLICT (project_id, item_id, round) DO UPDATE"
            " SET asked = excluded.asked, expert_asked = excluded.expert_asked, ended = excluded.ended,"
            " pooled = excluded.pooled, posterior = excluded.posterior, snapshot = excluded.snapshot,"
            " target = excluded.target, most = excluded.most",
            *columns(rows, 11),
        )

    async def save_labels(self, labels: Mapping[ItemKey, LiveLabel]) -> None:
        """Write the live labels of claimed items."""
        if not labels:
            return
        rows = [(*key, *label_columns(label)) for key, label in sorted(labels.items())]
        await self._connection.execute(
            "UPDATE items AS i SET label_version = n.version, label_path = n.path, label_kind = n.kind,"
            " label_symbol = n.symbol, label_weights = n.weights, label_number = n.number,"
            " label_tolerance = n.tolerance, label_given = n.given, label_value = n.value"
            " FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::jsonb[],"
            " $8::double precision[], $9::double precision[], $10::smallint[], $11::jsonb[])"
            " AS n(project_id, item_id, version, path, kind, symbol, weights, number, tolerance, given, value)"
            " WHERE i.project_id = n.project_id AND i.item_id = n.item_id",
            *columns(rows, 11),
        )
