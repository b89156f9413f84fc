"""Reading records whose header names are not UTF-8, for which aiokafka has no way out.

Kafka's brokers do not look at header names, and some clients take them as bytes. aiokafka decodes them strictly: one
such record makes every fetch of its partition raise, for ever. Here that batch is read a second time, slowly, with what
is not UTF-8 as surrogate escapes; every other batch goes the usual way.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import _MemoryRecordsPy

FIRST_WITH_HEADERS = 2


class _Lenient(bytearray):
    """Bytes whose parts decode whatever they hold."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Lenient(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, errors)


class TolerantBatch:
    """One batch of records; everything but its iteration is aiokafka's."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self._batch = DefaultRecordBatch(raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            slow = _DefaultRecordBatchPy(self._raw)
            slow._maybe_uncompress()  # noqa: SLF001  # what its own iteration would do first
            slow._buffer = _Lenient(slow._buffer)  # noqa: SLF001
            return iter(list(slow))


class TolerantRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch of one partition brought."""

    def next_batch(self) -> Any:
        """The next batch, or None."""
        raw = self._next_slice
        if raw is None or len(raw) < self.MIN_SLICE:
            return super().next_batch()
        self._cache_next()
        magic = raw[self.MAGIC_OFFSET]
        return TolerantBatch(raw) if magic >= FIRST_WITH_HEADERS else LegacyRecordBatch(raw, magic)


def install() -> None:
    """Make every consumer of this process tolerant; again is harmless."""
    fetcher.MemoryRecords = TolerantRecords
