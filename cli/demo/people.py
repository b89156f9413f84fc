"""Simulated annotators: what each would answer, as a pure function of who they are and what they see."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cli.demo.digits import CLASSES

LOOKALIKES: Mapping[str, Sequence[str]] = {
    "0": "68", "1": "742", "2": "173", "3": "859", "4": "917", "5": "369", "6": "805", "7": "149", "8": "395",
    "9": "438",
}  # fmt: skip
"""For each digit those it is taken for, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Person:
    """A simulated annotator.

    Attributes:
        accuracy: chance of the right answer.
        wild: share of the wrong answers that are any digit; the others are lookalikes.
        role: as the API knows it.
    """

    name: str
    accuracy: float
    wild: float = 0.1
    role: str = "annotator"
    about: str = ""


PEOPLE = (
    Person("ada", 0.97, about="careful"),
    Person("ben", 0.95, about="careful"),
    Person("chi", 0.93, about="good"),
    Person("dee", 0.92, about="good"),
    Person("eli", 0.90, about="average"),
    Person("fay", 0.88, about="average"),
    Person("gus", 0.70, 0.6, about="careless"),
    Person("hal", 0.10, 1.0, about="spammer: any digit, at once"),
    Person("ivy", 0.995, role="expert", about="expert"),
)


def draw(*cause: object) -> float:
    """A uniform number in [0, 1) that the cause decides (SHA-256), so that every run draws the same."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in cause).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def answer(person: Person, seen: str, truth: str, *, seed: int) -> str:
    """What a person answers.

    Args:
        person: who.
        seen: what they look at, as a stable text; the same picture gets the same answer.
        truth: what it really is.
        seed: of the whole run.
    """
    if draw(seed, person.name, seen, "right") < person.accuracy:
        return truth
    if draw(seed, person.name, seen, "wild") < person.wild:
        others = [name for name in CLASSES if name != truth]
        return others[int(draw(seed, person.name, seen, "which") * len(others))]
    alike = LOOKALIKES[truth]
    return alike[int(draw(seed, person.name, seen, "which") ** 1.5 * len(alike))]
