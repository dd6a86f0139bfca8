"""The router: each line of a topic to the partition of its source, exactly once. Writes Kafka.

Which source a line has is what decoding says, here as in the worker that reads it from there. What cannot be
read goes along with the rest, for that worker to put aside and count.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from detector.distributed import routed
from detector.distributed.counts import changed
from detector.distributed.packing import Packing
from detector.distributed.there import There
from detector.distributed.trials import Part, Trials, Unmarked
from detector.errors import BadRecord, BadSetup
from detector.inputs.kafka.feed import Begin, Feed, KafkaRecord, PartitionBatch, Shard
from detector.inputs.kafka.forwarding import Forwarding, Message, partition_of, room
from detector.records import Line
from detector.shard.core import Core
from detector.shard.reader import Read
from detector.stages.decode.split import each_log

REREAD = 200  # offsets before the fence, for the lines that continue one before it
REFRESH_S = 6 * 3600.0  # Kafka forgets offsets that nobody commits for a week
TOLD_US = 30_000_000  # that a clock may go on by before partitions without a line are told of it again
CUT_BYTES = 1024  # kept of a value that the topic does not take, of its key and of each header of ours

Seen = Callable[[str, Sequence[Line]], None]  # a partition's name, and lines of it

_log: Final = structlog.get_logger("router")


class Router:
    """Forwards what it is given to the routed topic; `inputs.kafka.feed.Work`."""

    def __init__(
        self,
        core: Core,
        feed: Feed,
        topic: str,
        trials: Trials | None = None,
        partitions: int | None = None,
        seen: Seen = lambda _shard, _lines: None,
    ) -> None:
        """Connect to nothing yet; `close` ends a thread.

        `partitions` is how many the routed topic is known to have; without it, what it has at first.
        `seen` is told of the lines of each partition.
        """
        self._trials = trials or Trials(Unmarked())
        self._topic, self._partitions, self._seen = topic, partitions, seen
        self._core, self._reader = core, core.new_reader()
        self._forwarding = Forwarding(feed, topic)
        self._there = There(feed.connection, topic)
        self._fences: dict[Shard, int] = {}
        self._committed_s: dict[Shard, float] = {}
        self._ended: dict[Shard, int] = {}  # of these every partition knows the end, and so much of the clock
        self.lines = 0  # sent since the start

    def use(self, core: Core) -> None:
        """Find sources as this core does from here on, which is between two batches."""
        if core is not self._core:
            self._core, memories = core, self._reader.memories
            self._reader = core.new_reader()
            self._reader.memories.update(memories)

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to, None where nobody has begun it; whoever had it can write no more.

        Raises:
            Unavailable: Kafka does not answer, or leaves undecided where that is.
            BadSetup: a right is missing, or the routed topic has another number of partitions than before.
        """
        (fence, again_ms), found = self._forwarding.open(shard), self._forwarding.partitions
        if self._partitions not in (None, found):
            raise BadSetup(changed(self._topic, self._partitions, f"{found}"))
        self._partitions = found
        self._there.expect(shard, again_ms)
        if fence is not None:
            self._fences[shard] = fence
        return fence

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Take the shard. What is read again before the fence only says which line the next one continues."""
        self._reader.forget(str(shard))
        fence = begin.after if begin.fence is None else max(begin.fence, begin.after)
        self._trials.begin(shard, fence, is_known=begin.fence is not None)
        if begin.lost:
            _log.warning(
                "lines lost to retention before they were routed", shard=str(shard), lines=begin.lost
            )
        if begin.fence is None or begin.after > begin.fence:
            self._commit(shard, [], begin.after)
            self._forwarding.settle(shard)  # so that no transaction without a fence before it holds lines
        else:
            self._fences[shard] = begin.fence
            self._committed_s[shard] = time.monotonic()

    def process(self, batch: PartitionBatch) -> None:
        """Forward a batch in one transaction, with its end as the fence.

        It may be under way when this comes back, as may those of other shards; what becomes of it is heard
        when the shard is next seen to. Batches that come meanwhile share the next one. While records are
        tried each is waited for.

        Raises:
            Fenced: another worker has the shard.
            Unavailable: Kafka does not answer.
        """
        self._trials.each(batch, self._route)

    def _route(self, part: Part) -> None:
        batch, shard, fence = part.batch, part.batch.shard, self._fences[part.batch.shard]
        records = [routed.record_of(shard.topic, record) for record in batch.records]
        read = self._reader.read(str(shard), records)
        if batch.last <= fence:
            return
        self._there.look(shard, fence)
        self._seen(str(shard), [line for line, _ in read.lines])
        messages = self._messages(batch, read, fence)
        messages += self._marks(shard, batch.last, {message[0] for message in messages}, at_end=batch.at_end)
        messages += self._unread(part, fence)
        self._commit(shard, messages, batch.last)

    def tick(self, shard: Shard, quiet_s: float) -> None:  # noqa: ARG002  (the end is the end)
        """Say that the end was reached, where that was not said; keep the fence from being forgotten."""
        self._forwarding.check(shard)
        fence = self._fences[shard]
        marks = self._marks(shard, fence, set(), at_end=True)
        if marks or time.monotonic() - self._committed_s[shard] > REFRESH_S:
            self._commit(shard, marks, fence)

    def stopped(self, shard: Shard, reason: str) -> None:  # noqa: ARG002  (it has been logged)
        """Let go of a shard that cannot be read, and say that no more of it comes: nobody is to wait."""
        fence = self._fences.get(shard)
        if fence is not None:
            self._commit(shard, self._marks(shard, fence, set(), at_end=True), fence)
            self._forwarding.settle(shard)
        self.dropped(frozenset([shard]))

    def dropped(self, shards: frozenset[Shard]) -> None:
        """Let go of what is somebody else's."""
        self._forwarding.drop(shards)
        for shard in shards:
            self._fences.pop(shard, None)
            self._committed_s.pop(shard, None)
            self._there.expect(shard, None)
            self._ended.pop(shard, None)
            self._reader.forget(str(shard))
            self._trials.forget(shard)

    def close(self) -> None:
        """Let go of everything."""
        self._forwarding.close()

    def _commit(self, shard: Shard, messages: list[Message], last: int) -> None:
        self._forwarding.commit(shard, messages, last, self._there.again_ms(shard, last))
        if self._trials.fence(shard) is not None:
            self._forwarding.settle(shard)
        self._fences[shard] = last
        self._committed_s[shard] = time.monotonic()

    def _messages(self, batch: PartitionBatch, read: Read, fence: int) -> list[Message]:
        """What is sent for the records behind the fence; nothing for one that has nothing to say."""
        packing = self._packing(batch)
        rejected = {reject.offset for reject in read.rejects}
        lines, at = read.lines, 0  # the lines are in the order of their records
        for record in batch.records:
            offset, first = record.offset, at
            while at < len(lines) and lines[at][0].offset == offset:
                at += 1
            if offset <= fence or (at == first and offset not in rejected):
                continue
            sources = {lines[index][0].source for index in range(first, at)} if at - first > 1 else ()
            if len(sources) > 1:
                some = [line for line, _ in lines[first:at]]
                self._apart(packing, record, some, has_rejects=offset in rejected)
            else:
                source = lines[first][0].source if at > first else ""
                self._add(packing, record, source, record.value or b"")
        self.lines += packing.lines
        return packing.messages()

    def _unread(self, part: Part, fence: int) -> list[Message]:
        """What is sent for a record that ended the router: all of it, for the worker to put aside."""
        shard, record = part.batch.shard, part.aside
        if record is None or record.offset <= fence:
            return []
        _log.error("record put aside", shard=str(shard), offset=record.offset, attempts=part.attempts)
        headers = [*routed.headers_of(shard, record, more=True), (routed.CRASH, b"")]
        message = self._message(shard, record, "", record.value, headers)
        there = self._there.newest(shard).get(message.partition, -1)
        return [message] if record.offset > there else []

    def _apart(self, packing: Packing, record: KafkaRecord, lines: list[Line], *, has_rejects: bool) -> None:
        """Add each log of a record that has several; those that cannot be read go along."""
        sources = {line.sub: line.source for line in lines}
        try:
            logs = each_log(record.value or b"")
        except BadRecord as error:
            _log.warning("a record of several sources goes to one partition", reason=str(error))
            self._add(packing, record, lines[0].source, record.value or b"")
            return
        for sub, log in enumerate(logs):
            if sub in sources or has_rejects:
                self._add(packing, record, sources.get(sub, ""), log, sub)

    def _packing(self, batch: PartitionBatch) -> Packing:
        room_bytes = room(self._forwarding.max_message_bytes) - CUT_BYTES
        return Packing(batch.shard, room_bytes, self._there.newest(batch.shard), more=not batch.at_end)

    def _add(self, packing: Packing, record: KafkaRecord, source: str, value: bytes, sub: int = -1) -> None:
        """Add a line to the pack of its source's partition, or by itself where it is too large."""
        key = source.encode("utf-8", "replace") if source else record.key or packing.topic
        partition = partition_of(key, self._forwarding.partitions)
        if not packing.add(partition, record, value, sub):
            headers = routed.headers_of(packing.shard, record, sub, more=packing.more)
            packing.add_message(self._message(packing.shard, record, source, value, headers))

    def _message(
        self, shard: Shard, record: KafkaRecord, source: str, value: bytes | None, headers: routed.Headers
    ) -> Message:
        """A message in the partition of its source, or of its origin where it has none.

        One that is too large goes without the record's own headers, and cut where that is not enough.
        """
        key = source.encode("utf-8", "replace") if source else record.key or shard.topic.encode()
        value, partition = value or b"", partition_of(key, self._forwarding.partitions)
        bound = room(self._forwarding.max_message_bytes)
        is_plain = not record.headers and len(record.key or b"") < CUT_BYTES
        if (is_plain and len(value) + len(key) <= bound - 2 * CUT_BYTES) or _size(
            key, value, headers
        ) <= bound:
            return Message(partition, key, value, headers)
        key = key[:CUT_BYTES]
        headers = [(name, content[:CUT_BYTES]) for name, content in headers if name.startswith(routed.OURS)]
        if _size(key, value, headers) > bound:
            headers, value = [*headers, (routed.CUT, b"%d" % len(value))], value[:CUT_BYTES]
        return Message(partition, key, value, headers)

    def _marks(self, shard: Shard, offset: int, written: set[int], *, at_end: bool) -> list[Message]:
        """Say how far this shard is, for which partitions wait: while there is more, and when all was read.

        While there is more those are told that get no line; its end is told to all of them, and told again
        where its clock has gone on: a partition that gets no more lines knows of time by that.
        """
        memory = self._reader.memories.get(str(shard))
        clock_us = 0 if memory is None else memory.clock.now_us or 0
        if at_end:
            if shard in self._ended and clock_us - self._ended[shard] < TOLD_US:
                return []
            self._ended[shard] = clock_us
        else:
            self._ended.pop(shard, None)
        headers = routed.mark_headers(shard, offset, clock_us, more=not at_end)
        told = set(range(self._forwarding.partitions)) - (set() if at_end else written)
        return [Message(partition, None, b"", headers) for partition in sorted(told)]


def _size(key: bytes, value: bytes, headers: routed.Headers) -> int:
    """The bytes that a message may take in a batch, beside its overhead."""
    return len(key) + len(value) + sum(len(name) + len(content or b"") + 10 for name, content in headers)
