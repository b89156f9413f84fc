"""Which model serves each project now, and which runs beside it on trial."""

from dataclasses import dataclass

from services.prelabel.domain.questions import Identity
from services.prelabel.store.sessions import LoadedModel


@dataclass(frozen=True, slots=True)
class Target:
    """What should serve: a promotion, read against a version of the project."""

    identity: Identity
    project_version: int


@dataclass(frozen=True, slots=True)
class Slot:
    """One project's place.

    Attributes:
        target: what the topics ask for, once it has been tried.
        model: what serves; an older one where the target was refused; None where there is none to fall back on.
        refusal: why the target does not serve; empty where it does.
        retry_at_s: monotonic seconds from which an unavailable target is tried again; None: never.
    """

    target: Target
    model: LoadedModel | None
    refusal: str = ""
    retry_at_s: float | None = None

    @property
    def why_no_model(self) -> str:
        return f"model {self.target.identity.version} was refused: {self.refusal}"


class LiveModels:
    """The slots of all projects. A swap replaces a slot; who took one before keeps what it took."""

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}
        self._shadows: dict[str, Slot] = {}

    def slot(self, project_id: str) -> Slot | None:
        """What serves a project, if anything was ever asked for."""
        return self._slots.get(project_id)

    def put(self, project_id: str, slot: Slot) -> None:
        """Swap."""
        self._slots[project_id] = slot

    def shadow(self, project_id: str) -> Slot | None:
        """What runs on trial beside the live model, if anything does."""
        return self._shadows.get(project_id)

    def put_shadow(self, project_id: str, slot: Slot | None) -> None:
        """Begin a trial, or end it."""
        if slot is None:
            self._shadows.pop(project_id, None)
        else:
            self._shadows[project_id] = slot
