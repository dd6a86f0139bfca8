"""Redis away, set back or emptied, replies lost, and writers that were the writer before."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from detector.config.options import RedisAt
from detector.errors import Fenced, InDoubt, Unavailable
from detector.store.contract import Fence
from detector.store.redis.connect import store_at
from detector.store.redis.store import RedisStore
from tests.redis_commits import OPS, SHARD, commit, contents, full
from tests.servers.redis import Proxy, Server, serving


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that these tests may kill."""
    with serving(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The same, empty."""
    running("FLUSHALL")
    return running


@pytest.fixture
def store(server: Server) -> Iterator[RedisStore]:
    """A store in it."""
    with closing(store_at(RedisAt(url=server.url))) as store:
        yield store


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """Stands before the server."""
    with closing(Proxy(server.port)) as proxy:
        yield proxy


def test_a_lost_reply_is_in_doubt_and_the_next_start_finds_the_commit(server: Server, proxy: Proxy) -> None:
    """Nothing is sent twice by itself; the fence says that it was written, and the same again is success."""
    with closing(store_at(RedisAt(url=f"redis://127.0.0.1:{proxy.port}"))) as store:
        store.commit(full(0))
        proxy.cut_replies()
        with pytest.raises(InDoubt, match="gave no answer") as lost:
            store.commit(full(1))
        assert lost.value.exit_code == 4
    with closing(store_at(RedisAt(url=server.url))) as restarted:
        assert restarted.fence(SHARD) == Fence(2, "b1", b"fence 2", b"memory")
        before = contents(server)
        restarted.commit(full(1))
        assert contents(server) == before
        with pytest.raises(Fenced, match="is at commit 2, not at 1"):
            restarted.commit(commit(1, states={"web": b"another batch"}))
        restarted.commit(full(2))


def test_a_lost_reply_to_a_read_is_not_in_doubt(proxy: Proxy) -> None:
    """Whoever reads may do so again."""
    with closing(store_at(RedisAt(url=f"redis://127.0.0.1:{proxy.port}"))) as store:
        store.commit(full(0))
        proxy.cut_replies()
        with pytest.raises(Unavailable, match="gave no answer") as lost:
            store.fence(SHARD)
        assert not isinstance(lost.value, InDoubt)


def test_a_server_that_is_away_is_waited_for_and_nothing_is_lost(server: Server, store: RedisStore) -> None:
    """Nothing was sent, so the same commit is made again once the server is back, with its scripts gone."""
    store.enrol(SHARD, [OPS])
    store.commit(full(0))
    saved = server.snapshot()
    server.kill()
    with pytest.raises(Unavailable, match="cannot be reached") as away:
        store.commit(full(1))
    assert not isinstance(away.value, InDoubt)
    with pytest.raises(Unavailable, match="cannot be reached"):
        store.fence(SHARD)
    server.restore(saved)
    store.commit(full(1))
    assert store.fence(SHARD) == Fence(2, "b1", b"fence 2", b"memory")


def test_a_zombie_is_refused(server: Server, store: RedisStore) -> None:
    """Whoever was the writer before cannot overwrite newer states, though it reads them."""
    store.commit(full(0))
    with closing(store_at(RedisAt(url=server.url))) as newer:
        assert newer.fence(SHARD) is not None
        newer.commit(commit(1, states={"web": b"newer"}))
        before = contents(server)
        assert store.load(SHARD, ["web"]) == {"web": b"newer"}
        with pytest.raises(Fenced, match="is at commit 2, not at 1"):
            store.commit(commit(1, states={"web": b"older"}))
        assert contents(server) == before
        newer.commit(commit(2))


@pytest.mark.parametrize("is_released", [True, False])
def test_a_shard_that_comes_back_is_read_anew(server: Server, store: RedisStore, is_released: bool) -> None:
    """Another process may have had it meanwhile."""
    store.commit(commit(0, states={"web": b"ours"}))
    if is_released:
        store.release(SHARD)
    with closing(store_at(RedisAt(url=server.url))) as other:
        other.commit(commit(1, states={"web": b"theirs"}))
    assert store.fence(SHARD) == Fence(2, "b1", b"fence 2", b"memory")
    assert store.load(SHARD, ["web"]) == {"web": b"theirs"}
    store.commit(commit(2))


def test_an_older_snapshot_goes_on_from_its_own_fence(server: Server, store: RedisStore) -> None:
    """The process ends at its next commit; the next start finds the fence, states and outbox of that day."""
    store.enrol(SHARD, [OPS])
    store.commit(full(0))
    old = contents(server)
    snapshot = server.snapshot()
    store.commit(full(1))
    store.commit(full(2))
    server.restore(snapshot)
    with pytest.raises(Fenced, match="is at commit 1, not at 3"):
        store.commit(full(3))
    assert contents(server) == old
    assert store.fence(SHARD) == Fence(1, "b1", b"fence 1", b"memory")
    store.commit(full(1))


def test_a_past_that_was_rewritten_is_not_taken_for_ours(server: Server, store: RedisStore) -> None:
    """After a rollback another process may have come as far again: the number alone would not show it."""
    store.commit(full(0))
    snapshot = server.snapshot()
    store.commit(commit(1, states={"web": b"ours"}))
    server.restore(snapshot)
    with closing(store_at(RedisAt(url=server.url))) as other:
        other.commit(commit(1, states={"web": b"theirs"}))
    with pytest.raises(Fenced, match="at another commit 2 than the one that the batch is based on"):
        store.commit(commit(2, states={"web": b"ours again"}))
    assert store.all_states(SHARD)["web"] == b"theirs"


def test_a_flushed_server_has_no_fence(server: Server, store: RedisStore) -> None:
    """The process ends at its next commit, and the next start begins as for the first time."""
    store.enrol(SHARD, [OPS])
    store.commit(full(0))
    server("FLUSHALL")
    with pytest.raises(Fenced, match="is at commit 0, not at 1"):
        store.commit(full(1))
    assert server("KEYS", "*") == []
    assert store.fence(SHARD) is None
    assert store.load(SHARD, ["web"]) == {}
    store.enrol(SHARD, [OPS])
    store.commit(full(0))


def test_a_flush_right_after_the_enrolment_loses_no_alert(server: Server, store: RedisStore) -> None:
    """A first commit is refused where the receivers are gone: its alerts would have reached nobody."""
    store.enrol(SHARD, [OPS])
    assert store.fence(SHARD) is None
    server("FLUSHALL")
    with pytest.raises(Fenced, match="has changed the receivers"):
        store.commit(full(0))
    assert server("KEYS", "*") == []
