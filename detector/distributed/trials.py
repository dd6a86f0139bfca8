"""What to do about a record that ends the worker again and again. No I/O.

Before the first batch after a shard's beginning the worker leaves a mark beside the fence: which attempt
this is to get on from there. The commit that gets on removes it, so does an error that is known; later
batches leave none. A start that finds a mark knows that the process of that attempt died over it. From the
second attempt on, records go one by one, and each is named in the mark before it is tried. One that is named
when the third attempt has ended as well is put aside and not tried again.

So nothing is put aside for having been in the same batch, or because somebody killed the worker: only what
was tried alone in two attempts one after the other, of which neither came back.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import msgspec

from detector.inputs.kafka.cutting import cut
from detector.inputs.kafka.feed import KafkaRecord, PartitionBatch
from detector.store.contract import Store

ATTEMPTS = 3  # that end a worker, before a record is put aside
NOBODY = -1


class Mark(msgspec.Struct, frozen=True):
    """An attempt that has begun and not come to its commit."""

    fence: int  # last offset whose effects are kept
    attempt: int
    trying: int = NOBODY  # offset of the record that is tried by itself


class Marking(Store, Protocol):
    """A store that keeps a mark beside each fence; a commit removes it."""

    def mark(self, shard: str) -> bytes | None:
        """The mark, where there is one."""

    def set_mark(self, shard: str, mark: bytes) -> None:
        """Leave a mark."""

    def clear_mark(self, shard: str) -> None:
        """Take it away."""


class Part(NamedTuple):
    """Some of a batch, to be committed by itself."""

    batch: PartitionBatch
    mark: Mark | None = None  # to be left before it
    aside: KafkaRecord | None = None  # a record that is not among its own, and is put aside with its commit


class Trial:
    """The first batch of a shard after it has begun."""

    def __init__(self, fence: int, found: bytes | None) -> None:
        """Go by the mark that was found; one of another fence tells nothing."""
        mark = None if found is None else _decoded(found)
        if mark is None or mark.fence != fence:
            mark = Mark(fence, 0)
        self.attempt = mark.attempt + 1
        self._named = mark.trying

    def parts(self, batch: PartitionBatch) -> Iterator[Part]:
        """The batch, or its parts; each is asked for once the one before it is committed."""
        if self.attempt == 1:
            yield Part(batch, Mark(batch.after, 1) if batch.records else None)
        elif self.attempt > ATTEMPTS and self._named != NOBODY:
            yield from self._without_named(batch)
        else:
            yield from self._one_by_one(batch)

    def _without_named(self, batch: PartitionBatch) -> Iterator[Part]:
        """What led to it with it put aside, then the rest."""
        named = self._named
        aside = next((record for record in batch.records if record.offset == named), None)
        if aside is None:  # retention or compaction has taken it
            yield Part(batch)
            return
        before = [record for record in batch.records if record.offset < named]
        after = [record for record in batch.records if record.offset > named]
        yield Part(PartitionBatch(batch.shard, batch.after, named, before, at_end=False), None, aside)
        yield Part(PartitionBatch(batch.shard, named, batch.last, after, batch.at_end))

    def _one_by_one(self, batch: PartitionBatch) -> Iterator[Part]:
        """Each record with its own mark; if the named one passes, the rest goes at once."""
        singles = cut(
            batch.shard, batch.after, batch.last, batch.records, at_end=batch.at_end, max_lines=1, max_bytes=1
        )
        for single in singles:
            trying = single.records[0].offset if single.records else NOBODY
            yield Part(single, Mark(single.after, self.attempt, trying) if single.records else None)
            if trying == self._named != NOBODY:
                rest = [record for record in batch.records if record.offset > single.last]
                if batch.last > single.last:
                    yield Part(PartitionBatch(batch.shard, single.last, batch.last, rest, batch.at_end))
                return


def _decoded(found: bytes) -> Mark | None:
    try:
        return msgspec.json.decode(found, type=Mark)
    except msgspec.DecodeError:  # not ours: it says nothing
        return None


def encoded(mark: Mark) -> bytes:
    """The mark as it is kept."""
    return msgspec.json.encode(mark)
