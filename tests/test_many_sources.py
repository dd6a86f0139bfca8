"""Many sources: the memory of a worker stays as it is, and what has ended is gone from Redis altogether."""

import gc
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from detector.config.options import RedisAt
from detector.distributed.partitions import COMMITS, Partitions
from detector.inputs.kafka.feed import Begin, KafkaRecord, PartitionBatch, Shard
from detector.metrics.committed import Committed, Told, nobody
from detector.shard.stored import ROOM_BYTES, Codec, Room, StoredStates
from detector.shard.work import MAX_DUE
from detector.stages.decode.clock import CONFIRMING_LINES
from detector.stages.judge.state import SourceState, decode, memory_bytes
from detector.store.redis.connect import store_at
from detector.store.redis.store import RedisStore
from tests.servers.redis import Server
from tests.small_bundle import TEMPLATES, log_line, small_bundle
from tests.stores import shared_redis
from tests.watching import START_S, core_of

SHARD = Shard("logs", 0)
BATCH = 500
LITTLE = 1 << 20  # bytes, of some hundred states
DAY_S = 86_400.0
DAYS_60_S = 60 * DAY_S
FAR_US = 1 << 62
SESSIONS = pytest.mark.parametrize("session", [True, False], ids=["sessions", "streams"])


class Growing:
    """A worker of one partition that hears of ever more sources."""

    def __init__(self, partitions: Partitions) -> None:
        """Begin with none."""
        self.partitions, self._offset = partitions, 0
        partitions.fence(SHARD)
        partitions.begin(SHARD, Begin(after=-1, fence=None))

    def hear(self, first: int, last: int, lines: int = 1) -> None:
        """So many lines of each of these sources, in batches."""
        self.hear_at([(number / 1000, number) for number in range(first, last) for _ in range(lines)])

    def hear_at(self, said: Sequence[tuple[float, int]]) -> None:
        """Lines at these times, of these sources."""
        values = [
            log_line(START_S + at_s, f"web-{number}", (index + number) % TEMPLATES, number).rstrip()
            for index, (at_s, number) in enumerate(said)
        ]
        for start in range(0, len(values), BATCH):
            some = values[start : start + BATCH]
            records = [
                KafkaRecord(self._offset + index, 0, None, value, ()) for index, value in enumerate(some)
            ]
            after, self._offset = self._offset - 1, self._offset + len(some)
            self.partitions.process(PartitionBatch(SHARD, after, self._offset - 1, records, at_end=True))


@pytest.fixture
def server() -> Server:
    """The server that all tests share, emptied."""
    server = shared_redis()
    server("FLUSHALL")
    return server


@contextmanager
def growing(
    server: Server, folder: Path, *, session: bool, cache_bytes: int, told: Told = nobody
) -> Iterator[tuple[Growing, RedisStore]]:
    """A worker that may keep as many sources in memory as these bytes hold."""
    small_bundle(folder / "bundle", session=session)
    with closing(store_at(RedisAt(url=server.url))) as store:
        core = core_of(folder / "bundle", session=session)
        work = Partitions(core, store, [], cache_sources=10**6, cache_bytes=cache_bytes, told=told)
        yield Growing(work), store


def grown_by(work: Growing) -> int:
    """What several thousand more sources add to the memory of a worker that has its thousands."""
    tracemalloc.start()
    try:
        work.hear(0, 2_000)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        work.hear(2_000, 6_000)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@SESSIONS
def test_the_memory_of_a_worker_does_not_grow_with_its_sources(
    server: Server, tmp_path: Path, session: bool
) -> None:
    """Of four thousand more sources nothing stays; with room for all of them it would be megabytes."""
    with growing(server, tmp_path, session=session, cache_bytes=LITTLE) as (work, store):
        assert grown_by(work) < 200_000
        assert store.sources(str(SHARD)) == 6_000
    server("FLUSHALL")
    with growing(server, tmp_path / "more", session=session, cache_bytes=ROOM_BYTES) as (work, _):
        assert grown_by(work) > 3_000_000


