"""The facts of each service: what must come out the same from the same topics, whatever happened on the way.

Left out are clocks (when something was received, seen, granted), who is at work, queue positions, and what a decision
depended on: its parameters are a fact of the event that it became, not of the database.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

Facts = Mapping[str, Mapping[tuple[Any, ...], tuple[Any, ...]]]
"""Table -> key -> the rest of the row."""

QUERIES: Mapping[str, tuple[int, str]] = {
    "assignment.items": (
        2,
        ("SELECT project_id, item_id, standing, round, ending, label_version, content_hash, content, created_at, guess"
        " FROM assignment.items"),
    ),
    "assignment.rounds": (
        3,
        ("SELECT project_id, item_id, number, audience, wanted, answered, skipped, expert_answered, exhausted, ended,"
        " step, would_auto, inclusion, project_version, guideline_version, item_created_at FROM assignment.rounds"),
    ),
    "assignment.leases": (
        4,
        ("SELECT project_id, item_id, gold, annotator_id, round, role, state, late FROM assignment.leases"
        " WHERE state IN ('answered', 'skipped')"),
    ),
    "assignment.tallies": (
        2, "SELECT project_id, name, sum(delta)::bigint FROM assignment.tallies GROUP BY 1, 2 HAVING sum(delta) <> 0",
    ),
    "qc.items": (
        2,
        ("SELECT project_id, item_id, label_version, label_path, label_kind, label_symbol, label_weights, label_number"
        " FROM qc.items"),
    ),
    "qc.annotations": (
        1,
        ("SELECT annotation_id, project_id, item_id, round, outcome, annotator_id, role, value, symbol, skip_reason,"
        " gold, late, saw_proposal, duration_ms, project_version, guideline_version, submitted_at FROM qc.annotations"),
    ),
    "qc.rounds": (3, "SELECT project_id, item_id, round, asked, expert_asked, ended FROM qc.rounds"),
    "qc.annotator_counts": (
        5, "SELECT project_id, annotator_id, truth, answered, source, answers, weight FROM qc.annotator_counts",
    ),
    "qc.annotators": (2, "SELECT project_id, annotator_id, given, skipped FROM qc.annotators"),
    "qc.class_counts": (2, "SELECT project_id, class, answered, labelled FROM qc.class_counts"),
    "qc.agreement_counts": (2, "SELECT project_id, opinions, rounds, pairs FROM qc.agreement_counts"),
    "qc.gold_results": (1, "SELECT annotation_id, project_id, item_id, expected, correct FROM qc.gold_results"),
    "qc.conduct": (2, "SELECT project_id, annotator_id, pace FROM qc.conduct WHERE pace <> '{}'"),
    "monitor.items": (
        2,
        "SELECT project_id, item_id, bits, generation, round, step, route, labels, path FROM monitor.items",
    ),
    "monitor.counters": (
        5,
        ("SELECT project_id, kind, bucket, part, symbol, sum(n)::bigint FROM monitor.counters"
        " WHERE (bucket = 0 OR bucket > extract(epoch FROM now()) - 86400)"  # older ones are pruned by the clock
        " AND kind <> 'doubted'"  # how likely wrong a label looked is weighed once, by the skills of its moment
        " GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0"),
    ),
    "monitor.relabels": (4, "SELECT project_id, item_id, round, cause, requested_at FROM monitor.relabels"),
}  # fmt: skip


async def read_facts(url: str) -> Facts:
    """All facts of a database, as superuser."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {name: _keyed(await connection.fetch(query), n) for name, (n, query) in QUERIES.items()}
    finally:
        await connection.close(timeout=5)


def _keyed(rows: Sequence[Any], width: int) -> Mapping[tuple[Any, ...], tuple[Any, ...]]:
    return {tuple(row)[:width]: tuple(row)[width:] for row in rows}


def differences(before: Facts, after: Facts) -> list[tuple[str, tuple[Any, ...], str]]:
    """(table, key, what differs) of each row that is not the same in both."""
    found = [
        (table, key, f"was {rows.get(key)}, is {after[table].get(key)}")
        for table, rows in before.items()
        for key in rows.keys() | after[table].keys()
        if rows.get(key) != after[table].get(key)
    ]
    return sorted(found, key=str)
