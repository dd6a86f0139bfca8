"""What passes between the Kafka input and the shell that works on it. No I/O, and nothing of Faust's.

Offsets are Kafka's. A fence is the last offset whose effects are kept, -1 before the first.
"""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from detector.inputs.kafka.connection import Connection

ANEW: Final = -2  # in place of a fence: there was one, and somebody has removed it on purpose


class Shard(NamedTuple):
    """A partition: what one writer owns."""

    topic: str
    partition: int

    def __str__(self) -> str:
        """`topic-partition`, as Kafka's own tools write it."""
        return f"{self.topic}-{self.partition}"


class KafkaRecord(msgspec.Struct, frozen=True, gc=False):
    """One message of a topic."""

    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class ClientRecord(Protocol):
    """A message as Kafka's client gives it. The value of a header may be null."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def record_of(message: ClientRecord) -> KafkaRecord:
    """The record of a message; a header without a value has an empty one."""
    headers = tuple((name, content or b"") for name, content in message.headers) if message.headers else ()
    return KafkaRecord(message.offset, message.timestamp, message.key, message.value, headers)


class PartitionBatch(msgspec.Struct, frozen=True):
    """Everything of one partition that lies behind `after`, up to and with `last`.

    Offsets without a record belong to it too: marks of transactions, and what compaction took away.
    """

    shard: Shard
    after: int
    last: int
    records: list[KafkaRecord]
    at_end: bool  # nothing more was there when it was fetched


class Begin(msgspec.Struct, frozen=True):
    """Where a shard is read from."""

    after: int
    fence: int | None  # as it was found; None where there was none
    lost: int = 0  # offsets that retention took before they were read
    forgotten: bool = False  # there is no fence, but the group had been here: the store has lost it


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """What is read and how much of it at once."""

    connection: Connection
    group: str
    topics: tuple[str, ...]
    written: tuple[str, ...] = ()  # topics that are written to
    start: Literal["latest", "earliest"] | datetime = "latest"  # where a shard without a fence begins
    whole: frozenset[str] = frozenset()  # topics that are begun at their start the first time: our own
    reread: int = 0  # offsets before their fence that shards of the other topics are read from
    added: dict[str, int] = {}  # a topic's first partition that came later: begun at its start too
    max_lines: int = 4096  # of a batch
    max_bytes: int = 4 << 20
    session_timeout_s: float = 30.0  # a worker that says nothing for this long loses its shards
    rebalance_timeout_s: float = 30.0
    begin_timeout_s: float = 10.0  # to read a fence after an assignment
    metadata_max_age_s: float = 30.0  # how soon new partitions, and a topic made anew, are noticed
    drain_timeout_s: float = 10.0  # for the batch in hand, when shards go or the worker ends
    stall_timeout_s: float = 60.0  # records wait and nothing is read for this long: the worker ends
    tick_s: float = 0.5
    hint_s: float = 1.0  # how often the group's offsets are set, for lag monitors only

    def is_whole(self, shard: Shard) -> bool:
        """Whether the shard is begun at its start the first time."""
        return shard.topic in self.whole or shard.partition >= self.added.get(shard.topic, sys.maxsize)


class Work(Protocol):
    """What the shell does. All of it is called in one thread, one call at a time.

    An error of any of them ends the worker: start-up repairs.
    """

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to, None where nobody has begun it, ANEW where it is to be begun again."""

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Take the shard: batches follow, the first of them after `begin.after`.

        Where that is not the fence, commit it: with `lost`, states start cold.
        """

    def process(self, batch: PartitionBatch) -> None:
        """Commit what the batch calls for."""

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """The end of the log was reached, and the broker has had nothing more for this long."""

    def stopped(self, shard: Shard, reason: str) -> None:
        """The shard cannot be read; the others go on."""

    def dropped(self, shards: frozenset[Shard]) -> None:
        """These shards are somebody else's from now on, or will be taken again."""


class Stopping(Protocol):
    """How a worker learns that it is to end."""

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until the worker is to end; whether it is to end."""
