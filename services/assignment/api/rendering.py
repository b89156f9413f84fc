"""Tasks as JSON. Contents are stored as JSON and go out as they are, so that nothing large is parsed on the way."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from services.assignment.api.desk import Desk
from services.assignment.api.links import link_body
from services.assignment.domain.guess import Guess
from services.assignment.domain.links import Link
from shared.events import ProjectSpec


def task(
    lease_id: UUID,
    given: tuple[int, Any],
    spec: ProjectSpec,
    version: int,
    *,
    content: str,
    guess: Guess | None,
    media: Link | None,
) -> str:
    """One task. The same keys for gold and for the stream: nothing tells them apart.

    Args:
        lease_id: of the lease.
        given: its fencing token and expiry.
        spec: the project, in the version that the task stands on.
        version: that version.
        content: as stored.
        guess: what the person may see of the model.
        media: where to get what the content points at, if it points at anything.
    """
    proposal = None
    if guess is not None and guess.value is not None:
        proposal = {
            "value": guess.value.model_dump(mode="json"),
            "confidence": guess.confidence,
            "object_scores": guess.object_scores,
        }
    head = {
        "lease_id": str(lease_id),
        "fencing_token": given[0],
        "expires_at": given[1].isoformat(),
        "project": spec.project,
        "project_version": version,
        "proposal": proposal,
        "media": link_body(media),
    }
    label = spec.label.__pydantic_serializer__.to_json(spec.label).decode()
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "label": {label}, "content": {content}}}'


def response(tasks: Iterable[str], projects: Iterable[str], desk: Desk) -> bytes:
    """The response of `next`."""
    briefs = json.dumps({name: _brief(name, desk) for name in projects}, ensure_ascii=False)
    return f'{{"tasks": [{", ".join(tasks)}], "projects": {briefs}}}'.encode("utf-8", "replace")


def _brief(project_id: str, desk: Desk) -> dict[str, Any]:
    project = desk.project(project_id)
    version = desk.references.guidelines.current(project_id)
    guideline = desk.references.guidelines.version(project_id, version) if version else None
    return {
        "title": project.spec.title if project is not None else "",
        "instructions": project.spec.instructions if project is not None else "",
        "guideline_version": version,
        "guideline": guideline.markdown if guideline is not None else "",
        "examples": [one.model_dump() for one in guideline.examples] if guideline is not None else [],
    }
