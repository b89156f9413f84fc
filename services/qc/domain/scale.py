"""How the answers of a project compare: a closed list of classes, an open set of values, or numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.qc.domain.fusing.engine import Fuser, fuser_of
from services.qc.domain.kinds.tolerance import right as right_of
from shared.labels import (
    ChoiceSchema,
    ChoicesSchema,
    LabelSchema,
    LabelValue,
    MixedSchema,
    Rating,
    RatingSchema,
    category,
)

MAX_OPEN = 1000
RANGE_SHARE = 0.05


class Kind(StrEnum):
    """What an annotator model can be made of."""

    CLOSED = "closed"
    OPEN = "open"
    NUMERIC = "numeric"
    FUSED = "fused"


@dataclass(frozen=True, slots=True)
class Scale:
    """What answers to one project can be.

    Attributes:
        kind: closed (choice): every class can be the truth, confusions are kept per class; open (choices): only equal
            or not, as no list of all values exists; numeric (rating): near or not; fused (objects, words, pixels): what
            people gave is fused, and near or not.
        classes: the classes of a closed scale, in the project's order.
        size: how many values an open scale has, at most MAX_OPEN.
        tolerance: two numbers this near are the same opinion.
        ordered: the classes stand from lowest to highest.
        low, high: of numbers.
        fuser: of a fused scale; parts: of one that is a mix of kinds, instead.
    """

    kind: Kind
    classes: tuple[str, ...] = ()
    size: int = MAX_OPEN
    tolerance: float = 0.0
    stepped: bool = False
    ordered: bool = False
    low: float = field(default=-math.inf, compare=False)
    high: float = field(default=math.inf, compare=False)
    fuser: Fuser | None = field(default=None, compare=False)
    parts: Mapping[str, "Scale"] = field(default_factory=dict, compare=False)


def _subsets(classes: int, low: int, high: int) -> int:
    total = 0
    for number in range(low, min(high, classes) + 1):
        total += math.comb(classes, number)
        if total >= MAX_OPEN:
            return MAX_OPEN
    return max(total, 2)


def scale_of(schema: LabelSchema) -> Scale:
    """The scale of a project's label schema.

    A rating's tolerance is its step, or 5 % of the range where any number is allowed.
    """
    match schema:
        case ChoiceSchema():
            return Scale(Kind.CLOSED, schema.classes, len(schema.classes), ordered=schema.ordered)
        case ChoicesSchema():
            return Scale(Kind.OPEN, size=_subsets(len(schema.classes), schema.min, schema.max))
        case RatingSchema():
            tolerance = schema.step or (schema.max - schema.min) * RANGE_SHARE
            stepped = schema.step is not None
            return Scale(Kind.NUMERIC, tolerance=tolerance, stepped=stepped, low=schema.min, high=schema.max)
        case MixedSchema():
            return Scale(Kind.FUSED, parts={name: scale_of(part) for name, part in sorted(schema.parts.items())})
        case _:
            return Scale(Kind.FUSED, fuser=fuser_of(schema))


def symbol_of(value: LabelValue) -> str:
    """The value as one symbol."""
    return category(value)


def number_of(value: LabelValue) -> float | None:
    """The number of a rating, else None."""
    return value.rating if isinstance(value, Rating) else None


def same(left: LabelValue, right: LabelValue, scale: Scale) -> bool:
    """Whether two values are one opinion: equal, or within the tolerance of numbers or of their kind."""
    if isinstance(left, Rating) and isinstance(right, Rating):
        return abs(left.rating - right.rating) <= scale.tolerance * (1 + 1e-9)
    return symbol_of(left) == symbol_of(right) or (scale.kind is Kind.FUSED and bool(right_of(left, right)))
