"""What comes in from the topics, and what goes out again: by erasure and by age."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.events import Erasure, Item, Label, Prediction, ShadowPrediction
from shared.events.items import content_hash
from shared.labels import category

Connection = sqlite3.Connection
ItemKey = tuple[str, str]


OF_DRIFT = -1
"""The generation of an alarm that speaks of the traffic: no model is rolled back for it."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What asks for a training, and maybe for the model before that of its generation."""

    project_id: str
    event_id: str
    model: str
    generation: int
    at: datetime


def add_items(connection: Connection, items: Sequence[Item]) -> None:
    """Contents, once each, and which items have them. The first content of an item stands."""
    wanted = _not_erased(connection, [(one.project_id, one.item_id) for one in items])
    kept = [one for one in items if (one.project_id, one.item_id) in wanted]
    hashes = [content_hash(one.content) for one in kept]
    connection.executemany(
        "INSERT OR IGNORE INTO contents VALUES (?, ?, ?)",
        [
            (one.project_id, found, one.content.model_dump_json(exclude_none=True).encode("utf-8", "surrogatepass"))
            for one, found in zip(kept, hashes, strict=True)
        ],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, NULL)",
        [
            (one.project_id, one.item_id, found, json.dumps(one.metadata, sort_keys=True), one.created_at.timestamp())
            for one, found in zip(kept, hashes, strict=True)
        ],
    )


def add_labels(connection: Connection, labels: Sequence[Label]) -> None:
    """Labels that people gave, the highest version of each item, with the proposal beside it.

    A lone answer has no posterior: it counts in full. Nothing of who answered is kept. One that only renames an earlier
    version is no new label: nothing is to be learned from it.
    """
    wanted = _not_erased(connection, [(one.project_id, one.item_id) for one in labels])
    kept = [one for one in labels if (one.project_id, one.item_id) in wanted and one.renames is None]
    (number,) = connection.execute("SELECT coalesce(max(number), 0) FROM labels").fetchone()
    rows = [
        (
            one.project_id,
            one.item_id,
            one.version,
            category(one.value),
            1.0 if one.posterior is None else one.posterior,
            one.would_auto,
            one.inclusion_probability,
            one.labelled_at.timestamp(),
            number + place,
        )
        for place, one in enumerate(kept, 1)
    ]
    connection.executemany(
        "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version,"
        " category = excluded.category, weight = excluded.weight, labelled_at = excluded.labelled_at,"
        " audited = max(labels.audited, excluded.audited),"
        " inclusion = CASE WHEN labels.audited THEN labels.inclusion ELSE excluded.inclusion END,"
        " number = excluded.number WHERE excluded.version > labels.version",
        rows,
    )
    proposals = [(one, one.evidence.proposal) for one in kept]
    _add_guesses(
        connection,
        [
            (one.project_id, proposal.model_version, one.item_id, category(proposal.value), False)
            for one, proposal in proposals
            if proposal is not None
        ],
    )


def add_guesses(connection: Connection, found: Sequence[ShadowPrediction]) -> None:
    """What a model on trial said of live items; an abstention agrees with nothing."""
    wanted = _not_erased(connection, [(one.project_id, one.item_id) for one in found])
    _add_guesses(
        connection,
        [
            (one.project_id, one.model_version, one.item_id, _said(one), True)
            for one in found
            if one.model_version is not None and (one.project_id, one.item_id) in wanted
        ],
    )


def add_answers(connection: Connection, project_id: str, model: str, answers: Iterable[tuple[str, str]]) -> None:
    """What a model says of kept contents, by (item id, category)."""
    _add_guesses(connection, [(project_id, model, item, said, False) for item, said in answers])


def _said(prediction: Prediction) -> str:
    return "" if prediction.value is None else category(prediction.value)


def _add_guesses(connection: Connection, rows: Sequence[tuple[str, str, str, str, bool]]) -> None:
    connection.executemany(
        "INSERT INTO guesses VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET on_trial = max(guesses.on_trial, excluded.on_trial)",
        rows,
    )


def add_alarms(connection: Connection, alarms: Sequence[Alarm]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO alarms (project, event, model, generation, at) VALUES (?, ?, ?, ?, ?)",
        [(one.project_id, one.event_id, one.model, one.generation, one.at.timestamp()) for one in alarms],
    )


