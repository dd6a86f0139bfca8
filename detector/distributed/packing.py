"""Collects a batch's lines into packs, one for each partition at a time. No I/O."""

from collections.abc import Mapping

from detector.distributed import packs
from detector.distributed.packs import Packed
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.inputs.kafka.forwarding import Message


class Packing:
    """What is sent for one batch: for each partition in the order in which it was added."""

    def __init__(self, shard: Shard, room_bytes: int, there: Mapping[int, int], *, more: bool) -> None:
        """Begin with nothing; a message has room for so many bytes, and the shard may have more.

        Lines up to those that are `there` already, in each partition, are left out.
        """
        self.shard, self.more = shard, more
        self._there = there
        self.topic = shard.topic.encode()  # the key of what has no other
        self.lines = 0
        self._feed = f"{shard.topic}/{shard.partition}"
        self._bound = min(packs.PACK_BYTES, room_bytes)
        self._open: dict[int, list[Packed]] = {}
        self._sizes: dict[int, int] = {}
        self._messages: list[Message] = []

    def add(self, partition: int, record: KafkaRecord, value: bytes, sub: int) -> bool:
        """Add a line of a record; False where no pack takes it."""
        if record.offset <= self._there.get(partition, -1):
            return True
        size = packs.size_of(value, record)
        if size > self._bound:
            return False
        lines, taken = self._open.get(partition), self._sizes.get(partition, 0)
        if lines is None or taken + size > self._bound:
            self._close(partition)
            lines, taken = self._open.setdefault(partition, []), 0
        lines.append(Packed(record.offset, sub, record.time_ms, record.key, value, record.headers))
        self._sizes[partition] = taken + size
        self.lines += 1
        return True

    def add_message(self, message: Message) -> None:
        """Add what has a message of its own."""
        self._close(message.partition)
        self._messages.append(message)
        self.lines += 1

    def messages(self) -> list[Message]:
        """All that was added."""
        for partition in list(self._open):
            self._close(partition)
        return self._messages

    def _close(self, partition: int) -> None:
        lines = self._open.pop(partition, None)
        if lines:
            value, headers = packs.packed(self._feed, lines, more=self.more)
            self._messages.append(Message(partition, None, value, headers))
