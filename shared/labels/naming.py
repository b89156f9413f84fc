"""Classes that were renamed: values, symbols and distributions of before, in the present names.

A project's label schema keeps every rename it ever had, so whoever knows it reads old and new alike. Giving present
names to what has them already changes nothing, and a later map gives the same after an earlier one as alone: services
and replicas that learn of a rename at different moments end with the same facts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from shared.labels.schema import ChoiceSchema, ChoicesSchema, LabelSchema
from shared.labels.values import Choice, Choices, LabelValue

JOINED = "|"
N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Names:
    """The present name of each former one.

    Attributes:
        present: former name -> the one that it has now, chains followed.
        sets: symbols may be several classes, joined by `|`.
    """

    present: Mapping[str, str] = field(default_factory=dict)
    sets: bool = False

    def __bool__(self) -> bool:
        return bool(self.present)

    def name(self, name: str) -> str:
        """A class by its present name."""
        return self.present.get(name, name)

    def former(self, name: str) -> tuple[str, ...]:
        """What a class was called before, sorted."""
        return tuple(sorted(old for old, new in self.present.items() if new == name))

    def symbol(self, symbol: str) -> str:
        """A value's symbol (see `category`) in present names."""
        if not self.sets or JOINED not in symbol:
            return self.present.get(symbol, symbol)
        return JOINED.join(sorted({self.name(part) for part in symbol.split(JOINED)}))

    def value(self, value: LabelValue) -> LabelValue:
        """A label in present names; the same object where it has them already."""
        match value:
            case Choice(choice=name) if name in self.present:
                return Choice(choice=self.present[name])
            case Choices(choices=names) if not self.present.keys().isdisjoint(names):
                return Choices(choices=tuple(self.name(name) for name in names))
            case _:
                return value

    def shares(self, shares: Mapping[str, N]) -> dict[str, N]:
        """A distribution, or counts, by symbol; those of one present name are added up."""
        found: dict[str, N] = {}
        for symbol, share in shares.items():
            named = self.symbol(symbol)
            found[named] = found[named] + share if named in found else share
        return found

    def schema(self, schema: LabelSchema) -> LabelSchema:
        """A schema of before with its classes as they are called now; it names no renames of its own any more."""
        if not isinstance(schema, ChoiceSchema | ChoicesSchema):
            return schema
        classes = tuple(dict.fromkeys(self.name(name) for name in schema.classes))
        return schema if classes == schema.classes else schema.model_copy(update={"classes": classes, "renamed": {}})


SAME = Names()
"""Nothing was ever renamed."""


def names_of(schema: LabelSchema) -> Names:
    """The names that a project's newest schema says."""
    if not isinstance(schema, ChoiceSchema | ChoicesSchema) or not schema.renamed:
        return SAME
    present = {name: _last(name, schema.renamed) for name in schema.renamed}
    return Names(present, isinstance(schema, ChoicesSchema))


def _last(name: str, renamed: Mapping[str, str]) -> str:
    *_, last = _chain(name, renamed)
    return last


def _chain(name: str, renamed: Mapping[str, str]) -> Iterator[str]:
    while name in renamed:  # the schema has no cycles
        name = renamed[name]
        yield name


def unkept(versions: Sequence[LabelSchema], after: LabelSchema) -> str | None:
    """What is wrong with the renames of a schema that is to follow others; None where nothing is.

    Renames are for good: what was answered before is read by them. A new name is one that no class ever had.

    Args:
        versions: of the project, oldest first.
        after: the new one.
    """
    old = getattr(versions[-1], "renamed", {}) if versions else {}
    new, classes = getattr(after, "renamed", {}), getattr(after, "classes", ())
    for name, to in sorted(old.items()):
        if name in classes:
            return f"{name!r} was renamed {to!r}, and cannot be a class again: what was answered before would be it too"
        if new.get(name) != to:
            return f"{name!r} was renamed {to!r}; keep that entry: what was answered before is read by it"
    ever = {name for schema in versions for name in getattr(schema, "classes", ())}
    for name, to in sorted(new.items() - old.items()):
        if to in ever:
            return f"{to!r} is or was a class; a rename makes no two classes one, so give a name that none ever had"
        if _last(name, new) not in classes:
            return f"{name!r} is renamed {to!r}, which is not among the classes"
    return None
