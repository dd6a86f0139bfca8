"""What only a store in Redis can get wrong: half a commit, lost replies, zombies, a past that comes back."""

import random
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from detector.config.options import RedisAt
from detector.errors import BadSetup, Fenced, InDoubt, Unavailable
from detector.records import Reject
from detector.store.contract import Commit, Fence
from detector.store.outbox import Enrolment
from detector.store.redis import encoding
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.deliveries import Deliveries
from detector.store.redis.keys import RECEIVER_PARTS, SHARD_PARTS, key
from detector.store.redis.pack import pack, unpack
from detector.store.redis.store import RedisStore
from detector.store.redis.written import remove, written
from tests.delivery import revision
from tests.servers.redis import Proxy, Server, serving

SHARD = "logs/0"
OPS = Enrolment("ops", "there")


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


def commit(based_on: int, **changes: Any) -> Commit:
    """A commit of nothing but its fence, unless said otherwise."""
    empty = Commit(SHARD, based_on, "b1", b"fence %d" % (based_on + 1), b"memory", {}, {}, [], [])
    return msgspec.structs.replace(empty, **changes)


def full(based_on: int) -> Commit:
    """A commit that writes to every part."""
    return commit(
        based_on,
        states={"web": b"web", "db": b"\xff\x00", "gone": None},
        due_us={"web": 7},
        revisions=[revision("a", based_on + 1), revision(f"b{based_on}", 1)],
        rejects=[Reject("logs", based_on, "no JSON", b"\xfe{")],
    )


def contents(server: Server) -> dict[bytes, Any]:
    """Every key with what it holds."""
    return {name: _value(server, name) for name in server("KEYS", "*")}


def _value(server: Server, name: bytes) -> Any:
    match server("TYPE", name):
        case b"hash":
            flat = server("HGETALL", name)
            return dict(zip(flat[::2], flat[1::2], strict=True))
        case b"zset":
            return server("ZRANGE", name, 0, -1, "WITHSCORES")
        case b"list":
            return server("LRANGE", name, 0, -1)
        case b"set":
            return set(server("SMEMBERS", name))
    return server("GET", name)


NAMES = [(part, "") for part in SHARD_PARTS] + [(part, "ops") for part in RECEIVER_PARTS]


RIGHT = {"rejects": "RPUSH", "overtaken": "SADD"} | dict.fromkeys(("due", "ready", "waiting"), "GEOADD")


@pytest.mark.parametrize(("part", "receiver"), NAMES, ids=[name for name, _ in NAMES])
@pytest.mark.parametrize("kind", ["SET", "RPUSH", "SADD", "GEOADD"])
def test_a_key_of_another_type_leaves_all_as_it_was(
    server: Server, store: RedisStore, part: str, receiver: str, kind: str
) -> None:
    """Redis does not undo a failing script, so what could make it fail is found before its first write."""
    store.enrol(SHARD, [OPS])
    store.commit(full(0))
    name = key("tailrace", SHARD, part, receiver)
    command = "HSET" if RIGHT.get(part) == kind else kind
    server("DEL", name)
    server(command, name, *{"HSET": ["f", "v"], "GEOADD": ["1", "2", "m"]}.get(command, ["v"]))
    before = contents(server)
    with pytest.raises(BadSetup, match=r"is a \w+ where a \w+ belongs; nothing was written"):
        store.commit(full(1))
    assert contents(server) == before


