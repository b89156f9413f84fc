"""What a replica knows of a project besides its items: how its people err, and what it queued lately."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from services.assignment.domain.priority import Confusions
from services.assignment.domain.spread import Surroundings
from services.assignment.store.measurements import list_of_kind
from shared.bus.references import References
from shared.bus.unit import Unit
from shared.events import Skill
from shared.labels import SAME, Names

FRESH_S = 30.0
"""How long the people's confusions are believed."""
PRIOR = 4.0
"""Answers of a perfect person that each class begins with."""


class Outlook:
    """Held in memory, per project; grows with projects only."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._around: defaultdict[str, Surroundings] = defaultdict(Surroundings)
        self._confusions: dict[str, tuple[float, Confusions]] = {}

    def around(self, project_id: str) -> Surroundings | None:
        """What was queued lately; None where the order does not ask."""
        return self._around[project_id] if self._asks(project_id, "looks_around") else None

    def confusions(self, project_id: str) -> Confusions:
        """How the project's people err, as far as it was read."""
        return self._confusions.get(project_id, (0.0, {}))[1]

    async def refresh(self, projects: Iterable[str], unit: Unit) -> None:
        """Read how people err, where the order asks; a statement per project each half minute."""
        now = time.monotonic()
        for project_id in projects:
            if self._asks(project_id, "disagreement") and self._confusions.get(project_id, (0.0,))[0] < now:
                found = await list_of_kind(unit.connection, project_id, "skill")
                skills = [Skill.model_validate_json(one.body) for one in found]
                self._confusions[project_id] = (
                    now + FRESH_S,
                    confusions_of(skills, self._references.projects.names(project_id)),
                )

    def _asks(self, project_id: str, what: str) -> bool:
        project = self._references.projects.current(project_id)
        return project is not None and any(one.order and getattr(one.order, what) for one in project.spec.policies)


def confusions_of(skills: Iterable[Skill], names: Names = SAME) -> Confusions:
    """P(answer | truth) over all people, each answer counting once; every class begins with some right ones.

    In present names of classes.
    """
    counted: Counter[tuple[str, str]] = Counter()
    for skill in skills:
        for cell in skill.confusion:
            counted[names.symbol(cell.truth), names.symbol(cell.answered)] += cell.answers
    found: dict[str, Mapping[str, float]] = {}
    for truth in {truth for truth, _ in counted}:
        row = {answer: float(n) for (given, answer), n in counted.items() if given == truth}
        row[truth] = row.get(truth, 0.0) + PRIOR
        total = sum(row.values())
        found[truth] = {answer: n / total for answer, n in row.items()}
    return found
