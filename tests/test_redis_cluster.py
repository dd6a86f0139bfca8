"""The store in a cluster of three: every shard whole on one node, and a slot that moves is followed."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from detector.config.options import RedisAt
from detector.errors import Unavailable
from detector.records import Reject
from detector.store.contract import Commit
from detector.store.outbox import Enrolment
from detector.store.redis.connect import check, nodes_at, store_at
from detector.store.redis.deliveries import open_deliveries
from detector.store.redis.keys import key
from detector.store.redis.written import read_alerts, remove, written
from tests.delivery import revision
from tests.receiver import free_port
from tests.servers.redis import Server, cluster

SHARDS = [f"logs/{number}" for number in range(12)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Three nodes."""
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture
def servers(running: list[Server]) -> list[Server]:
    """The same, empty."""
    for server in running:
        server("FLUSHALL")
    return running


def commit(shard: str, based_on: int) -> Commit:
    """A commit that writes to every part."""
    return Commit(
        shard=shard,
        based_on=based_on,
        bundle="b1",
        fence=b"f",
        memory=b"m",
        states={"web": b"%d" % based_on, "gone": None},
        due_us={"web": 7},
        revisions=[revision(f"{shard} {based_on}", 1)],
        rejects=[Reject("logs", 1, "no JSON", b"{")],
    )


def test_a_node_that_is_away_is_no_loss_where_another_is_named(servers: list[Server]) -> None:
    """Whoever starts while it is away finds the cluster all the same; with it alone nobody does."""
    away = free_port()
    with closing(nodes_at(RedisAt(url=f"redis://127.0.0.1:{away}"))) as nodes, pytest.raises(Unavailable):
        check(nodes)
    settings = RedisAt(url=f"redis://127.0.0.1:{away},127.0.0.1:{servers[1].port}")
    with closing(nodes_at(settings)) as nodes, closing(store_at(settings)) as store:
        assert check(nodes).nodes == 3
        for shard in SHARDS:
            store.commit(commit(shard, 0))
    assert all(server("DBSIZE") > 0 for server in servers)


def test_shards_are_committed_loaded_delivered_and_purged(servers: list[Server]) -> None:
    """Each wherever its slot is, whichever node was named."""
    settings = RedisAt(url=servers[1].url)
    with closing(nodes_at(settings)) as nodes, closing(store_at(settings)) as store:
        found = check(nodes)
        assert (found.nodes, found.is_cluster) == (3, True)
        for shard in SHARDS:
            store.enrol(shard, [Enrolment("ops", "there")])
            store.commit(commit(shard, 0))
            store.commit(commit(shard, 1))
        assert all(server("DBSIZE") > 0 for server in servers)
        with closing(store_at(RedisAt(url=servers[2].url))) as other:
            assert [other.load(shard, ["web"]) for shard in SHARDS] == [{"web": b"1"}] * len(SHARDS)
            assert [other.due(shard, 9, -1) for shard in SHARDS] == [["web"]] * len(SHARDS)
        with open_deliveries(settings, lambda: SHARDS) as queue:
            assert len(queue.due("ops", now_s=0.0, limit=99)) == 2 * len(SHARDS)
        assert len(read_alerts(nodes, "tailrace")) == 2 * len(SHARDS)
        for one in list(written(nodes, "tailrace")):
            remove(nodes, one)
    assert [server("DBSIZE") for server in servers] == [0, 0, 0]


def test_a_slot_that_has_moved_is_followed(servers: list[Server]) -> None:
    """A node that no longer has a slot does nothing but say so, and the commit goes to the one that has."""
    settings, shard = RedisAt(url=servers[0].url), SHARDS[0]
    slot = servers[0]("CLUSTER", "KEYSLOT", key("tailrace", shard, "fence"))
    with closing(store_at(settings)) as store:
        store.commit(commit(shard, 0))
        (source,) = [server for server in servers if server("DBSIZE")]
        target = servers[(servers.index(source) + 1) % 3]
        _move(slot, source, target, servers)
        store.commit(commit(shard, 1))
        assert store.load(shard, ["web"]) == {"web": b"1"}
        assert source("DBSIZE") == 0
        assert target("HGET", key("tailrace", shard, "fence"), "number") == b"2"
        _move(slot, target, source, servers)


def _move(slot: int, source: Server, target: Server, servers: list[Server]) -> None:
    ids = {server.port: server("CLUSTER", "MYID") for server in servers}
    target("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source.port])
    source("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target.port])
    names = source("CLUSTER", "GETKEYSINSLOT", slot, 100)
    source("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *names)
    for server in (target, source, *servers):
        server("CLUSTER", "SETSLOT", slot, "NODE", ids[target.port])


def test_a_slot_on_its_way_is_waited_for(servers: list[Server]) -> None:
    """Half of a shard's keys on each node: nothing is written, and it works once the slot has arrived."""
    settings, shard = RedisAt(url=servers[0].url), SHARDS[1]
    slot = servers[0]("CLUSTER", "KEYSLOT", key("tailrace", shard, "fence"))
    with closing(store_at(settings)) as store:
        store.commit(commit(shard, 0))
        (source,) = [server for server in servers if server("DBSIZE")]
        target = servers[(servers.index(source) + 1) % 3]
        target("CLUSTER", "SETSLOT", slot, "IMPORTING", source("CLUSTER", "MYID"))
        source("CLUSTER", "SETSLOT", slot, "MIGRATING", target("CLUSTER", "MYID"))
        source("MIGRATE", "127.0.0.1", target.port, key("tailrace", shard, "states"), 0, 5000)
        with pytest.raises(Unavailable, match="is moving the slot to another node"):
            store.commit(commit(shard, 1))
        _move(slot, source, target, servers)
        store.commit(commit(shard, 1))
        assert store.all_states(shard) == {"web": b"1"}
        _move(slot, target, source, servers)


def test_a_node_that_is_away_is_unavailable(servers: list[Server]) -> None:
    """And the others tell where its slots are, should they have moved."""
    with closing(store_at(RedisAt(url=servers[0].url))) as store:
        for shard in SHARDS:
            store.commit(commit(shard, 0))
        servers[0].kill()
        failures = 0
        for shard in SHARDS:
            try:
                store.commit(commit(shard, 1))
            except Unavailable:
                failures += 1
        assert 0 < failures <= len(SHARDS)
    servers[0].start()
