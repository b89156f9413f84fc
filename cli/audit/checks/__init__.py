"""Every check: a query over the ledger whose rows (project, item, what is wrong) are the violations."""

import re
from dataclasses import dataclass
from pathlib import Path

_HEADER = re.compile(r"^-- check: (?P<name>\w+) (?P<invariant>I\d)(?P<at_rest> at_rest)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Check:
    """One way in which a promise can be broken.

    Attributes:
        name: stable, for machines.
        invariant: the promise, I1 to I8: I1 every item in exactly one state, I2 annotations, I3 counters,
            I4 leases and overlap, I5 nothing without a cause, I6 dead letters, I7 models, I8 offsets.
        sql: gives (project, item, detail) of each violation; project and item may be null.
        at_rest: only where the stream is said to have come to rest.
    """

    name: str
    invariant: str
    sql: str
    at_rest: bool = False


def _checks(text: str) -> list[Check]:
    found = list(_HEADER.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [
        Check(match["name"], match["invariant"], text[match.end() : end].strip(), match["at_rest"] is not None)
        for match, end in zip(found, ends, strict=True)
    ]


CHECKS: tuple[Check, ...] = tuple(
    check
    for name in ("items", "labels", "annotations", "records", "erasures")
    for check in _checks(Path(__file__).with_name(f"{name}.sql").read_text())
)
