"""Whether a changed event can replace the released one inside the same topic version.

Two JSON Schemas in, the list of changes out. A **break** refuses or misreads records that are already in the topic,
or takes away what a reader relies on: it needs a new topic version. A **widening** (a new class of a union, a new enum
value, a larger range) is no break, but its readers must be deployed before its writers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from shared.topics import BY_NAME

Schema = dict[str, Any]
Severity = Literal["break", "widening"]

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
EXACT = ("pattern", "format", "x-key", "x-type")
INNER = ("items", "additionalProperties", "propertyNames")
MAX_DEPTH = 40


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One difference; `path` is the field, dotted, `[]` for the items of a list, `{}` for the values of an object."""

    severity: Severity
    path: str
    what: str
    topic: str = ""

    def __str__(self) -> str:
        readers = ", ".join(BY_NAME[self.topic].readers) if self.topic in BY_NAME else "nobody"
        return f"{self.severity}: {self.topic} {self.path or '(body)'}: {self.what}; read by {readers}"


def compare(old: Schema, new: Schema, topic: str = "") -> list[Change]:
    """Every change from the released schema to the new one, sorted, breaks first.

    Args:
        old: the released JSON Schema of an event.
        new: the schema of the same event now.
        topic: its topic's name, for the report.
    """
    found = set(_Comparison(old, new).schemas(old, new, "", 0))
    return sorted(replace(change, topic=topic) for change in found)


def breaks(changes: list[Change]) -> list[Change]:
    return [change for change in changes if change.severity == "break"]


def _break(path: str, what: str) -> Change:
    return Change("break", path, what)


def _widening(path: str, what: str) -> Change:
    return Change("widening", path, what)


def _variants(schema: Schema) -> list[Schema]:
    for key in ("oneOf", "anyOf"):
        if key in schema:
            found: list[Schema] = schema[key]
            return found
    return [schema]


def _values(schema: Schema) -> list[Any] | None:
    """The closed list of values, or None where any value of the type may stand."""
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _name(schema: Schema) -> str:
    return str(schema.get("title") or schema.get("const") or schema.get("type") or "any value")


class _Comparison:
    """Holds the two documents, so that `$ref` can be followed in each."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.old = old
        self.new = new

    def _follow(self, root: Schema, schema: Schema) -> Schema:
        while "$ref" in schema:
            found = root
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        return schema

    def schemas(self, old: Schema, new: Schema, path: str, depth: int) -> Iterator[Change]:
        """Compare two schemas that stand in the same place."""
        if depth > MAX_DEPTH:
            return
        old, new = self._follow(self.old, old), self._follow(self.new, new)
        if "discriminator" in old or "discriminator" in new:
            yield from self._tagged(old, new, path, depth)
        elif len(_variants(old)) > 1 or len(_variants(new)) > 1:
            yield from self._untagged(old, new, path, depth)
        else:
            yield from self._single(old, new, path, depth)

    def _tagged(self, old: Schema, new: Schema, path: str, depth: int) -> Iterator[Change]:
        tags = [schema.get("discriminator", {}) for schema in (old, new)]
        if tags[0].get("propertyName") != tags[1].get("propertyName"):
            names = [repr(tag.get("propertyName")) for tag in tags]
            yield _break(path, f"discriminator changed from {names[0]} to {names[1]}")
            return
        before, after = tags[0]["mapping"], tags[1]["mapping"]
        for value in sorted(before):
            if value not in after:
                yield _break(path, f"kind {value!r} removed")
            else:
                inner = ({"$ref": before[value]}, {"$ref": after[value]})
                yield from self.schemas(*inner, f"{path}<{value}>", depth + 1)
        for value in sorted(set(after) - set(before)):
            yield _widening(path, f"kind {value!r} added: deploy the readers first")

    def _untagged(self, old: Schema, new: Schema, path: str, depth: int) -> Iterator[Change]:
        """Each old variant needs a new one that takes all it took; a new variant that no old one matches is wider."""
        unmatched = list(_variants(new))
        for variant in _variants(old):
            tried = [(list(self.schemas(variant, other, path, depth + 1)), other) for other in _variants(new)]
            changes, match = min(tried, key=lambda pair: (len(breaks(pair[0])), len(pair[0])))
            yield from changes
            if match in unmatched:
                unmatched.remove(match)
        for variant in unmatched:
            what = _name(self._follow(self.new, variant))
            yield _widening(path, f"{what} is accepted now: deploy the readers first")

    def _single(self, old: Schema, new: Schema, path: str, depth: int) -> Iterator[Change]:
        yield from _types(old, new, path)
        yield from _closed_values(old, new, path)
        yield from _bounds(old, new, path)
        for key in EXACT:
            if new.get(key) != old.get(key):
                kind = _widening if key not in new else _break
                yield kind(path, f"{key} changed from {old.get(key)!r} to {new.get(key)!r}")
        for key in INNER:
            if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
                place = path + ("[]" if key == "items" else "{}")
                yield from self.schemas(old[key], new[key], place, depth + 1)
        for number, (before, after) in enumerate(
            zip(old.get("prefixItems", ()), new.get("prefixItems", ()), strict=False)
        ):
            yield from self.schemas(before, after, f"{path}[{number}]", depth + 1)
        if "properties" in old or "properties" in new:
            yield from self._properties(old, new, path, depth)

    def _properties(self, old: Schema, new: Schema, path: str, depth: int) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        must, must_now = set(old.get("required", ())), set(new.get("required", ()))
        for name in before:
            place = f"{path}.{name}".lstrip(".")
            if name not in after:
                twins = [other for other in after if other not in before and _same(before[name], after[other])]
                yield _break(place, f"field removed{f' (renamed to {twins[0]}?)' if twins else ''}")
                continue
            if name in must_now - must:
                yield _break(place, "field became required")
            if name in must - must_now:
                yield _widening(place, "field became optional: deploy the readers first")
            yield from self.schemas(before[name], after[name], place, depth + 1)
        for name in after:
            if name not in before and name in must_now:
                yield _break(f"{path}.{name}".lstrip("."), "new field is required; give it a default")


def _same(old: Schema, new: Schema) -> bool:
    drop = {"title", "description"}
    return {k: v for k, v in old.items() if k not in drop} == {k: v for k, v in new.items() if k not in drop}


def _types(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    before, after = old.get("type"), new.get("type")
    if before == after:
        return
    if after is None or (before, after) == ("integer", "number"):
        yield _widening(path, f"type widened from {before!r} to {after or 'any'!r}: deploy the readers first")
    else:
        yield _break(path, f"type changed from {before or 'any'!r} to {after!r}")


def _closed_values(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    before, after = _values(old), _values(new)
    if before is None and after is not None:
        yield _break(path, f"narrowed to the values {after}")
    elif before is not None and after is None:
        yield _widening(path, "any value is accepted now: deploy the readers first")
    elif before is not None and after is not None:
        for value in before:
            if value not in after:
                yield _break(path, f"value {value!r} removed")
        for value in after:
            if value not in before:
                yield _widening(path, f"value {value!r} added: deploy the readers first")


def _bounds(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    for key in (*LOWER, *UPPER):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        narrower = after is not None and (before is None or (after > before) == (key in LOWER))
        if narrower:
            yield _break(path, f"{key} narrowed from {before} to {after}")
        else:
            yield _widening(path, f"{key} widened from {before} to {after}: deploy the readers first")
