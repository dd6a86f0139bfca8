"""What to do about a record that ends the worker again and again. No I/O.

Until a shard gets beyond its fence after it has begun, the worker leaves a mark before each batch: which
attempt this is to get on from there. What gets on removes it, so does an error that is known: at once, or
before this process begins the shard again where the store was away too. Later batches leave none. A start
that finds a mark knows that the process of that attempt ended over it. From the second attempt on, records go
one by one, and each is named in the mark before it is tried. One that is named when the third attempt has
ended as well is put aside and not tried again.

So nothing is put aside for having been in the same batch, or because somebody killed the worker: only what
was tried alone in two attempts one after the other, of which neither came back.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple, Protocol

import msgspec

from detector.errors import BadSetup, Fenced, TailraceError, Unavailable
from detector.inputs.kafka.cutting import cut
from detector.inputs.kafka.feed import KafkaRecord, PartitionBatch, Shard

ATTEMPTS = 3  # that end a worker, before a record is put aside
REMEMBERED = 100  # records that were put aside, for those that are read again before the fence
NOBODY = -1
RESET = b"reset"  # in place of a mark, where somebody has removed fence and states, up to the first commit


class Mark(msgspec.Struct, frozen=True):
    """An attempt that has begun and not come to its commit."""

    fence: int  # last offset whose effects are kept
    attempt: int
    trying: int = NOBODY  # offset of the record that is tried by itself
    aside: tuple[int, ...] = ()  # offsets that were put aside


class Marks(Protocol):
    """Keeps a mark for each shard."""

    def mark(self, shard: str) -> bytes | None:
        """The mark, where there is one."""

    def set_mark(self, shard: str, mark: bytes) -> None:
        """Leave a mark."""

    def clear_mark(self, shard: str) -> None:
        """Take it away."""


class Unmarked:
    """Keeps no marks: nothing is ever put aside."""

    def mark(self, shard: str) -> None:
        """Nothing."""

    def set_mark(self, shard: str, mark: bytes) -> None:
        """Nothing."""

    def clear_mark(self, shard: str) -> None:
        """Nothing."""


class Part(NamedTuple):
    """Some of a batch, to be committed by itself."""

    batch: PartitionBatch
    mark: Mark | None = None  # to be left before it
    aside: KafkaRecord | None = None  # a record that is not among its own, and is put aside with its commit
    attempts: int = 0  # that the record put aside has ended


class Trial:
    """A shard that has begun and not got beyond its fence."""

    def __init__(self, fence: int, found: bytes | None) -> None:
        """Go by the mark that was found; one of another fence tells nothing but what was put aside."""
        mark = (None if found is None else _decoded(found)) or Mark(fence, 0)
        self.fence = fence
        # What lies behind the fence is to be read: nobody has put it aside yet, or it is of another topic.
        self.aside = tuple(offset for offset in mark.aside if offset <= fence)
        self.left = found  # the mark as we last knew it
        is_ours = mark.fence == fence
        self.attempt = mark.attempt + 1 if is_ours else 1
        self._named = mark.trying if is_ours else NOBODY

    def parts(self, batch: PartitionBatch) -> Iterator[Part]:
        """The batch, or its parts; each is asked for once the one before it is committed."""
        batch = _without(batch, self.aside)
        if self.attempt == 1:
            yield Part(batch, self._mark(batch))
        elif self.attempt > ATTEMPTS and self._named != NOBODY:
            yield from self._without_named(batch)
        else:
            yield from self._one_by_one(batch)

    def _without_named(self, batch: PartitionBatch) -> Iterator[Part]:
        """What led to it with it put aside, then the rest."""
        named = self._named
        aside = next((record for record in batch.records if record.offset == named), None)
        if aside is None:  # retention or compaction has taken it
            yield Part(batch, self._mark(batch))
            return
        before = [record for record in batch.records if record.offset < named]
        after = [record for record in batch.records if record.offset > named]
        led = PartitionBatch(batch.shard, batch.after, named, before, at_end=False)
        yield Part(led, None, aside, self.attempt - 1)
        self.aside = (*self.aside, named)[-REMEMBERED:]  # now that its dead letter is kept
        # The first attempt from here on: if it ends the worker too, the next one knows what was put aside.
        mark = Mark(max(self.fence, named), 1, aside=self.aside) if after else None
        yield Part(PartitionBatch(batch.shard, named, batch.last, after, batch.at_end), mark)

    def _one_by_one(self, batch: PartitionBatch) -> Iterator[Part]:
        """Each record with its own mark; if the named one passes, the rest goes at once."""
        singles = cut(
            batch.shard, batch.after, batch.last, batch.records, at_end=batch.at_end, max_lines=1, max_bytes=1
        )
        for single in singles:
            trying = single.records[0].offset if single.records else NOBODY
            yield Part(single, self._mark(single, trying))
            if trying == self._named != NOBODY:
                rest = [record for record in batch.records if record.offset > single.last]
                if batch.last > single.last:
                    yield Part(PartitionBatch(batch.shard, single.last, batch.last, rest, batch.at_end))
                return

    def _mark(self, batch: PartitionBatch, trying: int = NOBODY) -> Mark | None:
        """What to leave before it; nothing where there is nothing to try."""
        if not batch.records:
            return None
        return Mark(max(self.fence, batch.after), self.attempt, trying, self.aside)


class Owed(NamedTuple):
    """What is to become of a mark that could not be taken away."""

    left: bytes  # any other mark is somebody else's
    instead: bytes | None


class Trials:
    """The trials of the shards that a worker has."""

    def __init__(self, marks: Marks, owed: dict[str, Owed] | None = None) -> None:
        """Keep marks there; `owed` outlives the connection to them."""
        self._marks, self._owed = marks, {} if owed is None else owed
        self._trials: dict[Shard, Trial] = {}

    def begin(self, shard: Shard, fence: int, *, is_known: bool) -> None:
        """Look for the mark of a shard that begins; one whose fence is new has none."""
        self._settle(str(shard))
        self._trials[shard] = Trial(fence, self._marks.mark(str(shard)) if is_known else None)

    def fence(self, shard: Shard) -> int | None:
        """Where the shard began, until it gets on from there; then records need not be tried."""
        trial = self._trials.get(shard)
        return None if trial is None else trial.fence

    def forget(self, shard: Shard) -> None:
        """The shard is somebody else's."""
        self._trials.pop(shard, None)

    def each(self, batch: PartitionBatch, work: Callable[[Part], None]) -> None:
        """Do the work for a batch, or for its parts one after the other, as often as need be."""
        trial = self._trials.get(batch.shard)
        if trial is None:
            work(Part(batch))
            return
        for part in trial.parts(batch):
            try:
                self._leave(trial, part)
                work(part)
            except (Unavailable, Fenced, BadSetup):  # not the records' doing
                if part.aside is None:  # else the next start is to put it aside, not to try it again
                    with suppress(TailraceError):
                        self._clear(batch.shard, trial)
                raise
        self._clear(batch.shard, trial)
        if batch.last > trial.fence:
            del self._trials[batch.shard]

    def _leave(self, trial: Trial, part: Part) -> None:
        """Leave the mark of a part before its work."""
        if part.mark is not None:
            trial.left = encoded(part.mark)
            self._marks.set_mark(str(part.batch.shard), trial.left)

    def _clear(self, shard: Shard, trial: Trial) -> None:
        """Let the mark say no more than what was put aside."""
        if trial.left is None:
            return
        instead = encoded(Mark(trial.fence, 0, aside=trial.aside)) if trial.aside else None
        self._owed[str(shard)] = Owed(trial.left, instead)
        trial.left = instead
        self._settle(str(shard))

    def _settle(self, shard: str) -> None:
        """Do what is owed; where the store cannot be reached, it stays owed."""
        owed = self._owed.get(shard)
        if owed is None:
            return
        if owed.left != owed.instead and self._marks.mark(shard) == owed.left:
            if owed.instead is None:
                self._marks.clear_mark(shard)
            else:
                self._marks.set_mark(shard, owed.instead)
        del self._owed[shard]


def _without(batch: PartitionBatch, aside: tuple[int, ...]) -> PartitionBatch:
    """The batch without what was put aside before."""
    if not aside:
        return batch
    left = [record for record in batch.records if record.offset not in aside]
    return msgspec.structs.replace(batch, records=left)


def _decoded(found: bytes) -> Mark | None:
    try:
        return msgspec.json.decode(found, type=Mark)
    except msgspec.DecodeError:  # not ours: it says nothing
        return None


def encoded(mark: Mark) -> bytes:
    """The mark as it is kept."""
    return msgspec.json.encode(mark)
