"""What every event shares: a frozen JSON body, a key, and an id derived from its cause."""

import math
from typing import Annotated, ClassVar
from uuid import UUID, uuid5

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

NAMESPACE = UUID("6f0c8b1e-7d0b-5f43-9a55-6c1f2c9b7a10")
SEPARATOR = "\x1f"


def derived_id(kind: str, *cause: object) -> UUID:
    """The id of an event of `kind` with this cause: the same cause always gives the same id (uuid5)."""
    return uuid5(NAMESPACE, SEPARATOR.join((kind, *(str(part) for part in cause))))


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("U+0000 is not allowed; remove it at the source")
    return text


Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A project, source or guideline name: lower-case letters, digits, `-` and `_`; at most 63."""
ItemId = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_no_nul)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_no_nul)]
Text = Annotated[str, Field(max_length=1_000_000), AfterValidator(_no_nul)]
ShortText = Annotated[str, Field(max_length=2_000), AfterValidator(_no_nul)]
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Round = Annotated[int, Field(ge=1, le=1000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Timestamp = AwareDatetime


class Event(BaseModel):
    """The base of every event. Unknown fields are ignored: a newer producer never breaks an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ce_type: ClassVar[str]

    @property
    def key(self) -> str:
        """The partition key. Everything about one item shares one key, so its order is kept."""
        raise NotImplementedError

    @property
    def event_id(self) -> UUID:
        """The id derived from the event's cause."""
        raise NotImplementedError

    @property
    def time(self) -> Timestamp:
        """When the event happened, for `ce_time`."""
        raise NotImplementedError


class ItemEvent(Event):
    """An event about one item."""

    project_id: Slug
    item_id: ItemId

    @property
    def key(self) -> str:
        return f"{self.project_id}/{self.item_id}"


def entropy(distribution: dict[str, float]) -> float:
    """Shannon entropy in nats of a distribution over classes."""
    return -math.fsum(p * math.log(p) for p in distribution.values() if p > 0.0)
