"""Uniform draws that a replay repeats: hashes of stable ids in place of a random generator."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

SCALE = float(2**64)


def draw(purpose: str, *ids: object) -> float:
    """A number in [0, 1), uniform over the ids and independent between purposes (64 bits of SHA-256)."""
    text = "\x1f".join((purpose, *(str(each) for each in ids)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / SCALE


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance says about one item.

    Attributes:
        audit: below the policy's `audit_share` the item goes to people blind instead of being accepted.
        sample: below the policy's `sample_share` an item that needs people does go to them.
        order: its place where the order is random.
        explore: below the policy's `order.explore` it comes first.
    """

    audit: float
    sample: float
    order: float = 0.0
    explore: float = 1.0


def draws_of(project_id: str, item_id: str) -> Draws:
    """The draws of an item; the same over all its predictions, so that a new model draws no second lot."""
    digest = hashlib.sha256(f"item\x1f{project_id}\x1f{item_id}".encode()).digest()
    return Draws(*(int.from_bytes(digest[n : n + 8], "big") / SCALE for n in range(0, 32, 8)))


def is_blind(share: float, project_id: str, item_id: str, annotator_id: str) -> bool:
    """Whether this person gets this item without the model's proposal."""
    return share > 0.0 and draw("blind", project_id, item_id, annotator_id) < share


def is_gold(share: float, lease_id: UUID) -> bool:
    """Whether the lease of this id is a gold item."""
    return share > 0.0 and draw("gold", lease_id) < share
