"""What fusing the answers to one item comes to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.labels import LabelValue

LONE = "only one opinion"
NOTHING_LEFT = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """How sure the label is of one object, word, or class of pixels.

    Attributes:
        place: in the value: of the object, the word or the mask; of relations, spans come first.
        existence: P(it is there).
        right_class: P(its class is right).
        extent: P(its extent is right, give or take what people differ by).
        votes: annotators who gave it.
        part: of a mix of kinds, the one that it is in.
        about: what the existence is of, where it is no object.
    """

    place: int
    existence: float
    right_class: float = 1.0
    extent: float = 1.0
    votes: int = 0
    part: str = ""
    about: str = "existence"

    @property
    def worst(self) -> tuple[float, str]:
        """The smallest of the three, and what it is about."""
        told = ((self.existence, self.about), (self.right_class, "class"), (self.extent, "extent"))
        return min(told, key=lambda one: one[0])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What somebody gave and the label has not: P(it is there, all the same), and who gave it."""

    existence: float
    votes: int
    part: str = ""


@dataclass(frozen=True, slots=True)
class Fusion:
    """The label of an item's answers.

    Attributes:
        value: fused.
        parts: of everything in the value, in its order.
        left_out: the likeliest first.
        lone: P(nothing is missing), where one opinion stands alone; else 1.
        unseen: expected number of objects that nobody gave.
    """

    value: LabelValue
    parts: tuple[Part, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    lone: float = 1.0
    unseen: float = 0.0
    doubts: tuple[tuple[float, str], ...] = field(default=(), compare=False)

    @property
    def score(self) -> float:
        """P(right) of the most doubtful question about the item: that another opinion would be asked for."""
        return self.worst[0]

    @property
    def worst(self) -> tuple[float, str]:
        """The score, and what it is about, without any content."""
        told = [(one.worst[0], f"{one.worst[1]} of {_where(one.part, one.place)}") for one in self.parts]
        told += [(1.0 - one.existence, f"something that {one.votes} gave is left out") for one in self.left_out]
        return min([*told, *self.doubts, (self.lone, LONE)], key=lambda one: one[0])


def _where(part: str, place: int) -> str:
    return f"{part}[{place}]" if part else f"[{place}]"


def by_doubt(parts: Sequence[Part], most: int) -> list[Part]:
    """The most doubtful parts, at most so many, the most doubtful first."""
    return sorted(parts, key=lambda one: (one.worst[0], one.part, one.place))[:most]
