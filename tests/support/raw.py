"""Records as no Python client would write them."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class NotUtf8(str):
    """A header name that goes out as the bytes that its surrogates stand for."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002  # aiokafka says strict
        return super().encode(encoding, "surrogateescape")


@contextmanager
def slow_producers() -> Generator[None]:
    """Producers of this process write by aiokafka's Python code, which asks `NotUtf8` for its bytes."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (message_accumulator, producer):
            patch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        yield
