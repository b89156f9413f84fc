"""Statements on the certificates that monitor gave."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from services.assignment.domain.routing import Standing, Terms

_TERMS = TypeAdapter(dict[str, Terms])


async def list_certificates(connection: Any, projects: Iterable[str]) -> dict[str, Standing]:
    """The newest certificate of each of these projects that has one."""
    rows = await connection.fetch(
        "SELECT project_id, id, generation, threshold, audit_share, target_error, valid_until,"
        " CASE WHEN version_of = number THEN model_version END AS model_version,"
        " CASE WHEN classes_of = number THEN classes ELSE '{}' END AS classes"
        " FROM certificates WHERE project_id = ANY($1::text[])",
        sorted(projects),
    )
    return {
        row["project_id"]: replace(Standing(*tuple(row)[1:8]), classes=_TERMS.validate_json(row["classes"]))
        for row in rows
    }


async def save_certificates(connection: Any, found: Mapping[str, tuple[int, Standing]]) -> None:
    """Keep those whose number is higher than that of the one at hand."""
    rows = [
        (
            project,
            number,
            one.id,
            one.generation,
            one.threshold,
            one.audit_share,
            one.target_error,
            one.valid_until,
            one.model_version,
            _TERMS.dump_json(dict(one.classes)).decode(),
        )
        for project, (number, one) in sorted(found.items())
    ]
    await connection.execute(
        "INSERT INTO certificates AS c"
        " (project_id, number, id, generation, threshold, audit_share, target_error, valid_until, model_version,"
        " classes, classes_of, version_of)"
        " SELECT *, number, number FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::bigint[], $5::float8[],"
        " $6::float8[], $7::float8[], $8::timestamptz[], $9::text[], $10::text[])"
        " AS n(project_id, number, id, generation, threshold, audit_share, target_error, valid_until, version, classes)"
        " ON CONFLICT (project_id) DO UPDATE SET (number, id, generation, threshold, audit_share, target_error,"
        " valid_until, model_version, classes, classes_of, version_of) = (excluded.number, excluded.id,"
        " excluded.generation, excluded.threshold, excluded.audit_share, excluded.target_error, excluded.valid_until,"
        " excluded.model_version, excluded.classes, excluded.classes_of, excluded.version_of)"
        " WHERE c.number < excluded.number",
        *(list(column) for column in zip(*rows, strict=True)),
    )
