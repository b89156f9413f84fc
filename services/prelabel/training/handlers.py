"""Topics in, writes to the kept file out. Only projects with a `training` section are kept."""

from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection
from typing import TypeVar

from services.prelabel.training.consumer import Write
from services.prelabel.training.store.intake import (
    OF_DRIFT,
    Alarm,
    add_alarms,
    add_guesses,
    add_items,
    add_labels,
    settle,
)
from shared.bus.records import Received
from shared.bus.references import References
from shared.events import (
    Certificate,
    DriftAlarm,
    Event,
    Item,
    Label,
    Path,
    Quality,
    Route,
    RouteState,
    ShadowPrediction,
)

E = TypeVar("E", bound=Event)
PEOPLE = "gold"
"""The signal of drift that is about one person's answers."""
NOT_COMING = {RouteState.SAMPLED_OUT, RouteState.UNLABELABLE, RouteState.UNRESOLVED}


def nothing(_: Connection) -> None:
    """A batch that concerns no project of ours."""


class Handlers:
    """One for each topic; each gives what is to be written."""

    def __init__(self, references: References) -> None:
        self._references = references

    async def _ours(self, batch: Sequence[Received[E]], projects: Sequence[str]) -> list[E]:
        known = await self._references.projects.known(set(projects))
        trained = {name for name, project in known.items() if project.spec.training is not None}
        return [one.event for one, project in zip(batch, projects, strict=True) if project in trained]

    async def on_items(self, batch: Sequence[Received[Item]]) -> Write:
        """Contents are kept until their items are labelled, or are known not to be."""
        items = await self._ours(batch, [one.event.project_id for one in batch])
        return partial(add_items, items=items) if items else nothing

    async def on_labels(self, batch: Sequence[Received[Label]]) -> Write:
        """Labels that people gave; those of the model teach it nothing."""
        found = await self._ours(batch, [one.event.project_id for one in batch])
        given = [one for one in found if one.path is not Path.AUTO]
        automatic = [one for one in found if one.path is Path.AUTO]

        def write(connection: Connection) -> None:
            add_labels(connection, given)
            for one in automatic:
                settle(connection, [(one.project_id, one.item_id)], one.labelled_at)

        return write if found else nothing

    async def on_shadow_predictions(self, batch: Sequence[Received[ShadowPrediction]]) -> Write:
        found = await self._ours(batch, [one.event.project_id for one in batch])
        return partial(add_guesses, found=found) if found else nothing

    async def on_routes(self, batch: Sequence[Received[Route]]) -> Write:
        found = await self._ours(batch, [one.event.project_id for one in batch])
        over = [one for one in found if one.state in NOT_COMING]

        def write(connection: Connection) -> None:
            for one in over:
                settle(connection, [(one.project_id, one.item_id)], one.routed_at)

        return write if over else nothing

    async def on_quality(self, batch: Sequence[Received[Quality]]) -> Write:
        """What asks for a training: a certificate that is withdrawn, and drift of what the model sees or is told."""
        found = await self._ours(batch, [one.event.project_id for one in batch])
        alarms = [alarm for one in found if (alarm := alarm_of(one)) is not None]
        return partial(add_alarms, alarms=alarms) if alarms else nothing


def alarm_of(event: Quality) -> Alarm | None:
    """The alarm that a measurement raises; drift is one alarm however often it is told.

    What is wrong with a person asks for no model, nor does what has moved by little or for the better.
    """
    measured, at = event.measurement, event.measured_at
    if isinstance(measured, Certificate) and measured.breaches:
        return Alarm(event.project_id, str(event.event_id), measured.model_version, measured.generation, at)
    if not isinstance(measured, DriftAlarm) or measured.state not in ("open", "updated"):
        return None
    if measured.severity == "info" or measured.subject.signal == PEOPLE:
        return None
    return Alarm(event.project_id, str(measured.alarm_id), measured.reference.model_version, OF_DRIFT, at)
