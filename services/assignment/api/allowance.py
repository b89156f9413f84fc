"""How much, and what first, a person may be given: limits of their own, and gold before anything else for the new."""

from services.assignment.api.desk import Desk
from services.assignment.store.lanes import count_today
from services.assignment.store.leases import count_gold, list_gold_seen
from services.assignment.store.people import Person
from shared.bus.references import CurrentProject

REMEMBERED = 100_000


class Allowance:
    """Costs a statement only for people with a daily limit, and for those who are not known to be past their start."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._past: set[tuple[str, str]] = set()

    async def most(self, person: Person) -> int:
        """Leases that the person may hold at once; none once the day's answers are given."""
        most = min(self._desk.settings.max_held_leases, person.max_open or self._desk.settings.max_held_leases)
        if person.daily_answers is None:
            return most
        async with self._desk.service.database.pool.acquire(timeout=10) as connection:
            today = await count_today(connection, person.id)
        return max(0, min(most, person.daily_answers - today))

    async def gold_first(self, person: Person, project: CurrentProject) -> int | None:
        """How many gold items the person may be given before anything else; None for nobody new.

        New is who has not answered as many as the policy wants, while there are some that they have not had or still
        hold. Once somebody is past their start in a project they stay so, whatever a later policy asks.
        """
        wanted = project.spec.policy.gold.calibration
        place = (person.id, project.project_id)
        known = [one.item_id for one in self._desk.references.gold_items.of(project.project_id)]
        if wanted == 0 or not known or place in self._past:
            return None
        async with self._desk.service.database.pool.acquire(timeout=10) as connection:
            answered, held = await count_gold(connection, person.id, project.project_id)
            if answered < wanted:
                seen = await list_gold_seen(connection, person.id, project.project_id, known)
                new = held > 0 or not seen.issuperset(known)  # where there is no more they begin with what there was
                return max(0, wanted - answered - held) if new else None
        if len(self._past) >= REMEMBERED:
            self._past.clear()
        self._past.add(place)
        return None
