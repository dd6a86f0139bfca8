"""A worker whose shard another one has taken and changed: it ends as fenced, whatever it reads there."""

from contextlib import closing
from pathlib import Path

import pytest

from detector.config.options import RedisAt
from detector.distributed.partitions import Partitions
from detector.errors import BadSetup, Fenced
from detector.inputs.kafka.feed import Begin, KafkaRecord, PartitionBatch, Shard
from detector.shard.core import Core
from detector.store.redis.connect import store_at
from detector.store.redis.keys import key
from detector.store.redis.store import RedisStore
from tests.small_bundle import TEMPLATES, log_line, small_bundle
from tests.stores import shared_redis
from tests.watching import START_S, core_of

SHARD = Shard("logs", 0)
LINES = 100  # of one source: more than it takes to change over to a newer bundle


@pytest.fixture
def at() -> RedisAt:
    """The server that all tests share, emptied."""
    server = shared_redis()
    server("FLUSHALL")
    return RedisAt(url=server.url)


def batch(first: int) -> PartitionBatch:
    """The next lines of the source."""
    values = [log_line(START_S + n, "web-1", n % TEMPLATES, n).rstrip() for n in range(first, first + LINES)]
    records = [KafkaRecord(first + index, 0, None, value, ()) for index, value in enumerate(values)]
    return PartitionBatch(SHARD, first - 1, first + LINES - 1, records, at_end=True)


def worker(core: Core, store: RedisStore, first: int) -> Partitions:
    """One that keeps no state in memory, and goes on from an offset."""
    partitions = Partitions(core, store, [], cache_sources=0)
    assert partitions.fence(SHARD) == (first - 1 if first else None)
    partitions.begin(SHARD, Begin(after=first - 1, fence=first - 1 if first else None))
    return partitions


def cores(folder: Path) -> tuple[Core, Core]:
    """Those of a bundle and of a newer one."""
    for seed, name in enumerate(("old", "new")):
        small_bundle(folder / name, session=False, seed=seed)
    return core_of(folder / "old"), core_of(folder / "new")


def test_states_of_a_newer_bundle_that_the_next_owner_left_are_no_fault_of_the_setup(
    at: RedisAt, tmp_path: Path
) -> None:
    """A zombie goes on with a batch while the next worker has taken up another bundle: exit 5, not 2."""
    old, new = cores(tmp_path)
    with closing(store_at(at)) as store, closing(store_at(at)) as other:
        zombie = worker(old, store, 0)
        zombie.process(batch(0))
        worker(new, other, LINES).process(batch(LINES))
        before = other.all_states(str(SHARD))
        with pytest.raises(Fenced, match="another process has written to it"):
            zombie.process(batch(LINES))
        with pytest.raises(Fenced, match="another process has written to it"):
            zombie.process(batch(2 * LINES))
        assert other.all_states(str(SHARD)) == before


def test_states_that_cannot_be_read_are_a_fault_where_nobody_else_wrote_them(
    at: RedisAt, tmp_path: Path
) -> None:
    """Somebody's hand was in Redis: exit 2 says so."""
    old, _ = cores(tmp_path)
    with closing(store_at(at)) as store:
        ours = worker(old, store, 0)
        ours.process(batch(0))
        shared_redis()("HSET", key(at.key_prefix, str(SHARD), "states"), "web-1", "no state")
        with pytest.raises(BadSetup):
            ours.process(batch(LINES))
