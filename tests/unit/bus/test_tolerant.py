"""Batches with header names that are not UTF-8 are read; all others as aiokafka reads them."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from shared.bus.tolerant import TolerantRecords
from tests.support.raw import NotUtf8


def batch(*headers: list[tuple[str, bytes | None]], codec: int = 0) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1_000_000,
    )  # fmt: skip
    for offset, each in enumerate(headers):
        builder.append(offset, 1000 + offset, b"key", b"value %d" % offset, headers=each)
    return bytes(builder.build())


def read(kind: Any, content: bytes) -> list[tuple[Any, ...]]:
    found, records = [], kind(content)
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in one]
    return found


@pytest.mark.parametrize("codec", [0, DefaultRecordBatch.CODEC_GZIP])
def test_good_batches_are_read_as_ever(codec: int) -> None:
    content = batch([("a", b"1"), ("b", None)], [], codec=codec) * 2 + batch([("c", b"\xff")])[:-3]
    assert read(TolerantRecords, content) == read(MemoryRecords, content)
    assert len(read(TolerantRecords, content)) == 4


@pytest.mark.parametrize("codec", [0, DefaultRecordBatch.CODEC_GZIP])
def test_a_header_name_that_is_not_utf8_is_escaped(codec: int) -> None:
    content = batch([("a", b"1")], [(NotUtf8("\udcff\udcfe!"), b"2"), ("b", b"\xff")], [], codec=codec)
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords, content)
    first, odd, last = read(TolerantRecords, content)
    assert odd == (1, 1001, b"key", b"value 1", [("\udcff\udcfe!", b"2"), ("b", b"\xff")])
    assert (first[4], last[4]) == ([("a", b"1")], [])
