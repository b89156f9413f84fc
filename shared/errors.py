"""Every error of Labelstream, split by what the bus does about it.

LabelstreamError
├── RetryLater        infrastructure: back off, then take the batch again; nothing is committed
│   ├── AccessRefused a server refuses us: a password, certificate, token or right is wrong; said loudly, tried slowly
│   └── Fenced        another replica moved this partition's offset: drop the batch, start from the stored offset
├── PoisonMessage     one record can never be processed: it goes to the dead letter topic with its reason
├── InvariantBroken   a promise does not hold (everything is poison, a foreign database): the service stops
└── ConfigurationError  settings or files of the operator are wrong: the process refuses to start
"""

from enum import StrEnum


class LabelstreamError(Exception):
    """The root of the tree."""


class RetryLater(LabelstreamError):  # noqa: N818  # named for what the bus does
    """Infrastructure failed; the same batch will be tried again."""


class AccessRefused(RetryLater):
    """A server does not let us in, or not do this. The message says who refused what, and what to check."""


class Fenced(RetryLater):
    """The stored offset of a partition is not the one this consumer had: someone else owns it now."""


class InvariantBroken(LabelstreamError):  # noqa: N818
    """Going on would do harm; the consumer stops and the service reports itself unhealthy."""


class ConfigurationError(LabelstreamError):
    """A setting or an operator's file is wrong. The message says which, where, and what to do."""


class Reason(StrEnum):
    """Why a record was refused. Closed and small: it is a metric label and a dead letter header."""

    NULL_VALUE = "null_value"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    BAD_JSON = "bad_json"
    BAD_SCHEMA = "bad_schema"
    BAD_NUMBER = "bad_number"
    NUL_CHARACTER = "nul_character"
    BAD_HEADER = "bad_header"
    KEY_MISMATCH = "key_mismatch"
    UNSUPPORTED_VERSION = "unsupported_version"
    ID_CONFLICT = "id_conflict"
    UNKNOWN_PROJECT = "unknown_project"
    UNKNOWN_LABEL = "unknown_label"
    CONTENT_KIND = "content_kind"
    UNMAPPABLE = "unmappable"
    UNPROCESSABLE = "unprocessable"


class PoisonMessage(LabelstreamError):  # noqa: N818
    """One record that can never be processed.

    Args:
        reason: the code by which it is counted and can be selected for replay.
        detail: what is wrong, where in the record, and what to do; never holds the content itself.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
