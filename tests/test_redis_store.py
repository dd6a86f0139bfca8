"""What a store of many shards adds to the contract of a store: shards, memory, bounds, and its own keys."""

import random
import sys
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from detector.config.options import RedisAt
from detector.store.contract import Fence
from detector.store.outbox import Enrolment
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.deliveries import Deliveries
from detector.store.redis.keys import SHARD_PARTS, key
from detector.store.redis.store import RedisStore
from detector.store.redis.written import remove, written
from tests.delivery import revision
from tests.redis_commits import OPS, SHARD, commit, contents, full
from tests.servers.redis import Server
from tests.stores import shared_redis


@pytest.fixture
def server() -> Server:
    """The server that all tests share, emptied."""
    server = shared_redis()
    server("FLUSHALL")
    return server


@pytest.fixture
def store(server: Server) -> Iterator[RedisStore]:
    """A store in it."""
    with closing(store_at(RedisAt(url=server.url))) as store:
        yield store


def test_shards_do_not_touch_each_other(store: RedisStore) -> None:
    """The same source in two shards is two sources."""
    store.commit(commit(0, states={"web": b"one"}, due_us={"web": 1}))
    store.commit(commit(0, shard="logs/1", states={"web": b"two"}))
    store.commit(commit(0, shard="{odd} name*", states={"web": b"three"}))
    assert store.load(SHARD, ["web"]) == {"web": b"one"}
    assert store.load("logs/1", ["web"]) == {"web": b"two"}
    assert store.load("{odd} name*", ["web"]) == {"web": b"three"}
    assert store.due("logs/1", 99, -1) == []
    assert store.fence("{odd} name*") == Fence(1, "b1", b"fence 1", b"memory")


def test_sources_are_read_as_they_were_last_written(store: RedisStore) -> None:
    """And what is due is due."""
    seed = 7
    rng = random.Random(seed)
    sys.stdout.write(f"seed {seed}\n")
    states: dict[str, bytes] = {}
    due: dict[str, int] = {}
    for number in range(40):
        names = {f"s{rng.randrange(30)}" for _ in range(6)}
        assert store.load(SHARD, names) == {name: states[name] for name in names if name in states}
        new = {name: rng.choice([None, b"%d" % number]) for name in names}
        times = {name: rng.choice([None, rng.randrange(100)]) for name in names}
        store.commit(commit(number, states=new, due_us=times))
        for name, state in new.items():
            states.pop(name, None)
            due.pop(name, None)
            if state is not None:
                states[name] = state
                if (at := times[name]) is not None:
                    due[name] = at
        clock = rng.randrange(100)
        assert sorted(store.due(SHARD, clock, -1)) == sorted(name for name in due if due[name] < clock)


def test_a_batch_is_read_in_one_round_trip(server: Server, store: RedisStore) -> None:
    """However many sources it has; where no source has a state, and before one is due, in none."""
    names = [f"s{number}" for number in range(8_000)]
    assert store.load(SHARD, names) == {}
    store.commit(commit(0, states=dict.fromkeys(names[::2], b"1"), due_us={"s0": 50}))
    server("CONFIG", "RESETSTAT")
    assert store.load(SHARD, names) == dict.fromkeys(names[::2], b"1")
    assert store.due(SHARD, 40, 100) == []
    calls = server("INFO", "commandstats").decode()
    assert "cmdstat_hmget:calls=1," in calls
    assert "cmdstat_zrangebyscore" not in calls
    assert store.due(SHARD, 60, 100) == ["s0"]


def test_nothing_has_a_time_to_live(server: Server, store: RedisStore) -> None:
    """An evicting policy for keys that have one then takes none of ours."""
    store.enrol(SHARD, [OPS])
    store.commit(full(0))
    names = server("KEYS", "*")
    assert len(names) >= len(SHARD_PARTS)
    assert {server("PTTL", name) for name in names} == {-1}


def test_purge_takes_what_is_ours_and_nothing_else(server: Server, store: RedisStore) -> None:
    """A prefix that begins alike, and keys of others that look alike, stay."""
    with closing(store_at(RedisAt(url=server.url, key_prefix="tailrace-2"))) as second:
        second.commit(full(0))
    others = ["tailrace", "{tailrace:logs/0}:theirs", "tailrace:logs/0:states", "{tailrace}:states", "x"]
    for name in others:
        server("SET", name, "theirs")
    kept = contents(server)
    for shard in (SHARD, "logs/1", "{odd} name*"):
        store.enrol(shard, [OPS, Enrolment("tailrace:console", "console")])
        store.commit(msgspec.structs.replace(full(0), shard=shard))
    with closing(nodes_at(RedisAt(url=server.url))) as nodes:
        found = list(written(nodes, "tailrace"))
        assert {one.shard for one in found} == {SHARD, "logs/1", "{odd} name*"}
        assert {one.name.encode() for one in found} == set(contents(server)) - set(kept)
        for one in found:
            remove(nodes, one)
    assert contents(server) == kept


def test_one_queue_delivers_from_all_shards_of_a_process(server: Server, store: RedisStore) -> None:
    """Places in two outboxes are alike, and are told apart; a shard that was given up is left alone."""
    owned = [SHARD, "logs/1"]
    for shard in owned:
        store.enrol(shard, [OPS])
        first = revision(f"of {shard}", 1)
        store.commit(commit(0, shard=shard, revisions=[first, revision(f"of {shard}", 2)]))
    with closing(nodes_at(RedisAt(url=server.url))) as nodes:
        queue = Deliveries(nodes, "tailrace", lambda: owned)
        one, two = queue.due("ops", now_s=0.0, limit=8)
        assert {one.alert_id, two.alert_id} == {f"of {shard}" for shard in owned}
        queue.delivered("ops", two.seq)
        after = {(each.alert_id, each.revision) for each in queue.due("ops", now_s=0.0, limit=8)}
        assert after == {(one.alert_id, 1), (two.alert_id, 2)}
        owned.remove("logs/1")
        assert [each.alert_id for each in queue.due("ops", now_s=0.0, limit=8)] == [f"of {SHARD}"]


def test_a_storm_of_alerts_stays_bounded(server: Server, store: RedisStore) -> None:
    """More revisions than one receiver may leave waiting: the newest wait, the rest is counted."""
    store.enrol(SHARD, [Enrolment("ops", "there", max_pending=100)])
    store.commit(commit(0, revisions=[revision(f"a{number}", 1) for number in range(5000)]))
    with closing(nodes_at(RedisAt(url=server.url))) as nodes:
        counts = Deliveries(nodes, "tailrace", lambda: [SHARD]).counts()
    assert counts == {("ops", "pending"): 100, ("ops", "dead"): RedisAt().kept_revisions - 100}
    assert server("HLEN", key("tailrace", SHARD, "outbox")) == RedisAt().kept_revisions
    assert server("HLEN", key("tailrace", SHARD, "alerts")) == RedisAt().kept_revisions
