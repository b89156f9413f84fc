"""Counters that services keep, beside the same numbers made again from their raw rows (invariant I3)."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cli.audit.ledger import Ledger
from services.assignment.handlers.stream import DUPLICATES
from services.monitor.domain.counters import Kind
from services.monitor.store import facts_of as monitor_facts
from services.qc.domain.facts import Facts, facts_of, gold_facts
from services.qc.domain.item import ItemState
from services.qc.domain.pace import bin_of
from services.qc.store.items import ItemStore
from services.qc.store.rows import answer_of, label_of_row
from shared.bus.references import Naming
from shared.labels import SAME, Names

CHUNK = 2000
ARROW = " -> "
REPEATS = "items that came again"


@dataclass(frozen=True, slots=True)
class Scope:
    """Of which project, or of all; and the present names of classes, as known by now."""

    project: str | None
    naming: Naming


def _project(project: str | None, alias: str = "") -> str:
    """A condition; a project's name is a slug, so there is nothing to quote."""
    return "true" if project is None else f"{alias}project_id = '{project}'"


async def count_assignment(ledger: Ledger, connection: Any, scope: Scope) -> None:
    """Items by standing: the tallies, and the items themselves. Repeats are in the topic only."""
    rows = await connection.fetch(
        "SELECT project_id, name, sum(delta)::bigint AS n FROM tallies"  # noqa: S608  # a slug
        f" WHERE {_project(scope.project)} GROUP BY 1, 2"
    )
    names = {name for (name,) in ledger.rows("SELECT name FROM standings WHERE name <> 'parked'")}
    ledger.count("stored", [("assignment", p, f"items {name}", n) for p, name, n in rows if name in names])
    ledger.count("stored", [("assignment", p, REPEATS, n) for p, name, n in rows if name == DUPLICATES])
    ledger.execute(
        "INSERT INTO counts (service, project, name, raw)"
        " SELECT 'assignment', project, 'items ' || standing, count(*) FROM a_items WHERE standing <> 'parked'"
        " GROUP BY project, standing ON CONFLICT DO UPDATE SET raw = raw + excluded.raw"
    )


async def count_monitor(ledger: Ledger, connection: Any, scope: Scope) -> None:
    """Items by state from their facts, labels and annotations from the topics."""
    rows = await connection.fetch(
        "SELECT project_id, kind, part, symbol, sum(n)::bigint AS n FROM counters"  # noqa: S608  # a slug
        f" WHERE bucket = 0 AND kind = ANY($1::text[]) AND {_project(scope.project)} GROUP BY 1, 2, 3, 4",
        [Kind.ITEMS.value, Kind.LABELS.value, Kind.ANNOTATIONS.value],
    )
    ledger.count("stored", [("monitor", p, f"{kind} {part} {symbol}".strip(), n) for p, kind, part, symbol, n in rows])
    cursor = await connection.cursor(f"SELECT * FROM items WHERE {_project(scope.project)}")  # noqa: S608  # a slug
    while found := await cursor.fetch(CHUNK):
        items = [(row["project_id"], row["item_id"], monitor_facts(row)) for row in found]
        known = [(p, item, facts) for p, item, facts in items if facts.state is not None]
        rows = [(p, item, f.state, f.path if f.state == "labelled" else None, f.labels) for p, item, f in known]
        await ledger.load("m_items", rows)
    ledger.execute(
        "INSERT INTO counts (service, project, name, raw)"
        " SELECT 'monitor', project, rtrim('items ' || state || ' ' || coalesce(path, '')), count(*) FROM m_items"
        " GROUP BY project, state, path ON CONFLICT DO UPDATE SET raw = raw + excluded.raw"
    )


def count_from_topics(ledger: Ledger) -> None:
    """The counters that a database alone cannot prove; left out where the topics have expired."""
    proofs = {
        "labels": "SELECT 'monitor', project, 'labels ' || path, count(DISTINCT item || '/' || version)"
        " FROM labels_done WHERE service = 'monitor' GROUP BY project, path",
        "annotations": "SELECT 'monitor', project, 'annotations ' || outcome || ' '"
        " || iif(gold, 'gold', iif(late, 'late', 'round')) AS name, count(DISTINCT id) FROM annotations_done"
        " WHERE service = 'monitor' GROUP BY project, name",
    }
    for topic, query in proofs.items():
        if ledger.value("SELECT 1 FROM expired WHERE topic = ?", (f"{topic}.v1",)):
            ledger.execute("DELETE FROM counts WHERE service = 'monitor' AND name LIKE ? || ' %'", (topic,))
        else:
            ledger.execute(
                f"INSERT INTO counts (service, project, name, raw) {query} ON CONFLICT DO UPDATE SET raw = excluded.raw"
            )

    if ledger.value("SELECT 1 FROM expired WHERE topic = 'items.v1'"):
        ledger.execute("DELETE FROM counts WHERE service = 'assignment' AND name = ?", (REPEATS,))
        return
    ledger.execute(
        "INSERT INTO counts (service, project, name, raw)"
        " SELECT 'assignment', project, ?, count(*) - count(DISTINCT item) AS n FROM items_done"
        " WHERE service = 'assignment' GROUP BY project HAVING n > 0 ON CONFLICT DO UPDATE SET raw = excluded.raw",
        (REPEATS,),
    )


