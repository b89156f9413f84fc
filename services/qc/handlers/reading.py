"""What a batch is read by: the project versions that it names, and the present names of classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.qc.domain.fold import Context, Version
from services.qc.domain.scale import scale_of
from shared.bus.records import Received
from shared.bus.references import Naming, References
from shared.events import Annotation, Label, in_present_names
from shared.labels import SAME, fits

E = TypeVar("E", Annotation, Label)


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment of the reference topics, which a batch keeps to its end."""

    contexts: Mapping[Version, Context]
    naming: Naming


async def look_up(references: References, events: Iterable[Annotation | Label]) -> None:
    """Read the projects' topic on where an event names a version, or an answer a class, that is not known yet."""
    projects = references.projects
    for event in events:
        spec = projects.spec(event.project_id, event.project_version)
        value = None if event.value is None else projects.names(event.project_id).value(event.value)
        if spec is None or (isinstance(event, Annotation) and value is not None and not fits(value, spec.label)):
            await projects.table.refresh()
            return


def reading(
    references: References,
    versions: Iterable[Version],
    quarantined: Mapping[str, frozenset[str]] | None = None,
    doubled: Mapping[str, Mapping[str, int]] | None = None,
) -> Reading:
    """What each project version says, as known now; a version that is unknown is absent."""
    projects, guidelines = references.projects, references.guidelines
    found = {}
    for project, version in set(versions):
        spec, names = projects.spec(project, version), projects.names(project)
        if spec is not None:
            numbers = range(1, guidelines.current(project) + 1)
            texts = {n: text for n in numbers if (text := guidelines.version(project, n)) is not None}
            found[project, version] = Context(
                scale_of(spec.label),
                spec.cost,
                {n: frozenset(map(names.name, text.touched_classes)) for n, text in texts.items()},
                (quarantined or {}).get(project, frozenset()),
                (doubled or {}).get(project, {}),
                projects.named_since(project),
            )
    return Reading(found, projects.naming)


def named(batch: Sequence[Received[E]], naming: Naming) -> Sequence[Received[E]]:
    """The batch in present names; its records stay as they came."""
    if not naming:
        return batch
    return [Received(in_present_names(one.event, naming.get(one.event.project_id, SAME)), one.record) for one in batch]
