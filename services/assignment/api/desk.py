"""What every endpoint needs."""

from dataclasses import dataclass

from services.assignment.api.identity import Identities
from services.assignment.api.links import Links
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.media import MediaStore
from shared.bus.references import CurrentProject, References
from shared.runtime.service import Service


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of the service that the API works with."""

    service: Service
    settings: AssignmentSettings
    metrics: AssignmentMetrics
    identities: Identities
    links: Links
    media: MediaStore

    @property
    def references(self) -> References:
        return self.service.references

    def project(self, project_id: str) -> CurrentProject | None:
        """A project as it is now, or None."""
        return self.references.projects.current(project_id)

    def gold_share(self, project: CurrentProject) -> float:
        """The share of leases that are gold in a project, of somebody unknown; 0 where there is no gold."""
        return project.spec.policy.gold.share if self.references.gold_items.of(project.project_id) else 0.0

    async def find_project(self, project_id: str) -> CurrentProject | None:
        """A project, or None; one that is unknown may have been applied a moment ago, so its topic is read to its end.

        Raises:
            RetryLater: Kafka does not answer.
        """
        return self.project(project_id) or (await self.references.projects.known([project_id])).get(project_id)
