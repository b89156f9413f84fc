"""What every decision needs: the project as it is, and a way out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from services.assignment.domain.aggregate import Aggregate, Round
from services.assignment.domain.annotations import Pinned, exhausted
from services.assignment.domain.decide import Context, Said, decide
from services.assignment.domain.draws import draws_of
from services.assignment.domain.routing import Standing
from services.assignment.handlers.outlook import Outlook
from services.assignment.metrics import AssignmentMetrics
from services.assignment.store.aggregates import save
from services.assignment.store.certificates import list_certificates
from shared.bus.records import Record
from shared.bus.references import References
from shared.bus.unit import Unit
from shared.events import Annotation, Label
from shared.topics import ANNOTATIONS, LABELS, ROUTES


async def standing(references: References, projects: Iterable[str], unit: Unit) -> dict[str, Standing]:
    """The certificates of those projects that ask for a guarantee; no statement where none does."""
    asking = {project for project in projects if _guaranteed(references, project)}
    return await list_certificates(unit.connection, asking) if asking else {}


def _guaranteed(references: References, project_id: str) -> bool:
    project = references.projects.current(project_id)
    return project is not None and project.spec.guaranteed is not None


def context_of(
    references: References,
    project_id: str,
    unit: Unit,
    certificates: Mapping[str, Standing] | None = None,
    outlook: Outlook | None = None,
) -> Context:
    """The project as it is now, with its certificate, and what else orders its queue.

    Raises:
        LookupError: it is unknown.
    """
    project = references.projects.current(project_id)
    if project is None:
        raise LookupError(no_project(project_id))
    held, names = (certificates or {}).get(project_id), references.projects.names(project_id)
    return Context(
        project.spec.policy,
        project.spec.cost,
        project.version,
        references.guidelines.current(project_id),
        unit.now,
        held.named(names) if held is not None else None,
        {one.name: one.policy for one in project.spec.slices},
        outlook.confusions(project_id) if outlook is not None else {},
        outlook.around(project_id) if outlook is not None else None,
        names,
    )


def publish(said: Iterable[Said], unit: Unit, metrics: AssignmentMetrics, cause: Record | None = None) -> None:
    """Emit decisions and count them."""
    publish_all(((event, cause) for event in said), unit, metrics)


def publish_all(said: Iterable[tuple[Said, Record | None]], unit: Unit, metrics: AssignmentMetrics) -> None:
    """Emit the decisions of a batch, each with the record that caused it, and count them."""
    made: Counter[tuple[str, str]] = Counter()
    for event, cause in said:
        if isinstance(event, Label):
            unit.emit(LABELS, event, cause=cause)
            made[event.project_id, "auto" if event.renames is None else "renamed"] += 1
        elif isinstance(event, Annotation):
            unit.emit(ANNOTATIONS, event, cause=cause)
            made[event.project_id, "renamed" if event.renaming else "revised"] += 1
        else:
            unit.emit(ROUTES, event, cause=cause)
            made[event.project_id, event.state.value] += 1
    for labels, number in made.items():
        metrics.decisions.labels(*labels).inc(number)


async def overdue(
    waiting: Iterable[Aggregate],
    references: References,
    metrics: AssignmentMetrics,
    unit: Unit,
    outlook: Outlook | None = None,
) -> None:
    """Route locked items whose prediction did not come in time."""
    before = {one.key: one for one in waiting}
    after = {}
    for key, one in before.items():  # without a prediction nothing is accepted, so no certificate is needed
        context = context_of(references, key[0], unit, outlook=outlook)
        after[key], said = decide(one, context, draws_of(*key), overdue=True)
        publish(said, unit, metrics)
    await save(unit.connection, before, after)


def no_project(project_id: str) -> str:
    """What to say of an unknown project."""
    return f"project {project_id!r} is unknown; apply its project file, then replay the dead letter"


def pinned_of(asked: Round, references: References, now: datetime) -> Pinned | None:
    """Policy and versions of a round; the project's current ones where the round's are unknown. None: no project."""
    spec, version = references.projects.spec(asked.project_id, asked.project_version), asked.project_version
    if spec is None:
        current = references.projects.current(asked.project_id)
        if current is None:
            return None
        spec, version = current.spec, current.version
    return Pinned(spec.policy_of(asked.slice), version, asked.guideline_version, asked.item_created_at or now)


def exhaust(asked: Round, pinned: Pinned, unit: Unit, metrics: AssignmentMetrics) -> Round:
    """Tell qc that nobody is left for a round; returns the round, closed for answers."""
    unit.emit(ANNOTATIONS, exhausted(asked, pinned, unit.now))
    metrics.decisions.labels(asked.project_id, "exhausted").inc()
    return replace(asked, exhausted=True)
