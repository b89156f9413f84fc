"""Links to media, as tasks carry them."""

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.assignment.domain.links import Link, link
from services.assignment.settings import AssignmentSettings
from shared.clock import utc_now
from shared.events import ProjectSpec

MEDIA = frozenset({"image", "audio", "video"})
LONGEST = 20_000
"""Characters of a content that is looked at for a URI; one that is longer holds the media themselves."""


@dataclass(slots=True)
class Links:
    """Makes and knows links. A key that is not set is drawn at the start, which suits one replica."""

    key: bytes
    good_s: float

    @classmethod
    def of(cls, settings: AssignmentSettings) -> "Links":
        return cls(settings.media_link_key() or secrets.token_bytes(32), settings.media_link_s)

    def of_task(self, lease_id: UUID, spec: ProjectSpec, content: str, now: datetime | None = None) -> Link | None:
        """The link of a task whose content, JSON, is a URI; None where it is not.

        Args:
            lease_id: of the task.
            spec: of its project.
            content: as stored.
            now: absent: the clock's.
        """
        if spec.data not in MEDIA or len(content) > LONGEST or not json.loads(content).get("uri"):
            return None
        return link(self.key, lease_id, (now or utc_now()) + timedelta(seconds=self.good_s))


def link_body(found: Link | None) -> dict[str, Any] | None:
    """As it stands in a task."""
    return None if found is None else {"path": found.path, "expires_at": found.expires_at.isoformat()}
