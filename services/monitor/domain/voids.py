"""Labels that come late, on a certificate that was void by then: accepted before it was known, or told behind."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.events import Certificate, Label, Quality, derived_id
from shared.labels import Names, category

SUBJECT = "certificate"
ALL = ""
"""Where a void is kept that is of all classes which are judged together."""
REMEMBERED = 100
"""Certificates since a breach by whose ids a label is known to stand on a later one; an older one counts as void."""


@dataclass(frozen=True, slots=True)
class Void:
    """The last breach of a group: what certificates before that number accepted since then is in doubt."""

    number: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Voids:
    """What a project's certificates lost; `number`: of the newest certificate."""

    number: int
    by_group: Mapping[str, Void] = field(default_factory=dict)


def told(project_id: str, certificate: Certificate, at: datetime) -> Quality:
    """The event that publishes a certificate."""
    return Quality(
        project_id=project_id,
        subject=SUBJECT,
        sequence=str(certificate.number),
        measurement=certificate,
        measured_at=at,
    )


def certificate_id(project_id: str, number: int) -> UUID:
    """The id of the event that publishes a certificate, by which labels name it."""
    return derived_id(Quality.ce_type, project_id, SUBJECT, "certificate", str(number))


def too_late(labels: Iterable[Label], voids: Mapping[str, Voids], names: Mapping[str, Names]) -> Iterator[Label]:
    """Those of the labels accepted under certificates that stand on one which was void by then.

    Args:
        labels: with a certificate, as they arrive.
        voids: by project.
        names: by project, of classes.
    """
    for label in labels:
        known = voids.get(label.project_id)
        if known is not None and _is_void(label, known, names.get(label.project_id, Names())):
            yield label


def _is_void(label: Label, known: Voids, names: Names) -> bool:
    groups = (names.symbol(category(label.value)), *((ALL,) if label.evidence.certified_class is None else ()))
    voids = (known.by_group[group] for group in groups if group in known.by_group)
    return any(void.since <= label.labelled_at and not _is_later(label, known.number, void) for void in voids)


def _is_later(label: Label, newest: int, void: Void) -> bool:
    """Whether it stands on a certificate that does without what had proved void."""
    first = max(void.number, newest - REMEMBERED)
    later = range(newest, first - 1, -1)
    return any(label.evidence.certificate == certificate_id(label.project_id, number) for number in later)