def settle(connection: Connection, keys: Iterable[ItemKey], at: datetime) -> None:
    """These items will not come to people, as far as is known: their contents go soon."""
    connection.executemany(
        "UPDATE items SET settled_at = coalesce(settled_at, ?) WHERE project = ? AND item = ?",
        [(at.timestamp(), project, item) for project, item in keys],
    )


def _not_erased(connection: Connection, keys: Sequence[ItemKey]) -> set[ItemKey]:
    (number,) = connection.execute("SELECT count(*) FROM erasures").fetchone()
    if not number:
        return set(keys)
    known = connection.execute(
        "SELECT subject FROM erasures WHERE subject IN (SELECT value FROM json_each(?))",
        (json.dumps([f"{project}/{item}" for project, item in keys]),),
    )
    erased = {subject for (subject,) in known}
    return {(project, item) for project, item in keys if f"{project}/{item}" not in erased}


def list_erased(connection: Connection) -> set[str]:
    """The subjects that were obeyed."""
    return {subject for (subject,) in connection.execute("SELECT subject FROM erasures")}


def get_last_erasure(connection: Connection) -> datetime | None:
    """When something was last removed."""
    (found,) = connection.execute("SELECT max(erased_at) FROM erasures WHERE removed <> '{}'").fetchone()
    return None if found is None else datetime.fromisoformat(found)


def erase(connection: Connection, asked: Erasure, at: datetime) -> Counter[str]:
    """Forget an item: its labels, guesses, and content unless another item has the same. Give what went.

    Of people nothing is kept, so nothing goes; that it was asked is noted all the same.
    """
    removed: Counter[str] = Counter()
    if asked.subject == "item":
        key = (asked.project_id, asked.item_id)
        found = connection.execute("SELECT hash FROM items WHERE project = ? AND item = ?", key).fetchone()
        for table in ("items", "labels", "guesses"):
            done = connection.execute(f"DELETE FROM {table} WHERE project = ? AND item = ?", key)  # noqa: S608  # three names
            removed[table] += done.rowcount
        if found is not None:
            removed["contents"] += _drop_contents(connection, [(str(asked.project_id), found[0])])
    connection.execute(
        "INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, ?)",
        (asked.key, asked.requested_at.isoformat(), at.isoformat(), json.dumps(+removed, sort_keys=True)),
    )
    return +removed


def _drop_contents(connection: Connection, hashes: Iterable[tuple[str, str]]) -> int:
    """Delete contents that no item has any more, and that a model learned from them."""
    unused = [
        pair
        for pair in hashes
        if connection.execute("SELECT 1 FROM items WHERE project = ? AND hash = ? LIMIT 1", pair).fetchone() is None
    ]
    connection.executemany("DELETE FROM contents WHERE project = ? AND hash = ?", unused)
    connection.executemany("DELETE FROM learned WHERE project = ? AND hash = ?", unused)
    return len(unused)


def prune(connection: Connection, *, unlabelled: datetime, settled: datetime, limit: int) -> int:
    """Drop items without a label that came, or were settled, before these moments; at most `limit` of them."""
    rows = connection.execute(
        "SELECT project, item, hash FROM items AS i WHERE (came_at < ? OR settled_at < ?) AND NOT EXISTS ("
        " SELECT 1 FROM labels AS l WHERE l.project = i.project AND l.item = i.item) LIMIT ?",
        (unlabelled.timestamp(), settled.timestamp(), limit),
    ).fetchall()
    keys = [(project, item) for project, item, _ in rows]
    connection.executemany("DELETE FROM items WHERE project = ? AND item = ?", keys)
    connection.executemany("DELETE FROM guesses WHERE project = ? AND item = ?", keys)
    _drop_contents(connection, {(project, found) for project, _, found in rows})
    return len(rows)


def drop_guesses(connection: Connection, project_id: str, keep: Iterable[str]) -> None:
    """Forget what models said that are neither live, former, nor on trial."""
    kept = json.dumps(sorted(keep))
    for table in ("guesses", "learned"):
        connection.execute(
            f"DELETE FROM {table} WHERE project = ? AND model NOT IN (SELECT value FROM json_each(?))",  # noqa: S608  # two names
            (project_id, kept),
        )
