"""Statements on the order in which people get gold items."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

GoldPlanRow = tuple[str, str, float, list[str], datetime]
"""(project, annotator or '' for everybody else, share, items, when)."""


async def save_gold_plans(connection: Any, plans: Sequence[GoldPlanRow]) -> None:
    """Keep the newest plan of each person; none of erased people."""
    newest = {(one[1], one[0]): one for one in sorted(plans, key=lambda one: one[4])}
    if not newest:
        return
    rows = [newest[key] for key in sorted(newest)]
    await connection.execute(
        "INSERT INTO gold_plans AS g (project_id, annotator_id, share, items, measured_at)"
        " SELECT p, a, share, ARRAY(SELECT json_array_elements_text(items::json)), at"
        " FROM unnest($1::text[], $2::text[], $3::float8[], $4::text[], $5::timestamptz[]) AS n(p, a, share, items, at)"
        " WHERE NOT EXISTS (SELECT FROM erasures e WHERE e.annotator_id = n.a)"
        " ON CONFLICT (annotator_id, project_id) DO UPDATE"
        " SET share = excluded.share, items = excluded.items, measured_at = excluded.measured_at"
        " WHERE g.measured_at <= excluded.measured_at",
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [json.dumps(row[3]) for row in rows],
        [row[4] for row in rows],
    )


async def get_gold_plans(connection: Any, project_id: str, annotator_id: str) -> tuple[list[str], list[str]]:
    """A person's own plan, and the one of whoever has none."""
    rows = await connection.fetch(
        "SELECT annotator_id, items FROM gold_plans WHERE project_id = $1 AND annotator_id IN ($2, '')",
        project_id,
        annotator_id,
    )
    found = {row["annotator_id"]: list(row["items"]) for row in rows}
    return found.get(annotator_id, []), found.get("", [])
