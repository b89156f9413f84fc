"""The versions of projects as their topic holds them, and what a new file would change. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.errors import ConfigurationError
from shared.events import ProjectPointer, ProjectSpec, ProjectVersion
from shared.labels import names_of, unkept

ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class ProjectHistory:
    """All versions of one project and its pointer."""

    project_id: str
    versions: Mapping[int, ProjectVersion] = field(default_factory=dict)
    pointer: ProjectPointer | None = None

    @property
    def current(self) -> ProjectVersion | None:
        return self.versions.get(self.pointer.version) if self.pointer is not None else None

    @property
    def paused(self) -> bool:
        return self.pointer is not None and self.pointer.paused


@dataclass(frozen=True, slots=True)
class Change:
    """One value of the project file that differs."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Application:
    """What applying a file comes to: nothing, or a version and the pointer to it."""

    version: ProjectVersion
    pointer: ProjectPointer | None
    changes: tuple[Change, ...]

    @property
    def unchanged(self) -> bool:
        return self.pointer is None


def fold(events: Iterable[ProjectVersion | ProjectPointer]) -> dict[str, ProjectHistory]:
    """The topic's records, in order, as one history per project. A later record of a key replaces an earlier one."""
    found: dict[str, ProjectHistory] = {}
    for event in events:
        history = found.get(event.project_id, ProjectHistory(event.project_id))
        if isinstance(event, ProjectPointer):
            found[event.project_id] = replace(history, pointer=event)
        else:
            found[event.project_id] = replace(history, versions={**history.versions, event.version: event})
    return found


def plan(history: ProjectHistory, spec: ProjectSpec, *, now: datetime) -> Application:
    """What applying `spec` comes to. The same spec as the current one changes nothing; a pause is kept.

    Raises:
        ConfigurationError: it takes back a rename of a class, or renames one to what is or was another.
    """
    current = history.current
    if current is not None and current.spec == spec:
        return Application(current, None, ())
    wrong = unkept([one.spec.label for _, one in sorted(history.versions.items())], spec.label)
    if wrong is not None:
        raise ConfigurationError(f"{spec.project}: label.renamed: {wrong}")
    number = max(history.versions, default=0) + 1
    return Application(
        ProjectVersion(project_id=spec.project, version=number, spec=spec, applied_at=now),
        ProjectPointer(project_id=spec.project, version=number, paused=history.paused, applied_at=now),
        compare(current.spec if current is not None else None, spec),
    )


def compare(before: ProjectSpec | None, after: ProjectSpec) -> tuple[Change, ...]:
    """Every value that differs, by its path in the file, sorted."""
    old = {} if before is None else _flat(before.model_dump(mode="json"))
    new = _flat(after.model_dump(mode="json"))
    return tuple(
        Change(path, old.get(path, ABSENT), new.get(path, ABSENT))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def closes_rounds(before: ProjectSpec | None, after: ProjectSpec) -> tuple[str, ...]:
    """Classes that the new version no longer has: their open rounds are closed as superseded and reopened."""
    if before is None:
        return ()
    return tuple(sorted(set(map(names_of(after.label).name, _classes(before))) - set(_classes(after))))


def renames(before: ProjectSpec | None, after: ProjectSpec) -> tuple[tuple[str, str], ...]:
    """(former, present) names of classes that the new version renames."""
    if before is None:
        return ()
    name = names_of(after.label).name
    return tuple((old, name(old)) for old in _classes(before) if name(old) != old)


def _classes(spec: ProjectSpec) -> tuple[str, ...]:
    return tuple(getattr(spec.label, "classes", ()))


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Nested values by dotted path; lists of plain values stay together, absent optional values are left out."""
    if isinstance(value, dict):
        inner = {f"{path}.{name}" if path else name: part for name, part in value.items()}
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        inner = {f"{path}[{number}]": part for number, part in enumerate(value)}
    elif value is None or value in ([], ""):
        return {}
    else:
        return {path: ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)}
    return {name: text for place, part in inner.items() for name, text in _flat(part, place).items()}
