"""Where an item came from and what sent it: along what monitor splits a change to find its cause."""

from typing import NamedTuple

from shared.events import Origin, ProjectSpec
from shared.events.items import Metadata

LONGEST = 200
KEY = "metadata."


class Along(NamedTuple):
    """The values of one item; None: it has none."""

    source: str | None = None
    client: str | None = None
    slice: str | None = None


NOWHERE = Along()


def along_of(spec: ProjectSpec, metadata: Metadata, origin: Origin | None) -> Along:
    """The source and the client of an item, by the fields that its project names for them, and its slice."""
    named, own = spec.drift, _value("slice", spec, metadata, origin)
    if named.source is not None:
        source = _value(named.source, spec, metadata, origin)
    else:
        source = _value("source", spec, metadata, origin) or own
    return Along(source, _value(named.client, spec, metadata, origin), own)


def _value(field: str, spec: ProjectSpec, metadata: Metadata, origin: Origin | None) -> str | None:
    if field.startswith(KEY):
        found = metadata.get(field.removeprefix(KEY))
        text = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        return text[:LONGEST] or None
    if field == "slice":
        return spec.slice_of(metadata, origin.source if origin is not None else None) if spec.slices else None
    if origin is None:
        return None
    if field == "source":
        return origin.source
    return origin.topic if field == "topic" else f"{origin.topic}/{origin.partition}"[-LONGEST:]
