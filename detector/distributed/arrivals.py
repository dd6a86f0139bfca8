"""The records of one routed partition on their way into the core, each on its own origin's clock. No I/O.

Lines of several origins' partitions meet in one routed partition, and after a pause one origin's may come
hours before another's. So each origin has its own clock, and one of which there is more to come holds back
the endings of the sources that are here: the router says which (`routed`).
"""

from collections.abc import Iterable, Iterator, Sequence

from detector.distributed import routed
from detector.distributed.routed import Routed
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.pipeline import Batch
from detector.records import Record, Reject
from detector.shard.intake import Intake, Stretch

HEARD_S = 60.0  # a router that says nothing for so long after a start has nothing to say


class Arrivals:
    """Which origins of one routed partition have more to come."""

    def __init__(self, shard: Shard, known: Iterable[str], now_s: float) -> None:
        """Nobody has been heard since the start: all that are known may have more."""
        self._shard, self._begun_s = shard, now_s
        self._unread, self._unheard = frozenset(known), set(known)

    def unread(self, now_s: float) -> frozenset[str]:
        """The origins that hold endings back."""
        if self._unheard and now_s - self._begun_s > HEARD_S:
            self._unread -= self._unheard
            self._unheard.clear()
        return self._unread

    def batch(self, intake: Intake, records: Sequence[KafkaRecord], now_s: float) -> Batch:
        """The records as a batch for the core."""
        self.unread(now_s)
        arrived = [routed.read(self._shard, record) for record in records]
        taken = intake.of_feeds(self._stretches(arrived), self._unread)
        intake.rejects = [*intake.rejects, *(_cut(one) for one in arrived if one.cut)]
        return taken

    def _stretches(self, arrived: Iterable[Routed]) -> Iterator[Stretch]:
        feed, records = "", list[Record]()
        for one in arrived:
            is_unread = one.feed in self._unread
            if records and (one.feed != feed or one.more != is_unread or one.mark_us is not None):
                yield Stretch(feed, records, self._unread)
                records = []
            if one.more != is_unread:
                self._unread = self._unread | {one.feed} if one.more else self._unread - {one.feed}
            self._unheard.discard(one.feed)
            feed = one.feed
            if one.mark_us is not None:
                yield Stretch(feed, [], self._unread, one.mark_us)
            elif not one.cut:
                records.append(one.record)
        if records:
            yield Stretch(feed, records, self._unread)


def _cut(one: Routed) -> Reject:
    reason = f"record of {one.cut} bytes: more than the routed topic takes (max.message.bytes)"
    return Reject(one.record.origin, one.record.offset, reason, one.record.value)
