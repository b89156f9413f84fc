"""What an item is compared with others by."""

from typing import NamedTuple

from services.assignment.domain.guess import Guess
from shared.events import Sketch

CONTENT, DIGEST = "content", "digest"
HEX = 64


class Sketched(NamedTuple):
    """A sketch (shared/sketches.py); only those of the same space can be compared."""

    space: str
    bits: bytes


class Likeness(NamedTuple):
    """What tells copies, and what tells how new an item is; None: nothing does."""

    near: Sketched
    far: Sketched | None


def likeness_of(guess: Guess | None, own: bytes | None, content_hash: str | None) -> Likeness | None:
    """The best there is.

    Copies are told by prelabel's sketch, or by the content's; else by a digest, which finds the same content only.
    What is new is told by the model's features, which take for alike what the model does; else by the sketch. Before a
    model has said anything nothing is told to be new: the furthest items would be the odd ones, and a first model of
    these is a poor one (decision 90).
    """
    known = content_hash if content_hash is not None and len(content_hash) == HEX else None
    features = _sketched(guess.features) if guess is not None else None
    sketch = _sketched(guess.sketch) if guess is not None else None
    if sketch is None and own is not None:
        sketch = Sketched(CONTENT, own)
    if sketch is not None:
        said = guess is not None and guess.value is not None
        return Likeness(sketch, features or (sketch if said else None))
    return Likeness(Sketched(DIGEST, bytes.fromhex(known)), features) if known is not None else None


def _sketched(given: Sketch | None) -> Sketched | None:
    return None if given is None else Sketched(given.space, bytes.fromhex(given.bits))
