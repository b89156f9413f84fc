"""What qc measured of people: kept for their leads."""

from collections.abc import Sequence

from services.assignment.store.measurements import Measured, save_measurements
from shared.bus.records import Received
from shared.bus.unit import Unit
from shared.events import Quality, Skill, SkillDrift

KEPT = (Skill, SkillDrift)


async def keep(batch: Sequence[Received[Quality]], unit: Unit) -> None:
    """The newest of each kind that leads look at."""
    events = [received.event for received in batch if isinstance(received.event.measurement, KEPT)]
    await save_measurements(unit.connection, map(_measured, events))


def _measured(event: Quality) -> Measured:
    about = event.measurement
    who = getattr(about, "annotator_id", None)
    return Measured(event.project_id, event.subject, about.kind, who, about.model_dump_json(), event.measured_at)
