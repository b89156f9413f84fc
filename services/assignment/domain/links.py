"""Links to what an item points at: signed, for one lease, until a moment.

A lease is for one person and one item for good, so that a signature over it is one over both.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

PURPOSE = b"labelstream media link v1"
LONGEST = 12
"""Digits of a moment in seconds."""


class LinkVerdict(StrEnum):
    GOOD = "good"
    FORGED = "forged"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Link:
    """Where to get it, relative to the service, and until when."""

    path: str
    expires_at: datetime


def sign(key: bytes, lease_id: UUID, expires: int) -> str:
    """HMAC-SHA256 in hex over lease and expiry, which is in whole seconds since 1970."""
    return hmac.new(key, b"\x1f".join((PURPOSE, lease_id.bytes, b"%d" % expires)), hashlib.sha256).hexdigest()


def link(key: bytes, lease_id: UUID, expires_at: datetime) -> Link:
    """The link of a lease."""
    expires = int(expires_at.timestamp())
    return Link(f"/v1/media/{lease_id}?expires={expires}&signature={sign(key, lease_id, expires)}", expires_at)


def judge_link(key: bytes, lease_id: UUID, expires: str, signature: str, now: datetime) -> LinkVerdict:
    """Whether a link is one of ours, and still good. A forged one is never said to be expired."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= LONGEST):
        return LinkVerdict.FORGED
    if not hmac.compare_digest(sign(key, lease_id, int(expires)).encode(), signature.encode("utf-8", "replace")):
        return LinkVerdict.FORGED
    return LinkVerdict.GOOD if now.timestamp() < int(expires) else LinkVerdict.EXPIRED
