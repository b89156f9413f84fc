"""What every event shares: a frozen JSON body, a key, and an id derived from its cause."""

import functools
import hashlib
import math
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from shared.labels.text import NUL, NoNul

M = TypeVar("M", bound=BaseModel)

NAMESPACE = UUID("6f0c8b1e-7d0b-5f43-9a55-6c1f2c9b7a10")
_SPACE = NAMESPACE.bytes
SEPARATOR = "\x1f"
MAX_ID_BYTES = 512
MAX_JSON_DEPTH = 64
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def derived_id(kind: str, *cause: object) -> UUID:
    """The id of an event of `kind` with this cause: the same cause always gives the same id (uuid5)."""
    name = SEPARATOR.join((kind, *map(str, cause)))
    return UUID(bytes=hashlib.sha1(_SPACE + name.encode(), usedforsecurity=False).digest()[:16], version=5)


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError(NUL)
    return text


def _fits_an_index(text: str) -> str:
    # Ids are part of primary keys; PostgreSQL refuses index rows beyond 2704 bytes.
    if len(text) * 4 > MAX_ID_BYTES and len(text.encode()) > MAX_ID_BYTES:
        raise ValueError(f"longer than {MAX_ID_BYTES} bytes of UTF-8")
    return text


def _in_utc(time: datetime) -> datetime:
    # Years 1 and 9999 overflow on the way to UTC, in Python and in the database driver.
    if EARLIEST.year <= time.year < LATEST.year and not time.utcoffset():
        return time
    if not EARLIEST <= time < LATEST:
        raise ValueError(f"not between {EARLIEST:%Y} and {LATEST:%Y}")
    return time.astimezone(UTC)


def _storable(value: JsonValue) -> JsonValue:
    """Refuse what JSON or PostgreSQL cannot hold: NaN, infinities, U+0000, more than 64 levels."""
    level: list[JsonValue] = [value]
    for _ in range(MAX_JSON_DEPTH):
        inner: list[JsonValue] = []
        for each in level:
            if isinstance(each, str):
                _no_nul(each)
            elif isinstance(each, float) and not math.isfinite(each):
                raise ValueError("NaN and infinities are not allowed")
            elif isinstance(each, list):
                inner += each
            elif isinstance(each, dict):
                inner += [*each.keys(), *each.values()]
        if not inner:
            return value
        level = inner
    raise ValueError(f"nested deeper than {MAX_JSON_DEPTH} levels")


Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A project, source or guideline name: lower-case letters, digits, `-` and `_`; at most 63."""
ItemId = Annotated[str, Field(min_length=1, max_length=512), NoNul(), AfterValidator(_fits_an_index)]
Name = Annotated[str, Field(min_length=1, max_length=200), NoNul()]
Text = Annotated[str, Field(max_length=1_000_000), NoNul()]
ShortText = Annotated[str, Field(max_length=2_000), NoNul()]
Category = Annotated[str, Field(max_length=2_000), NoNul()]
"""A label as one symbol: what `shared.labels.category` gives."""
Json = Annotated[JsonValue, AfterValidator(_storable)]
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False, strict=True)]
"""Strict: `true` is not certainty."""
Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Distribution = Annotated[dict[Category, Probability], Field(min_length=1, max_length=1000)]
"""Probabilities by `Category`."""
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""Fits PostgreSQL's `integer`."""
BigCount = Annotated[int, Field(ge=0, le=2**53)]
"""Fits `bigint`, and every JSON reader's numbers."""
Round = Annotated[int, Field(ge=1, le=1000)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Timestamp = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""With a time zone; kept in UTC; from 1900 to 2199."""


@functools.cache
def _template(kind: type[BaseModel]) -> dict[str, Any]:
    return {name: field.default for name, field in kind.model_fields.items()}


def unchecked(kind: type[M], **fields: Any) -> M:
    """An event of parts that were checked when they came in: built without checking them again.

    For what a batch makes by the hundred. A test must show that what is built this way passes its own validation.

    Args:
        kind: has no default factories.
        fields: every required one, as validation would leave it.
    """
    made = kind.__new__(kind)
    object.__setattr__(made, "__dict__", _template(kind) | fields)
    object.__setattr__(made, "__pydantic_fields_set__", set(fields))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


class FilePart(BaseModel):
    """A part of the project file. On the wire unknown keys are ignored; the file loader refuses them."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Event(BaseModel):
    """The base of every event. Unknown fields are ignored: a newer producer never breaks an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

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
