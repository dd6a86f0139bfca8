"""Lines that are in the routed topic already although they lie behind a shard's fence. Reads Kafka.

A transaction of which Kafka has lost a part may have left some there (`inputs.kafka.undecided`). A partition
got all of a transaction or nothing, and a shard's lines in their order: so what is behind the newest that it
has of a shard is missing, and what is before that is not.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from detector.distributed import packs, routed
from detector.errors import BadRecord
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.inputs.kafka.history import opened
from detector.inputs.kafka.spans import Span

CLOCKS_MS = 600_000  # by which those who route may differ
RECORDS = 500  # read at once

_log: Final = structlog.get_logger("router")


class There:
    """What is there already of the shards of one worker."""

    def __init__(self, connection: Connection, topic: str) -> None:
        """Read nothing yet."""
        self._connection, self._topic = connection, topic
        self._again_ms: dict[Shard, int] = {}
        self._newest: dict[Shard, dict[int, int]] = {}

    def expect(self, shard: Shard, again_ms: int | None) -> None:
        """Note since when lines behind the fence may be there; None where that is not so."""
        self._newest.pop(shard, None)
        self._again_ms.pop(shard, None)
        if again_ms is not None:
            self._again_ms[shard] = again_ms

    def look(self, shard: Shard, fence: int) -> None:
        """Find out what is there of a shard, where that is not known: of all of them, for it is one reading.

        Only now, because what else is undecided has to be settled by those who open it.

        Raises:
            Unavailable: Kafka does not answer, or something stays undecided.
        """
        if shard not in self._again_ms or shard in self._newest:
            return
        since_ms = min(self._again_ms.values())
        self._newest = newest(self._connection, self._topic, self._again_ms, since_ms)
        behind = {partition: last for partition, last in self._newest[shard].items() if last > fence}
        if behind:
            _log.warning("lines that are routed already are left out", shard=str(shard), up_to=behind)

    def newest(self, shard: Shard) -> Mapping[int, int]:
        """The offset of the newest line of the shard that is known to be in each partition."""
        return self._newest.get(shard, {})

    def again_ms(self, shard: Shard, last: int) -> int | None:
        """What is still to be noted with this fence: nothing once it is behind all that is there."""
        if shard in self._newest and last >= max(self._newest[shard].values(), default=-1):
            self.expect(shard, None)
        return self._again_ms.get(shard)


def newest(
    connection: Connection, topic: str, shards: Iterable[Shard], since_ms: int
) -> dict[Shard, dict[int, int]]:
    """For each shard, the offset of its newest line in each partition of the topic, as far as there is one.

    Raises:
        Unavailable: Kafka does not answer, or leaves undecided what is there.
    """
    found: dict[Shard, dict[int, int]] = {shard: {} for shard in shards}
    feeds = {f"{shard.topic}/{shard.partition}": shard for shard in found}
    since = Span(topic, since_ms - CLOCKS_MS if since_ms > CLOCKS_MS else None)
    with opened(connection, [since], RECORDS, undecided=True) as partitions:
        for (_, partition), batches in partitions:
            for feed, offset in (_origin(record) for batch in batches for record in batch):
                if feed in feeds:
                    known = found[feeds[feed]]
                    known[partition] = max(known.get(partition, -1), offset)
    return found


def _origin(record: KafkaRecord) -> tuple[str, int]:
    """Where the last line of a record comes from; nowhere if it holds none."""
    if packs.count_of(record):
        try:
            pack = packs.pack_of(record)
        except BadRecord:
            return "", -1
        return pack.feed, max((line.offset for line in pack.lines), default=-1)
    headers = dict(record.headers)
    feed, _, place = headers.get(routed.ORIGIN, b"").decode("utf-8", "replace").rpartition("/")
    offset, _, _ = place.partition(":")
    return ("", -1) if routed.MARK in headers else (feed, routed.number(offset.encode()))
