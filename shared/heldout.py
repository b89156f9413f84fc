"""What no model of a project ever learns from: the trainer's gate judges by it."""

import hashlib
import json

SPACE = 2**64


def group_of(named: object, content_hash: str) -> str:
    """The group of an item by its metadata's value; one that lacks the key is a group of its own content."""
    return content_hash if named is None else json.dumps(named)


def is_held_out(seed: str, group: str, share: float) -> bool:
    """Whether a group is held out: a hash of stable names, so it stays on its side for ever.

    Args:
        seed: `training.holdout_seed`, or the project's name.
        group: as `group_of` gives it.
        share: of the groups that is held out.
    """
    drawn = hashlib.sha256(f"holdout\x1f{seed}\x1f{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(drawn[:8], "big") < share * SPACE
