"""What qc measured of people: kept for their leads, and obeyed where a rule of the project asks for something."""

from collections.abc import Sequence

from services.assignment.domain.routing import Standing, Terms
from services.assignment.store.certificates import save_certificates
from services.assignment.store.goldplans import save_gold_plans
from services.assignment.store.measurements import Measured, Restraint, save_measurements, save_restraints
from shared.bus.records import Received
from shared.bus.unit import Unit
from shared.events import (
    Certificate,
    CertificateTerms,
    ErrorPatterns,
    GoldPlan,
    Quality,
    RuleFired,
    Skill,
    SkillDrift,
    Worth,
)

KEPT = (Skill, SkillDrift, ErrorPatterns, Worth)


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


async def keep_certificates(batch: Sequence[Received[Quality]], unit: Unit) -> None:
    """The newest certificate of each project decides from which confidence its proposals are accepted."""
    newest: dict[str, tuple[int, Standing]] = {}
    for event in (received.event for received in batch):
        about = event.measurement
        if isinstance(about, Certificate) and about.number > newest.get(event.project_id, (0,))[0]:
            newest[event.project_id] = about.number, _standing(event, about)
    if newest:
        await save_certificates(unit.connection, newest)


def _standing(event: Quality, about: Certificate) -> Standing:
    return Standing(
        id=event.event_id,
        generation=about.generation,
        threshold=about.threshold if about.state == "granted" else None,
        audit_share=about.audit_share,
        target_error=about.target_error,
        valid_until=about.valid_until,
        model_version=about.model_version,
        classes=_classes(about),
    )


def _classes(about: Certificate) -> dict[str, Terms]:
    """The terms by class, those of the others under ""; empty where all are judged together."""
    by_class: dict[str, CertificateTerms] = {one.symbol: one for one in about.classes}
    if about.rest is not None:
        by_class[""] = about.rest
    return {name: Terms(one.threshold, one.audit_share, one.valid_until) for name, one in by_class.items()}


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
