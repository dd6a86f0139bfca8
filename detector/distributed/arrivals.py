"""The records of one routed partition on their way into the core, each on its own origin's clock. No I/O.

Lines of several origins' partitions meet in one routed partition, and one origin's may come hours before
another's: after a pause, or because its router is quicker. So each origin has its own clock, and one that has
more to come, or was heard a moment ago, holds back the endings of the sources that are here: the router says
which have more (`routed`).
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from detector.distributed import packs, routed
from detector.distributed.routed import Routed
from detector.errors import BadRecord
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.pipeline import Batch
from detector.records import Record, Reject
from detector.shard.intake import Intake, Stretch

MORE_S = 60.0  # an origin that is said to have more, and says nothing for so long, is waited for no longer
STEP_S = 1.0  # that a clock goes on by at once: ticks come more often, where nothing stands still
HEARD_S = 2.0  # routers take turns: who was heard so lately is not behind, whatever its clock says


class Steady:
    """A clock for one partition that stands still while the process does, or while Kafka does not answer."""

    def __init__(self, now_s: float) -> None:
        """Begin with this time."""
        self._at_s = self._last_s = now_s
        self._quiet_s = 0.0

    def read(self, now_s: float) -> float:
        """The time, when something was read."""
        self._at_s += min(now_s - self._last_s, STEP_S)
        self._last_s, self._quiet_s = now_s, 0.0
        return self._at_s

    def quiet(self, now_s: float, quiet_s: float) -> float:
        """The time, when Kafka has had nothing more for so long; it stands while that is the same."""
        if quiet_s > self._quiet_s:
            self.read(now_s)
            self._quiet_s = quiet_s
        return self._at_s


class _Arrived(NamedTuple):
    feed: str  # the partition that it comes from
    records: list[Record]
    more: bool
    mark_us: int | None = None
    reject: Reject | None = None
    offsets: tuple[int, int] | None = None  # of the first line of a pack, and of the last


class Arrivals:
    """Which origins of one routed partition hold endings back."""

    def __init__(self, shard: Shard, known: Iterable[str], now_s: float, away_s: float = 0.0) -> None:
        """Nobody has been heard since the start: all that are known may have more.

        A router may be gone for `away_s` before another one takes its place.
        """
        self._shard = shard
        self._heard_for_s, self._more_for_s = max(HEARD_S, away_s), max(MORE_S, away_s)
        self._more = set(known)
        self._heard_s = dict.fromkeys(self._more, now_s)
        self._newest: dict[str, int] = {}
        self.doubled: dict[str, None] = {}  # origins with lines that came before

    def unread(self, now_s: float) -> frozenset[str]:
        """The origins that hold endings back; `now_s` is any clock that only goes forward."""
        for feed, at_s in list(self._heard_s.items()):
            if now_s - at_s >= (self._more_for_s if feed in self._more else self._heard_for_s):
                del self._heard_s[feed]
                self._more.discard(feed)
        return frozenset(self._heard_s)

    def batch(self, intake: Intake, records: Iterable[KafkaRecord], now_s: float) -> Batch:
        """The records, whose offsets are numbers (`packs`), as a batch for the core."""
        arrived = [_arrived(self._shard, record) for record in records]
        for one in arrived:
            self._heard_s[one.feed] = now_s
            self._compare(one)
            if one.more:
                self._more.add(one.feed)
            else:
                self._more.discard(one.feed)
        unread = self.unread(now_s)
        taken = intake.of_feeds(_stretches(arrived, unread), unread)
        intake.rejects = [*intake.rejects, *(one.reject for one in arrived if one.reject is not None)]
        return taken

    def _compare(self, one: _Arrived) -> None:
        """Note an origin that goes back: a router sends its lines in their order, and none twice."""
        if one.offsets is not None:
            first, last = one.offsets
            if first < self._newest.get(one.feed, 0):
                self.doubled[one.feed] = None
            self._newest[one.feed] = last


def _arrived(shard: Shard, record: KafkaRecord) -> _Arrived:
    if packs.count_of(record):
        return _pack(shard, record)
    one = routed.read(shard, record)
    if one.cut:
        return _Arrived(one.feed, [], one.more, reject=_cut(one))
    return _Arrived(one.feed, [one.record] if one.mark_us is None else [], one.more, one.mark_us)


def _pack(shard: Shard, record: KafkaRecord) -> _Arrived:
    try:
        pack = packs.pack_of(record)
    except BadRecord as error:
        return _Arrived(str(shard), [], False, reject=Reject(shard.topic, record.offset, str(error), b""))
    return _Arrived(
        pack.feed,
        packs.records_of(record, pack),
        routed.has_more(record),
        offsets=(pack.lines[0].offset, pack.lines[-1].offset) if pack.lines else None,
    )


def _stretches(arrived: Iterable[_Arrived], unread: frozenset[str]) -> Iterator[Stretch]:
    feed, records = "", list[Record]()
    for one in arrived:
        if records and (one.feed != feed or one.mark_us is not None):
            yield Stretch(feed, records, unread)
            records = []
        feed = one.feed
        if one.mark_us is not None:
            yield Stretch(feed, [], unread, one.mark_us)
        else:
            records += one.records
    if records:
        yield Stretch(feed, records, unread)


def _cut(one: Routed) -> Reject:
    reason = f"record of {one.cut} bytes: more than the routed topic takes (max.message.bytes)"
    return Reject(one.record.origin, one.record.offset, reason, one.record.value)
