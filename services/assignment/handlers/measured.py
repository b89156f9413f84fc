"""What qc measured of people: kept for their leads, and obeyed where a rule of the project asks for something."""

from collections.abc import Sequence

from services.assignment.store.goldplans import save_gold_plans
from services.assignment.store.measurements import Measured, Restraint, save_measurements, save_restraints
from shared.bus.records import Received
from shared.bus.unit import Unit
from shared.events import ErrorPatterns, GoldPlan, Quality, RuleFired, Skill, SkillDrift

KEPT = (Skill, SkillDrift, ErrorPatterns)


async def keep(batch: Sequence[Received[Quality]], unit: Unit) -> None:
    """The newest of each kind that leads look at, and of each rule."""
    events = [received.event for received in batch]
    await save_measurements(unit.connection, [_measured(e) for e in events if isinstance(e.measurement, KEPT)])
    plans = [(e, m) for e in events if isinstance(m := e.measurement, GoldPlan)]
    await save_gold_plans(
        unit.connection, [(e.project_id, m.annotator_id or "", m.share, list(m.items), e.measured_at) for e, m in plans]
    )
    fired = [(e, m) for e in events if isinstance(m := e.measurement, RuleFired)]
    await save_restraints(unit.connection, [_restraint(event, one) for event, one in fired])


def _measured(event: Quality) -> Measured:
    about = event.measurement
    who = getattr(about, "annotator_id", None)
    return Measured(event.project_id, event.subject, about.kind, who, about.model_dump_json(), event.measured_at)


def _restraint(event: Quality, fired: RuleFired) -> Restraint:
    return Restraint(
        event.project_id,
        fired.annotator_id,
        fired.rule,
        fired.action.value,
        fired.share,
        fired.until,
        fired.model_dump_json(),
        event.measured_at,
    )
