"""How people work: pace, the state of sequential tests, and what a skill event says of them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.qc.domain.conduct import Conduct, ItemKey, Person, dump, load
from services.qc.domain.counts import MILLS
from services.qc.domain.fusing.counted import SOURCES, Counted, part_of
from services.qc.domain.pace import bin_of
from services.qc.store.rows import columns
from shared.labels import SAME, Names

Cell = tuple[str, str]
"""(truth, answered)."""


@dataclass(slots=True)
class Record:
    """What is published of one person's skill.

    Attributes:
        judged, correct_mills: over all sources.
        cells: (truth, answered) -> judged answers.
        fused: what is counted by labels that were fused, by part of the label.
    """

    judged: int = 0
    correct_mills: int = 0
    cells: Counter[Cell] = field(default_factory=Counter)
    fused: dict[str, Counted] = field(default_factory=dict)
    conduct: Conduct = field(default_factory=Conduct)


class ConductStore:
    """Statements on one connection, inside its transaction. Rows of `conduct` are locked before those of `trust`."""

    _connection: Any
    names: Callable[[str], Names]

    async def claim_conduct(self, people: Iterable[Person]) -> dict[Person, Conduct]:
        """Lock the rows of these people, made where missing."""
        pairs = columns(sorted(set(people)), 2)
        if not pairs[0]:
            return {}
        await self._connection.execute(
            "INSERT INTO conduct (project_id, annotator_id)"
            " SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
            *pairs,
        )
        rows = await self._connection.fetch(
            "SELECT c.* FROM conduct c JOIN unnest($1::text[], $2::text[]) AS k(project_id, annotator_id)"
            " USING (project_id, annotator_id) ORDER BY c.project_id, c.annotator_id FOR UPDATE OF c",
            *pairs,
        )
        return {(row["project_id"], row["annotator_id"]): _conduct(row, self.names(row["project_id"])) for row in rows}

    async def save_conduct(self, people: Mapping[Person, Conduct]) -> None:
        """Write claimed rows."""
        if not people:
            return
        rows = [(*who, *dump(one), one.overlap, one.overlap_until) for who, one in sorted(people.items())]
        await self._connection.execute(
            "UPDATE conduct AS c SET pace = n.pace, state = n.state, overlap = n.overlap, overlap_until = n.until"
            " FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::jsonb[], $5::smallint[], $6::timestamptz[])"
            " AS n(project_id, annotator_id, pace, state, overlap, until)"
            " WHERE c.project_id = n.project_id AND c.annotator_id = n.annotator_id",
            *columns(rows, 6),
        )

    async def list_overlaps(self, projects: Iterable[str], now: datetime) -> dict[str, dict[str, int]]:
        """Project -> people beside whom more opinions are asked -> how many more."""
        wanted = sorted(set(projects))
        rows = await self._connection.fetch(
            "SELECT project_id, annotator_id, overlap FROM conduct"
            " WHERE project_id = ANY($1::text[]) AND overlap_until > $2",
            wanted,
            now,
        )
        found: dict[str, dict[str, int]] = {project: {} for project in wanted}
        for row in rows:
            found[row["project_id"]][row["annotator_id"]] = row["overlap"]
        return found

    async def count_paces(self, keys: Sequence[ItemKey]) -> dict[Person, Counter[int]]:
        """What the answers to these items, gold ones too, add to the pace of who gave them."""
        rows = await self._connection.fetch(
            "SELECT a.project_id, a.annotator_id, a.duration_ms FROM annotations a"
            " JOIN unnest($1::text[], $2::text[]) AS k(project_id, item_id) USING (project_id, item_id)"
            " WHERE a.outcome = 'answered' AND a.annotator_id IS NOT NULL",
            *columns(sorted(keys), 2),
        )
        found: defaultdict[Person, Counter[int]] = defaultdict(Counter)
        for row in rows:
            found[row["project_id"], row["annotator_id"]][bin_of(row["duration_ms"])] += 1
        return dict(found)

    async def take_dirty(self, limit: int) -> dict[Person, Record]:
        """Annotators judged anew, marked as told. The nobody who gave the answers of erased people is none."""
        rows = await self._connection.fetch(
            "WITH taken AS (UPDATE annotators SET dirty = false WHERE (project_id, annotator_id) IN"
            " (SELECT project_id, annotator_id FROM annotators WHERE dirty AND annotator_id <> ''"
            " ORDER BY project_id, annotator_id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING project_id, annotator_id)"
            " SELECT t.project_id, t.annotator_id, c.truth, c.answered, c.source, c.answers, c.weight, w.pace, w.state"
            " FROM taken t JOIN annotator_counts c USING (project_id, annotator_id)"
            " LEFT JOIN conduct w USING (project_id, annotator_id) ORDER BY 1, 2, 3, 4",
            limit,
        )
        found: dict[Person, Record] = {}
        for row in rows:
            who = (row["project_id"], row["annotator_id"])
            if who not in found:
                found[who] = Record(conduct=Conduct() if row["pace"] is None else load(row["pace"], row["state"]))
            name = self.names(who[0]).symbol
            one, cell = found[who], (name(row["truth"]), name(row["answered"]))
            part, source = part_of(row["source"])
            if source in SOURCES or part:
                told = float(row["answers"]), row["weight"] / MILLS
                one.fused.setdefault(part, Counted()).add(who[1], (source, *cell), *told)
                continue
            one.judged += row["answers"]
            one.cells[cell] += row["answers"]
            if cell[0] == cell[1] or cell == ("", "="):
                one.correct_mills += row["weight"]
        return found


def _conduct(row: Any, names: Names = SAME) -> Conduct:
    found = load(row["pace"], row["state"], row["overlap"], row["overlap_until"])
    for rule in found.rules.values():
        rule.last = names.symbol(rule.last)
    return found
