"""What the doctor says: one line for each thing looked at."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """`UNKNOWN`: it could not be looked at, since something else is down or this principal may not."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        area: brokers, topics, access, schemas, migrations, lag, clock, disk, models, training.
        subject: what was looked at.
        found: what was seen.
        todo: what to do about it; empty where nothing is to be done.
    """

    area: str
    subject: str
    status: Status
    found: str
    todo: str = ""

    def document(self) -> dict[str, Any]:
        return {"area": self.area, "subject": self.subject, "status": self.status.value} | {
            "found": self.found,
            "todo": self.todo,
        }


@dataclass(frozen=True, slots=True)
class Examination:
    """One area: looked at by itself, whatever becomes of the others.

    Attributes:
        look: gives the findings; what it raises is a finding too.
        blame: what to do when it raises.
        unseen: what its raising means: wrong where being reachable is the very question.
    """

    area: str
    subject: str
    look: Callable[[], Awaitable[Iterable[Finding]]]
    blame: str
    unseen: Status = Status.UNKNOWN


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing is wrong, and nothing went unseen."""
    return all(one.status in (Status.OK, Status.NOTE) for one in findings)
