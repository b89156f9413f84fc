"""Writing the audit log: a row with the transaction, a structured log line when it has committed."""

from collections.abc import Sequence
from functools import partial

import structlog

from services.assignment.store.audit import LogLine, log_requests
from shared.bus.unit import Unit

log = structlog.get_logger(__name__)


async def record(unit: Unit, lines: Sequence[LogLine]) -> None:
    """Write lines with the transaction; say them in the service's log once it has committed."""
    await log_requests(unit.connection, lines)
    unit.afterwards.append(partial(tell, lines))


def tell(lines: Sequence[LogLine]) -> None:
    """One structured log line each."""
    for one in lines:
        log.info(
            "audit",
            principal=one.principal,
            action=one.action,
            outcome=one.outcome,
            subject=one.subject,
            project=one.project,
            lease_id=None if one.lease_id is None else str(one.lease_id),
        )
