"""A record of a topic that you already have -> an item, a prediction, or both, by the project file alone."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import ValidationError

from services.prelabel.domain.along import Along, along_of
from services.prelabel.domain.postprocess import label_value
from services.prelabel.domain.records import SourceRecord, document, refuse
from shared.errors import ConfigurationError, PoisonMessage, Reason
from shared.events import Content, Item, Mapping, Origin, Prediction, ProjectSpec, Source, entropy
from shared.events.items import FeaturesContent, JsonContent, MediaContent, Metadata, TextContent
from shared.events.projects import DataKind
from shared.labels import names_of

MILLISECONDS_FROM = 1e11
EXTERNAL = "external"
_CONTENT_PATHS: dict[DataKind, tuple[str, ...]] = {
    "text": ("text",),
    "features": ("features",),
    "image": ("uri", "data"),
    "audio": ("uri", "data"),
    "video": ("uri", "data"),
    "json": ("fields",),
}


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one record becomes. Neither: the sampling left it out."""

    item: Item | None = None
    prediction: Prediction | None = None


def uniform(*parts: str) -> float:
    """A number in [0, 1) that depends on nothing but the parts: a replay draws the same."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / float(1 << 56)


def _compile(name: str, expression: str) -> Any:
    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        message = str(error).splitlines()[0]
        raise ConfigurationError(f"map.{name}: {expression!r} is not a JMESPath expression: {message}") from error


def check_mapping(spec: ProjectSpec, source: Source) -> None:
    """Whether a source can ever work.

    Raises:
        ConfigurationError: an expression does not parse, or nothing is mapped to the project's kind of content.
    """
    Mapper(spec, source)


class Mapper:
    """The compiled mapping of one source. Raises ConfigurationError where it can never work."""

    def __init__(self, spec: ProjectSpec, source: Source) -> None:
        self._spec = spec
        self._source = source
        mapping = source.map
        names = [name for name in Mapping.model_fields if name != "metadata" and getattr(mapping, name) is not None]
        self._paths = {name: _compile(name, getattr(mapping, name)) for name in names}
        self._metadata = {name: _compile(f"metadata.{name}", path) for name, path in mapping.metadata.items()}
        wanted = _CONTENT_PATHS[spec.data]
        if mapping.has_content and not any(name in self._paths for name in wanted):
            raise ConfigurationError(
                f"source {source.name}: the project labels {spec.data}, so map one of {', '.join(wanted)}"
            )

    def map(self, record: SourceRecord) -> Mapped:
        """Map one record.

        Raises:
            PoisonMessage: the record cannot be mapped: why, and which path.
        """
        seen = document(record)
        item_id = self._item_id(seen)
        if uniform("source-sample", self._spec.project, item_id) >= self._source.sample:
            return Mapped()
        try:
            created_at = self._created_at(seen, record.timestamp_ms)
            metadata, origin = self._about(seen), self._origin(record)
            item = self._item(seen, item_id, created_at, metadata, origin) if self._source.map.has_content else None
            if self._source.kind == "items":
                return Mapped(item=item)
            along = along_of(self._spec, metadata, origin)
            return Mapped(item=item, prediction=self._prediction(seen, record, item_id, created_at, along))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            refuse(Reason.UNMAPPABLE, f"{place}: {first['msg']}")

    def _get(self, seen: dict[str, Any], name: str) -> Any:
        path = self._paths.get(name)
        return None if path is None else self._search(path, seen, name)

    def _search(self, path: Any, seen: dict[str, Any], name: str) -> Any:
        try:
            return path.search(seen)
        except (JMESPathError, TypeError, ValueError, RecursionError) as error:
            refuse(Reason.UNMAPPABLE, f"map.{name}: {type(error).__name__} on this record")

    def _item_id(self, seen: dict[str, Any]) -> str:
        found = self._get(seen, "id")
        if isinstance(found, str) and found:
            return found
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        raise PoisonMessage(Reason.UNMAPPABLE, f"map.id: found {_kind(found)}, an id is a string or an integer")

    def _created_at(self, seen: dict[str, Any], timestamp_ms: int) -> datetime:
        found = self._get(seen, "created_at")
        if found is None:
            return datetime.fromtimestamp(max(0, timestamp_ms) / 1000.0, tz=UTC)
        try:
            if isinstance(found, int | float) and not isinstance(found, bool):
                return datetime.fromtimestamp(found / 1000.0 if abs(found) >= MILLISECONDS_FROM else found, tz=UTC)
            if isinstance(found, str):
                parsed = datetime.fromisoformat(found)
                return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        except (ValueError, OverflowError, OSError):
            pass
        raise PoisonMessage(Reason.UNMAPPABLE, "map.created_at: neither ISO 8601 nor (milli)seconds since 1970")

    def _about(self, seen: dict[str, Any]) -> Metadata:
        found = {name: self._search(path, seen, f"metadata.{name}") for name, path in self._metadata.items()}
        return {name: _flat(value) for name, value in found.items()}

    def _origin(self, record: SourceRecord) -> Origin:
        return Origin(
            source=self._source.name,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            sampling_rate=self._source.sample,
        )

    def _item(
        self, seen: dict[str, Any], item_id: str, created_at: datetime, metadata: Metadata, origin: Origin
    ) -> Item:
        return Item(
            project_id=self._spec.project,
            item_id=item_id,
            content=self._content(seen),
            metadata=metadata,
            origin=origin,
            created_at=created_at,
        )

    def _content(self, seen: dict[str, Any]) -> Content:
        kind = self._spec.data
        found = {name: self._get(seen, name) for name in _CONTENT_PATHS[kind]}
        if all(value is None for value in found.values()):
            refuse(Reason.UNMAPPABLE, f"{' and '.join(f'map.{name}' for name in found)}: found nothing")
        if kind == "text":
            return TextContent.model_validate(found, strict=True)
        if kind == "features":
            return FeaturesContent(features=_numbers(found["features"]))
        if kind == "json":
            return JsonContent.model_validate(found, strict=True)
        return MediaContent.model_validate({"kind": kind, **found}, strict=True)

    def _prediction(
        self, seen: dict[str, Any], record: SourceRecord, item_id: str, created_at: datetime, along: Along
    ) -> Prediction:
        distribution = _distribution(self._get(seen, "distribution")) if "distribution" in self._paths else None
        label, confidence = self._get(seen, "label"), self._get(seen, "confidence")
        if distribution is not None:
            label = max(distribution, key=lambda name: distribution[name]) if label is None else label
            confidence = distribution.get(_name(label)) if confidence is None else confidence
        if not isinstance(confidence, int | float) or isinstance(confidence, bool):
            refuse(Reason.UNMAPPABLE, f"map.confidence: found {_kind(confidence)}, not a number")
        for name in (_name(label), *(distribution or ())):
            self._check_class(name)
        shares = None if distribution is None else names_of(self._spec.label).shares(distribution)
        top = sorted(shares.values())[-2:] if shares and len(shares) > 1 else None
        version = self._get(seen, "model_version")
        return Prediction(
            project_id=self._spec.project,
            item_id=item_id,
            value=label_value(_name(label), self._spec.label),
            distribution=shares,
            confidence=float(confidence),
            margin=top[1] - top[0] if top else None,
            entropy=max(0.0, entropy(shares)) if shares else None,
            model_version=EXTERNAL if version is None else str(version),
            source=along.source,
            client=along.client,
            slice=along.slice,
            item_created_at=created_at,
            predicted_at=datetime.fromtimestamp(max(0, record.timestamp_ms) / 1000.0, tz=UTC),
        )

    def _check_class(self, name: str) -> None:
        try:
            label_value(name, self._spec.label)
        except ValueError as error:
            raise PoisonMessage(Reason.UNKNOWN_LABEL, str(error)) from error


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _name(label: object) -> str:
    if isinstance(label, str):
        return label
    if isinstance(label, int | float) and not isinstance(label, bool):
        return f"{label:g}"
    raise PoisonMessage(Reason.UNMAPPABLE, f"map.label: found {_kind(label)}, a class is a string or a number")


def _numbers(found: object) -> tuple[float, ...]:
    if not isinstance(found, list) or any(type(number) not in (int, float) for number in found):
        refuse(Reason.UNMAPPABLE, "map.features: not a flat array of numbers")
    return tuple(found)


def _flat(value: object) -> str | float | bool | None:
    """Metadata holds plain values; anything nested is kept as its JSON text."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _distribution(found: object) -> dict[str, float]:
    if not isinstance(found, dict) or not found:
        refuse(Reason.UNMAPPABLE, f"map.distribution: found {_kind(found)}, not an object of class to probability")
    for name, p in found.items():
        if type(p) not in (int, float):
            refuse(Reason.UNMAPPABLE, f"map.distribution.{name[:50]}: not a number")
    return {str(name): float(p) for name, p in found.items()}
