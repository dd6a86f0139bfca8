"""Lets aiokafka read headers whose names are no UTF-8. Changes aiokafka in this process; no I/O.

Kafka takes any bytes for a name, and so do clients in Go and C. aiokafka decodes names as it reads, and fails
at such a record, before anybody has it and whoever tries: its partition would stand still for ever.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

LENGTH: Final = struct.Struct(">8xi")  # a batch begins with its offset, and how long it is behind this


def escape() -> None:
    r"""Let every consumer that is made from now on escape what cannot be decoded, as `\xff`."""
    fetcher.MemoryRecords = _Records


class _Records:
    """What a broker has sent of a partition, batch by batch."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0
        self._records = MemoryRecords(content)
        self.has_next, self.size_in_bytes = self._records.has_next, self._records.size_in_bytes

    def next_batch(self) -> "_Batch":
        batch, start = self._records.next_batch(), self._at
        self._at += LENGTH.size + LENGTH.unpack_from(self._content, start)[0]
        return _Batch(batch, memoryview(self._content)[start : self._at])


class _Batch:
    """A batch of aiokafka's, which is read a second time where it cannot be."""

    __slots__ = ("_batch", "_content")

    def __init__(self, batch: Any, content: memoryview) -> None:
        self._batch, self._content = batch, content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)  # of a marker of a transaction

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From its start: whoever reads goes by offsets, and leaves out what came before.
            yield from _escaped(self._content)


def _escaped(content: memoryview) -> Iterator[Any]:
    """The records of a batch by aiokafka's slower reader, which decodes slices of its buffer."""
    batch = _DefaultRecordBatchPy(content)
    iter(batch)  # unpacks it
    batch._buffer = _Buffer(batch._buffer)  # noqa: SLF001
    yield from batch


class _Buffer(bytearray):
    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _Slice(found) if isinstance(key, slice) else found


class _Slice(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        return super().decode(encoding, "backslashreplace")