async def count_qc(ledger: Ledger, connection: Any, scope: Scope) -> None:
    """Every count of qc, made again from annotations, rounds and labels by the function that defines them.

    Both are in present names of classes: rows stay as they were written, and what reads them adds them up.
    """
    project = scope.project
    await _stored_qc(ledger, connection, scope)
    store = ItemStore(connection, scope.naming)
    last = ("", "")
    while rows := await connection.fetch(
        "SELECT * FROM items WHERE (project_id, item_id) > ($1, $2)"  # noqa: S608  # a slug
        f" AND {_project(project)} ORDER BY project_id, item_id LIMIT {CHUNK}",
        *last,
    ):
        items = {
            (row["project_id"], row["item_id"]): ItemState(label=label_of_row(row, store.names(row["project_id"])))
            for row in rows
        }
        await store.fill_rounds(items)
        await store.fill_answers(items)
        last = max(items)
        totals: Counter[tuple[str, str]] = Counter()
        for (name, _), state in items.items():
            totals.update({(name, counted): n for counted, n in _named(facts_of(state)).items()})
        ledger.count("raw", [("qc", name, counted, n) for (name, counted), n in totals.items()])
    cursor = await connection.cursor(
        "SELECT a.*, g.expected, g.correct FROM annotations a LEFT JOIN gold_results g USING (annotation_id)"  # noqa: S608
        f" WHERE a.gold AND {_project(project, 'a.')}"
    )
    while rows := await cursor.fetch(CHUNK):
        for row in rows:
            names, expected = store.names(row["project_id"]), row["expected"]
            named = None if expected is None else names.symbol(expected)
            facts = gold_facts(answer_of(row, names), named, correct=bool(row["correct"]))
            ledger.count("raw", [("qc", row["project_id"], counted, n) for counted, n in _named(facts).items()])
    await _raw_paces(ledger, connection, project)


async def _raw_paces(ledger: Ledger, connection: Any, project: str | None) -> None:
    cursor = await connection.cursor(
        "SELECT project_id, annotator_id, duration_ms FROM annotations WHERE outcome = 'answered'"  # noqa: S608
        f" AND annotator_id IS NOT NULL AND {_project(project)}"
    )
    while rows := await cursor.fetch(CHUNK):
        ledger.count("raw", [("qc", name, _paced(who, bin_of(ms)), 1) for name, who, ms in rows])


async def _stored_qc(ledger: Ledger, connection: Any, scope: Scope) -> None:
    for query, of in (
        ("SELECT project_id, annotator_id, truth, answered, source, answers, weight FROM annotator_counts", _cells),
        ("SELECT project_id, annotator_id, given, skipped FROM annotators", _people),
        ("SELECT project_id, class, answered, labelled FROM class_counts", _classes),
        ("SELECT project_id, opinions, rounds, pairs FROM agreement_counts", _agreement),
        ("SELECT project_id, annotator_id, pace FROM conduct", _pace),
    ):
        cursor = await connection.cursor(f"{query} WHERE {_project(scope.project)}")
        while rows := await cursor.fetch(CHUNK):
            named = [(row[0], *_named_row(row, scope.naming.get(row[0], SAME))) for row in rows]
            ledger.count("stored", [("qc", row[0], name, n) for row in named for name, n in of(*row[1:])])


CLASSES = ("truth", "answered", "class")


def _named_row(row: Any, names: Names) -> tuple[Any, ...]:
    """What follows the project in a row of counts; columns of classes in present names."""
    found = list(row.items())[1:]
    return tuple(
        names.symbol(value) if column in CLASSES and isinstance(value, str) else value for column, value in found
    )


Named = Iterable[tuple[str, int]]


def _cells(*row: Any) -> Named:
    annotator, truth, answered, source, answers, weight = row
    cell = f"{annotator}: {truth}{ARROW}{answered} by {source}"
    return (f"judged {cell}", answers), (f"weight {cell}", weight)


def _people(annotator: str, given: int, skipped: int) -> Named:
    return (f"given {annotator}", given), (f"skipped {annotator}", skipped)


def _pace(annotator: str, pace: str) -> Named:
    return tuple((_paced(annotator, int(place)), n) for place, n in json.loads(pace).items())


def _paced(annotator: str, place: int) -> str:
    return f"pace {annotator}: {place}"


def _classes(name: str, answered: int, labelled: int) -> Named:
    return (f"answered {name}", answered), (f"labelled {name}", labelled)


def _agreement(opinions: int, rounds: int, pairs: int) -> Named:
    return (f"rounds of {opinions}", rounds), (f"pairs of {opinions}", pairs)


def _named(facts: Facts) -> Counter[str]:
    """The counts of qc's facts by the names that `_stored_qc` gives the columns."""
    named: Counter[str] = Counter()
    for key in facts.answers.keys() | facts.weights.keys():
        named.update(dict(_cells(*key, facts.answers[key], facts.weights[key])))
    for who in facts.given.keys() | facts.skipped.keys():
        named.update(dict(_people(who, facts.given[who], facts.skipped[who])))
    for name in facts.answered.keys() | facts.labelled.keys():
        named.update(dict(_classes(name, facts.answered[name], facts.labelled[name])))
    for opinions in facts.rounds.keys() | facts.pairs.keys():
        named.update(dict(_agreement(opinions, facts.rounds[opinions], facts.pairs[opinions])))
    return named
