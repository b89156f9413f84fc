"""What an audit found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.audit.checks import CHECKS
from cli.audit.history import history
from cli.audit.ledger import Ledger

PATHS = ("auto", "single", "consensus", "expert")


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, with what is known of its item."""

    check: str
    invariant: str
    project: str | None
    item: str | None
    detail: str
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The counts of a deployment, and every promise that does not hold.

    `items` = labelled + open + sampled_out + unlabelable + unresolved + dead_lettered (+ erased, which are no items
    any more and counted apart). `open` holds `in_flight`: acknowledged, and not yet processed by assignment.

    Attributes:
        violations: how many, in all.
        found: the first ones of each check.
        not_provable: topics whose oldest records have expired, so that what they held cannot be proven.
    """

    labelled: int
    open: int
    sampled_out: int
    unlabelable: int
    unresolved: int
    dead_lettered: int
    erased: int
    in_flight: int
    duplicates: int
    opinions: int
    by_path: dict[str, int]
    violations: int
    by_check: dict[str, int] = field(default_factory=dict)
    found: tuple[Violation, ...] = ()
    not_provable: tuple[str, ...] = ()
    records: int = 0

    @property
    def items(self) -> int:
        """Acknowledged items that are not erased."""
        return self.labelled + self.open + self.sampled_out + self.unlabelable + self.unresolved + self.dead_lettered

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        names = (
            "items", "labelled", "open", "sampled_out", "unlabelable", "unresolved", "dead_lettered", "erased",
            "in_flight", "duplicates", "opinions", "by_path", "violations", "by_check", "not_provable", "records",
        )  # fmt: skip
        found = [
            {"check": v.check, "invariant": v.invariant, "project": v.project, "item": v.item, "detail": v.detail,
             "history": list(v.history)}
            for v in self.found
        ]  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"found": found}


def judge(ledger: Ledger, *, at_rest: bool, limit: int, records: int = 0) -> Report:
    """Run every check over a filled ledger.

    Args:
        ledger: what topics and databases say.
        at_rest: also that nothing is under way any more.
        limit: violations of each check to list with their history.
        records: read from topics, for the report.
    """
    by_check: dict[str, int] = {}
    found: list[Violation] = []
    for check in CHECKS:
        if check.at_rest and not at_rest:
            continue
        for of_project, item, detail in ledger.rows(check.sql):
            number = by_check[check.name] = by_check.get(check.name, 0) + 1
            if number <= limit:
                told = tuple(history(ledger, of_project, item)) if item is not None else ()
                found.append(Violation(check.name, check.invariant, of_project, item, detail, told))
    return _report(ledger, by_check, found, records)


def _report(ledger: Ledger, by_check: dict[str, int], found: Sequence[Violation], records: int) -> Report:
    standing = dict(_pairs(ledger, "SELECT standing, count(*) FROM a_items GROUP BY standing"))
    in_flight = ledger.value(
        "SELECT count(*) FROM (SELECT DISTINCT project, item FROM valid_items v WHERE NOT EXISTS"
        " (SELECT 1 FROM a_items a WHERE a.project = v.project AND a.item = v.item AND a.standing <> 'parked'))"
    )
    done = ledger.value("SELECT count(*) FROM items_done WHERE service = 'assignment'")
    distinct = ledger.value(
        "SELECT count(*) FROM (SELECT DISTINCT project, item FROM items_done WHERE service = 'assignment')"
    )
    return Report(
        labelled=standing.get("labelled", 0),
        open=sum(standing.get(name, 0) for name in ("awaiting_prediction", "open", "superseded")) + in_flight,
        sampled_out=standing.get("sampled_out", 0),
        unlabelable=standing.get("unlabelable", 0),
        unresolved=standing.get("unresolved", 0),
        dead_lettered=ledger.value("SELECT count(*) FROM letters WHERE topic = 'items.v1' AND NOT replayed"),
        erased=standing.get("erased", 0),
        in_flight=in_flight,
        duplicates=done - distinct,
        opinions=ledger.value(
            "SELECT count(DISTINCT id) FROM valid_annotations WHERE NOT gold AND outcome = 'answered'"
        ),
        by_path=dict.fromkeys(PATHS, 0) | dict(_pairs(ledger, BY_PATH)),
        violations=sum(by_check.values()),
        by_check=by_check,
        found=tuple(found),
        not_provable=tuple(row[0] for row in ledger.rows("SELECT topic FROM expired ORDER BY topic")),
        records=records,
    )


BY_PATH = (
    "SELECT path, count(*) FROM (SELECT min(b.path) AS path FROM a_items a JOIN valid_labels b"
    " ON b.project = a.project AND b.item = a.item AND b.version = a.version"
    " WHERE a.standing = 'labelled' GROUP BY a.project, a.item) GROUP BY path"
)


def _pairs(ledger: Ledger, sql: str) -> Iterator[tuple[str, int]]:
    yield from ledger.rows(sql)
