"""A commit to Redis is whole or nothing: whatever could stop its script is found before its first write."""

from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from detector.config.options import RedisAt
from detector.errors import BadSetup, Fenced, InDoubt, Unavailable
from detector.store.redis import encoding
from detector.store.redis.connect import store_at
from detector.store.redis.keys import RECEIVER_PARTS, SHARD_PARTS, key
from detector.store.redis.pack import pack, unpack
from detector.store.redis.store import RedisStore
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


NAMES = [(part, "") for part in SHARD_PARTS] + [(part, "ops") for part in RECEIVER_PARTS]


RIGHT = {"overtaken": "SADD"} | dict.fromkeys(("due", "ready", "waiting"), "GEOADD")


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
    commit_id, args = encoding.arguments(full(1), "", [], encoding.Bounds(10, 10, 1000))
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
