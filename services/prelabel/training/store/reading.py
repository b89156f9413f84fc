"""What a training and a gate need to know, read from the kept file."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.prelabel.training.domain.gate import Pair
from services.prelabel.training.domain.sets import Labelled
from services.prelabel.training.store.intake import Alarm
from shared.heldout import group_of
from shared.labels import SAME, Names

Connection = sqlite3.Connection


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a project's labels are: `latest` numbers the last one, `since` those after the last training."""

    labels: int
    latest: int
    since: int
    version: str | None


def get_progress(connection: Connection, project_id: str) -> Progress:
    """Labels whose content is kept, and how many of them came since the last training began."""
    found = connection.execute("SELECT number, version FROM trainings WHERE project = ?", (project_id,)).fetchone()
    trained, version = found or (0, None)
    labels, latest, since = connection.execute(
        "SELECT count(*), coalesce(max(number), 0), coalesce(sum(number > ?), 0) FROM labels AS l"
        " JOIN items AS i USING (project, item) WHERE l.project = ?",
        (trained, project_id),
    ).fetchone()
    return Progress(labels, latest, since, version)


def save_training(connection: Connection, project_id: str, number: int, version: str, at: datetime) -> None:
    """Labels up to this number were learned from, or tried to be."""
    connection.execute(
        "INSERT OR REPLACE INTO trainings VALUES (?, ?, ?, ?)", (project_id, number, version, at.timestamp())
    )


def list_labelled(
    connection: Connection, project_id: str, group_by: str | None, known: Iterable[str], names: Names = SAME
) -> list[Labelled]:
    """The live labels of a project whose category is one of `known` and whose content is here; in present `names`."""
    rows = connection.execute(
        "SELECT l.item, i.hash, i.metadata, l.category, l.version, l.weight, l.audited, l.inclusion"
        " FROM labels AS l JOIN items AS i USING (project, item) WHERE l.project = ? ORDER BY l.item",
        (project_id,),
    )
    categories = set(known)
    return [
        Labelled(item, found, _group(metadata, group_by, found), name, version, weight, bool(audited), inclusion)
        for item, found, metadata, written, version, weight, audited, inclusion in rows
        if (name := names.symbol(written)) in categories
    ]


def list_categories(connection: Connection, project_id: str, names: Names = SAME) -> list[str]:
    """What is labelled, in present names."""
    rows = connection.execute("SELECT DISTINCT category FROM labels WHERE project = ? ORDER BY 1", (project_id,))
    return sorted({names.symbol(name) for (name,) in rows})


def _group(metadata: str, group_by: str | None, content_hash: str) -> str:
    """The group of an item; one that lacks the key is a group of its own content."""
    return group_of(json.loads(metadata).get(group_by) if group_by is not None else None, content_hash)


def list_contents(connection: Connection, project_id: str, hashes: Iterable[str]) -> dict[str, bytes]:
    """Contents as JSON, by hash."""
    rows = connection.execute(
        "SELECT hash, content FROM contents WHERE project = ? AND hash IN (SELECT value FROM json_each(?))",
        (project_id, json.dumps(sorted(set(hashes)))),
    )
    return dict(rows.fetchall())


def save_learned(connection: Connection, project_id: str, model: str, hashes: Iterable[str]) -> None:
    """Which contents a model has seen: they prove nothing about it."""
    connection.executemany(
        "INSERT OR IGNORE INTO learned VALUES (?, ?, ?)", [(project_id, model, one) for one in hashes]
    )


def count_trials(connection: Connection, project_id: str, model: str) -> int:
    """Predictions on live items of a model on trial."""
    (number,) = connection.execute(
        "SELECT count(*) FROM guesses WHERE project = ? AND model = ? AND on_trial", (project_id, model)
    ).fetchone()
    return int(number)


def begin_trial(connection: Connection, project_id: str, model: str, now: datetime) -> datetime:
    """When the trial of a model began: now, where it was not looked at before."""
    name = f"trial of {project_id}/{model}"
    connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, now.isoformat()))
    (began,) = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return datetime.fromisoformat(began)


def list_unanswered(connection: Connection, project_id: str, model: str, items: Sequence[str]) -> list[tuple[str, str]]:
    """(item, hash) of those of the items that the model neither learned from nor has been asked about."""
    rows = connection.execute(
        "SELECT i.item, i.hash FROM items AS i JOIN json_each(?) AS j ON j.value = i.item WHERE i.project = ?"
        " AND NOT EXISTS (SELECT 1 FROM guesses AS g WHERE (g.project, g.model, g.item) = (i.project, ?, i.item))"
        " AND NOT EXISTS (SELECT 1 FROM learned AS s WHERE (s.project, s.model, s.hash) = (i.project, ?, i.hash))"
        " ORDER BY i.item",
        (json.dumps(items), project_id, model, model),
    )
    return rows.fetchall()


def list_pairs(
    connection: Connection,
    project_id: str,
    models: tuple[str, str],
    items: Sequence[str],
    *,
    since: datetime | None = None,
    names: Names = SAME,
) -> list[Pair]:
    """The held-out labels that both models were asked about, in the order they came, one per content.

    Args:
        connection: of the kept file.
        project_id: whose.
        models: what stands as `live` and as `candidate` in a pair.
        items: held out.
        since: only labels given after this.
        names: the present ones: what a model said under a former name it says under these.
    """
    rows = connection.execute(
        "SELECT i.hash, l.category, l.inclusion, a.category, b.category FROM labels AS l"
        " JOIN json_each(?) AS j ON j.value = l.item JOIN items AS i ON (i.project, i.item) = (l.project, l.item)"
        " JOIN guesses AS a ON (a.project, a.model, a.item) = (l.project, ?, l.item)"
        " JOIN guesses AS b ON (b.project, b.model, b.item) = (l.project, ?, l.item)"
        " WHERE l.project = ? AND l.labelled_at > ? AND NOT EXISTS (SELECT 1 FROM learned AS s"
        " WHERE s.project = l.project AND s.model IN (?, ?) AND s.hash = i.hash) ORDER BY l.number",
        (json.dumps(items), *models, project_id, since.timestamp() if since else 0.0, *models),
    )
    first: dict[str, Pair] = {}
    for found, written, inclusion, live, candidate in rows:
        truth = names.symbol(written)
        right = names.symbol(live) == truth, names.symbol(candidate) == truth
        first.setdefault(found, Pair(truth, inclusion, *right))
    return list(first.values())


def list_alarms(connection: Connection, project_id: str) -> list[Alarm]:
    """Those that nothing was done about yet, the oldest first."""
    rows = connection.execute(
        "SELECT event, model, generation, at FROM alarms WHERE project = ? AND NOT handled ORDER BY at", (project_id,)
    )
    return [
        Alarm(project_id, event, model, generation, datetime.fromtimestamp(at, UTC))
        for event, model, generation, at in rows
    ]


def handle_alarms(connection: Connection, project_id: str, events: Iterable[str]) -> None:
    connection.executemany(
        "UPDATE alarms SET handled = 1 WHERE project = ? AND event = ?", [(project_id, event) for event in events]
    )
