"""Labels that a snapshot may doubt, and how far the search for them has come."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from services.qc.domain.doubt import LAST_REVISION, Search, Standing
from services.qc.domain.fold import ItemKey
from services.qc.domain.item import ItemState, Reached
from services.qc.store.rows import columns, label_of_row
from services.qc.store.snapshots import REBUILT
from shared.labels import Names

IDS = 20_000


class DoubtStore:
    """Statements on one connection, inside its transaction. A project's row is locked before the items."""

    _connection: Any
    names: Callable[[str], Names]

    async def lock_searches(self, projects: Iterable[str]) -> dict[str, Search]:
        """Lock the searches of these projects, made where missing."""
        wanted = sorted(set(projects))
        await self._connection.execute(
            "INSERT INTO doubts (project_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", wanted
        )
        rows = await self._connection.fetch(
            "SELECT * FROM doubts WHERE project_id = ANY($1::text[]) ORDER BY project_id FOR UPDATE", wanted
        )
        return {row["project_id"]: Search(row["snapshot"], row["day"], row["used"]) for row in rows}

    async def save_searches(self, searches: Mapping[str, Search]) -> None:
        """Write locked searches."""
        rows = [(project, one.snapshot, one.day, one.used) for project, one in sorted(searches.items())]
        await self._connection.execute(
            "UPDATE doubts AS d SET snapshot = n.snapshot, day = n.day, used = n.used"
            " FROM unnest($1::text[], $2::bigint[], $3::date[], $4::integer[]) AS n(project_id, snapshot, day, used)"
            " WHERE d.project_id = n.project_id",
            *columns(rows, 4),
        )

    async def get_rebuilt(self, project: str) -> int:
        """The highest snapshot that only the own output told of, as a lost database had taken it; -1 for none."""
        found: int | None = await self._connection.fetchval(
            "SELECT max(number) FROM snapshots WHERE project_id = $1 AND digest = $2", project, REBUILT
        )
        return -1 if found is None else found

    async def list_standing(self, project: str, items: Sequence[str], since: int) -> dict[str, Standing]:
        """Of these items the labels that may be in doubt, or revised. A look by key at three tables an item."""
        found: dict[str, Standing] = {}
        for start in range(0, len(items), IDS):
            rows = await self._connection.fetch(
                "SELECT i.item_id, i.label_symbol, i.label_version, r.posterior, r.snapshot, r.target, r.most"
                " FROM unnest($2::text[]) AS k(item_id)"
                " JOIN items i ON i.project_id = $1 AND i.item_id = k.item_id"
                " JOIN rounds r ON r.project_id = $1 AND r.item_id = k.item_id AND r.round = i.label_version"
                " LEFT JOIN rounds n"
                " ON n.project_id = $1 AND n.item_id = k.item_id AND n.round = i.label_version + 1"
                " WHERE i.label_path IN ('single', 'consensus') AND i.label_version < $3"
                " AND coalesce(r.snapshot > $4, true) AND n.round IS NULL",
                project,
                items[start : start + IDS],
                LAST_REVISION,
                since,
            )
            for item, symbol, version, *reached in rows:
                how = None if None in reached else Reached(*reached)
                found[item] = Standing(item, self.names(project).symbol(symbol), how, version)
        return found

    async def get_items(self, keys: Iterable[ItemKey]) -> dict[ItemKey, ItemState]:
        """Those of the items that there are, with their labels and nothing else; not locked."""
        rows = await self._connection.fetch(
            "SELECT i.* FROM items i JOIN unnest($1::text[], $2::text[]) AS k(project_id, item_id)"
            " USING (project_id, item_id)",
            *columns(sorted(set(keys)), 2),
        )
        return {
            (row["project_id"], row["item_id"]): ItemState(
                label=label_of_row(row, self.names(row["project_id"])), erased=row["erased"]
            )
            for row in rows
        }