@pytest.mark.parametrize("change", ["short", "long", "half", "time", "not a number", "revision", "header"])
def test_arguments_that_do_not_fit_leave_all_as_it_was(
    server: Server, store: RedisStore, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug on our side is no reason for half a commit."""
    store.commit(full(0))
    before = contents(server)
    commit_id, args = encoding.arguments(full(1), "", [], encoding.Bounds(10, 10))
    header = list(unpack(args[0]))
    half = pack([*header[:-1], [3, 2, *header[-1][2:]]])
    changed = {
        "short": args[:-1],
        "long": [*args, b"x"],
        "half": [half, *args[1:]],
        "time": [*args[:6], b"soon", *args[7:]],
        "not a number": [*args[:6], b"nan", *args[7:]],
        "revision": [*args[:-1], pack(["a", 1])],
        "header": [pack(header[:-1]), *args[1:]],
    }[change]
    monkeypatch.setattr(encoding, "arguments", lambda *_: (commit_id, changed))
    with pytest.raises(BadSetup, match="nothing was written"):
        store.commit(full(1))
    assert contents(server) == before


@pytest.mark.parametrize("part", ["fence", "outbox", "alerts", "deliveries", "receivers"])
@pytest.mark.parametrize("value", [b"theirs", b"\x90", b"\x94\xc0\xc0\xc0\xc0"])
def test_values_that_are_not_ours_stop_no_commit_half_way(
    server: Server, store: RedisStore, part: str, value: bytes
) -> None:
    """Somebody has written into every field of a hash: a commit is refused at once, or is whole."""
    store.enrol(SHARD, [msgspec.structs.replace(OPS, max_pending=1)])
    store.commit(full(0))
    store.commit(full(1))
    name = key("tailrace", SHARD, part, "ops" if part == "deliveries" else "")
    for field in server("HKEYS", name):
        if field not in {b"number", b"id", b"sources"}:
            server("HSET", name, field, value)
    before = contents(server)
    try:
        store.commit(full(2))
    except Fenced:
        assert contents(server) == before
    else:
        assert server("HGET", key("tailrace", SHARD, "fence"), "number") == b"3"
        assert store.all_states(SHARD)["web"] == b"web"


def test_a_shard_that_was_given_up_is_read_anew(server: Server, store: RedisStore) -> None:
    """Another process may have had it meanwhile."""
    store.commit(commit(0, states={"web": b"ours"}))
    store.release(SHARD)
    with closing(store_at(RedisAt(url=server.url))) as other:
        other.commit(commit(1, states={"web": b"theirs"}))
    assert store.fence(SHARD) == Fence(2, "b1", b"fence 2", b"memory")
    assert store.load(SHARD, ["web"]) == {"web": b"theirs"}
    store.commit(commit(2))


def test_twenty_thousand_sources_go_in_one_commit(server: Server, store: RedisStore) -> None:
    """Lua unpacks about 4,000 values at most; chunks keep below that, also where all are removed again."""
    states: dict[str, bytes | None] = {f"host-{number}": b"%d" % number * 50 for number in range(20_000)}
    store.commit(commit(0, states=states, due_us={name: place for place, name in enumerate(states)}))
    assert store.all_states(SHARD) == dict(sorted(states.items()))
    assert store.due(SHARD, 20_000, -1) == list(states)
    with closing(store_at(RedisAt(url=server.url, cache_sources=10))) as other:
        assert other.load(SHARD, [*states, "absent"]) == states
    store.commit(commit(1, states=dict.fromkeys(states)))
    assert store.all_states(SHARD) == {}
    assert server("KEYS", "*") == [key("tailrace", SHARD, "fence").encode()]


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


@pytest.mark.parametrize("cache_sources", [1, 7, 1000])
def test_what_stays_in_memory_changes_nothing(server: Server, cache_sources: int) -> None:
    """However little is kept, sources are read as they were last written, and what is due is due."""
    rng = random.Random(cache_sources)
    sys.stdout.write(f"seed {cache_sources}\n")
    states: dict[str, bytes] = {}
    due: dict[str, int] = {}
    with closing(store_at(RedisAt(url=server.url, cache_sources=cache_sources))) as store:
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


def test_the_owner_of_a_shard_seldom_reads(server: Server, store: RedisStore) -> None:
    """What it wrote is in memory; new sources, and asking what is due, cost nothing while all are there."""
    store.commit(commit(0, states={"web": b"1", "db": b"2"}, due_us={"web": 50}))
    server("CONFIG", "RESETSTAT")
    for number in range(1, 20):
        assert store.due(SHARD, 40, 100) == []
        assert set(store.load(SHARD, ["web", "db", f"new-{number}"])) == {"web", "db"}
        store.commit(commit(number, states={"web": b"%d" % number}, due_us={"web": 50}))
    calls = server("INFO", "commandstats").decode()
    assert "cmdstat_evalsha:calls=19," in calls
    assert "cmdstat_hmget:calls=38," in calls  # the script's own
    assert "cmdstat_zrangebyscore" not in calls
    assert store.due(SHARD, 60, 100) == ["web"]


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
    """Whoever was the writer before cannot overwrite newer states, whatever it still has in memory."""
    store.commit(full(0))
    with closing(store_at(RedisAt(url=server.url))) as newer:
        assert newer.fence(SHARD) is not None
        newer.commit(commit(1, states={"web": b"newer"}))
        before = contents(server)
        assert store.load(SHARD, ["web"]) == {"web": b"web"}
        with pytest.raises(Fenced, match="is at commit 2, not at 1"):
            store.commit(commit(1, states={"web": b"older"}))
        assert contents(server) == before
        newer.commit(commit(2))


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


@pytest.mark.parametrize("lost", ["states", "fence"])
def test_states_that_were_lost_are_noticed(server: Server, store: RedisStore, lost: str) -> None:
    """Whoever deleted or evicted them, a commit on top of the rest would be wrong from then on."""
    store.commit(full(0))
    server("DEL", key("tailrace", SHARD, lost))
    with closing(store_at(RedisAt(url=server.url))) as restarted:
        fence = restarted.fence(SHARD)
        with pytest.raises(BadSetup, match=r"holds \d sources where \d were written"):
            restarted.commit(full(0 if fence is None else fence.number))


def test_a_full_memory_is_said_before_anything_is_written(server: Server, store: RedisStore) -> None:
    """It is no bug, and the same commit works once there is room."""
    store.commit(full(0))
    before = contents(server)
    server("CONFIG", "SET", "maxmemory", "1mb")
    try:
        with pytest.raises(Unavailable, match="is out of memory: raise maxmemory") as refused:
            store.commit(commit(1, states={f"s{number}": b"x" * 400 for number in range(5000)}))
        assert not isinstance(refused.value, InDoubt)
    finally:
        server("CONFIG", "SET", "maxmemory", "0")
    assert contents(server) == before
    store.commit(full(1))


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
