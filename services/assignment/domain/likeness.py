"""What an item is compared with others by."""

from typing import NamedTuple

from services.assignment.domain.guess import Guess

CONTENT, DIGEST = "content", "digest"
HEX = 64


class Likeness(NamedTuple):
    """A sketch (shared/sketches.py); only those of the same space can be compared."""

    space: str
    sketch: bytes


def likeness_of(guess: Guess | None, own: bytes | None, content_hash: str | None) -> Likeness | None:
    """The best there is: prelabel's sketch, or the content's; else a digest, which finds the same content only."""
    if guess is not None and guess.sketch is not None:
        return Likeness(guess.sketch.space, bytes.fromhex(guess.sketch.bits))
    if own is not None:
        return Likeness(CONTENT, own)
    known = content_hash is not None and len(content_hash) == HEX
    return Likeness(DIGEST, bytes.fromhex(content_hash)) if known and content_hash else None