@SESSIONS
def test_what_has_ended_leaves_redis_altogether(server: Server, tmp_path: Path, session: bool) -> None:
    """Once alerts are resolved and forgotten about, nothing of a source is left."""
    with growing(server, tmp_path, session=session, cache_bytes=LITTLE) as (work, store):
        work.hear(0, 3_000, lines=2)
        assert store.sources(str(SHARD)) == 3_000
        while store.due(str(SHARD), FAR_US, 1):
            work.partitions.tick(SHARD, DAYS_60_S)
        assert store.sources(str(SHARD)) == 0
    assert {name for name in server("KEYS", "*") if name.endswith((b":states", b":due"))} == set()


def test_endings_do_not_hold_up_a_worker(server: Server, tmp_path: Path) -> None:
    """Where more end at once than a second's work, the rest ends at the next ticks."""
    with growing(server, tmp_path, session=True, cache_bytes=LITTLE) as (work, store):
        work.hear(0, 10_000)
        left = [store.sources(str(SHARD))]
        while left[-1]:
            work.partitions.tick(SHARD, DAYS_60_S)
            left.append(store.sources(str(SHARD)))
            assert left[-2] - MAX_DUE * COMMITS <= left[-1] < left[-2]


def test_a_clock_that_goes_back_ends_all_that_were_due_in_small_commits(
    server: Server, tmp_path: Path
) -> None:
    """What was due while it was ahead is said, and no commit is larger than a batch with what it takes up."""
    told: list[Committed] = []
    with growing(server, tmp_path, session=True, cache_bytes=LITTLE, told=told.append) as (work, _):
        work.hear(0, 4_000)
        ahead = [(DAY_S, 4_000)] * CONFIRMING_LINES
        work.hear_at([*ahead, *[(0.0, 4_001)] * CONFIRMING_LINES])
    closed = [one.source for each in told for one in each.done.closed]
    assert {f"job-{number}" for number in range(4_000)} <= set(closed)
    assert max(len(one.done.states) for one in told) <= BATCH + MAX_DUE


@SESSIONS
def test_the_memory_of_a_state_is_known_about(server: Server, tmp_path: Path, session: bool) -> None:
    """Within a factor of two of what Python takes for it, be its source young or old."""
    with growing(server, tmp_path, session=session, cache_bytes=LITTLE) as (work, store):
        bundle_id = work.partitions.works[SHARD].core.bundle.id
        for lines in (1, 30):
            work.hear(1_000 * lines, 1_000 * lines + 300, lines)
            encoded = store.all_states(str(SHARD))
            tracemalloc.start()
            states = {f"{name}": decode(data, bundle_id) for name, data in encoded.items()}
            taken, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            known = sum(map(memory_bytes, states.values()))
            assert 0.5 < known / taken < 2.0, (lines, known, taken)


def test_partitions_share_the_room_of_their_worker(server: Server) -> None:
    """One has all of it; when others come, it gives up their parts at once, and they have no more."""
    codec = Codec[SourceState](lambda _: b"", lambda _: SourceState(b""), memory_bytes)
    room, shards = Room(10**6, LITTLE), list[StoredStates[SourceState]]()
    many = {f"s{source}": SourceState(b"") for source in range(2_000)}
    with closing(store_at(RedisAt(url=server.url))) as store:
        for number in range(1, 9):
            shards.append(StoredStates(store, f"logs-{number}", codec, room))
            assert sum(one.memory_bytes for one in shards) <= LITTLE
            shards[-1].keep(dict(many))
            assert 0.9 * LITTLE / number < shards[-1].memory_bytes <= LITTLE / number
        del shards[1:]
        shards[0].keep(dict(many))
    assert shards[0].memory_bytes > 0.9 * LITTLE
