"""Reaching Redis: what is refused at the start, what an ACL user needs, TLS, and secrets that stay secret."""

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis._parsers.base import BaseParser

from detector.config import load
from detector.config.options import RedisAt
from detector.config.reference import effective
from detector.errors import BadSetup, InDoubt, TailraceError, Unavailable
from detector.store.contract import Commit
from detector.store.outbox import Enrolment
from detector.store.redis.connect import check, nodes_at, store_at
from detector.store.redis.deliveries import open_deliveries
from detector.store.redis.faults import is_reply, meaning
from detector.store.redis.written import read_alerts, remove, written
from tests.delivery import revision
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.redis import Server, serving
from tests.servers.redis_guarded import PASSWORD, allow, behind_tls
from tests.watching import DEADLINE_S


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as it comes."""
    with serving(tmp_path_factory.mktemp("redis")) as server:
        yield server


def use(settings: RedisAt) -> None:
    """Everything that the product does with Redis."""
    commit = Commit("logs/0", 0, "b1", b"", b"", {"web": b"1"}, {"web": 1}, [revision("a", 1)], [])
    with closing(nodes_at(settings)) as nodes, closing(store_at(settings)) as store:
        check(nodes)
        store.enrol("logs/0", [Enrolment("ops", "there")])
        assert store.fence("logs/0") is None
        store.commit(commit)
        assert store.due("logs/0", 9, -1) == ["web"]
        assert store.all_states("logs/0") == {"web": b"1"}
        with open_deliveries(settings, lambda: ["logs/0"]) as queue:
            queue.supersede("ops")
            (delivery,) = queue.due("ops", now_s=0.0, limit=8)
            queue.retry("ops", delivery.seq, due_s=1.0, error="down")
            queue.dead("ops", delivery.seq, "down")
            assert queue.resend("ops") == 1
            assert queue.counts() == {("ops", "pending"): 1}
        assert read_alerts(nodes, settings.key_prefix) == [revision("a", 1).payload]
        for one in list(written(nodes, settings.key_prefix)):
            remove(nodes, one)


def test_several_servers_that_are_no_cluster_are_refused(server: Server) -> None:
    """Which of them is the primary nobody knows."""
    url = f"redis://127.0.0.1:{server.port},127.0.0.1:{server.port}"
    with closing(nodes_at(RedisAt(url=url))) as nodes, pytest.raises(BadSetup, match="which are no cluster"):
        check(nodes)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_server_that_may_evict_states_is_refused(server: Server, policy: str) -> None:
    """The error has the command that mends it."""
    server("CONFIG", "SET", "maxmemory-policy", policy)
    with closing(nodes_at(RedisAt(url=server.url))) as nodes:
        with pytest.raises(BadSetup, match=f"{policy}.*`redis-cli CONFIG SET maxmemory-policy noeviction`"):
            check(nodes)
        server("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert check(nodes).name in {"redis", "valkey"}


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl"])
def test_a_policy_that_spares_our_keys_is_fine(server: Server, policy: str) -> None:
    """None of ours has a time to live, and only such keys are taken."""
    server("CONFIG", "SET", "maxmemory-policy", policy)
    with closing(nodes_at(RedisAt(url=server.url))) as nodes:
        found = check(nodes)
    assert (found.nodes, found.is_cluster) == (1, False)
    assert int(found.version.split(".")[0]) >= 7


def test_a_replica_is_waited_for_until_it_is_promoted(server: Server, tmp_path: Path) -> None:
    """Nothing is in doubt: it takes no write, and without its primary it may not even be read."""
    server("FLUSHALL")
    with serving(tmp_path / "replica", "--replica-serve-stale-data", "no") as replica:
        replica.replicate(server)
        settings = RedisAt(url=replica.url)
        with closing(nodes_at(settings)) as nodes, closing(store_at(settings)) as store:
            with pytest.raises(Unavailable, match="is a read-only replica: name the primary"):
                check(nodes)
            with pytest.raises(Unavailable, match="is a read-only replica") as refused:
                store.commit(Commit("logs/0", 0, "b1", b"", b"", {}, {}, [], []))
            assert not isinstance(refused.value, InDoubt)
            replica("REPLICAOF", "127.0.0.1", 1)
            with pytest.raises(Unavailable, match="is a replica that has lost its primary"):
                store.fence("logs/0")
            replica("REPLICAOF", "NO", "ONE")
            assert check(nodes).nodes == 1
            store.commit(Commit("logs/0", 0, "b1", b"", b"", {}, {}, [], []))


@pytest.mark.parametrize(
    "reply",
    [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "BUSY Redis is busy running a script.",
    ],
    ids=lambda reply: reply.split()[0],
)
def test_a_server_that_refuses_for_now_is_waited_for(reply: str) -> None:
    """It has answered, so nothing is in doubt, as redis-py's own parser has it."""
    error = BaseParser.parse_error(reply)  # type: ignore[no-untyped-call]
    assert is_reply(error)
    assert isinstance(meaning("db:6379", error), Unavailable)


@pytest.fixture
def guarded(server: Server) -> Iterator[RedisAt]:
    """A user with the rights of the documentation."""
    allow(server)
    url = server.url.replace("://", "://tailrace@")
    yield RedisAt(url=url, password=SecretStr(PASSWORD))
    server("ACL", "DELUSER", "tailrace")


def test_the_documented_rule_is_enough(guarded: RedisAt) -> None:
    """A user that has no more rights can do all that the product does."""
    use(guarded)


def test_another_prefix_is_out_of_a_users_reach(guarded: RedisAt) -> None:
    """What a shared server's rule keeps apart stays apart."""
    other = RedisAt(url=guarded.url, password=guarded.password, key_prefix="other")
    with closing(store_at(other)) as store, pytest.raises(BadSetup, match=r"docs/redis\.md has the ACL rule"):
        store.fence("logs/0")


@pytest.mark.parametrize("command", ["zadd", "hset", "hdel", "zrem", "sadd", "hlen", "type"])
def test_a_right_that_is_missing_is_found_before_anything_is_written(
    server: Server, guarded: RedisAt, command: str
) -> None:
    """A script that is stopped half-way would leave half a commit."""
    server("FLUSHALL")
    with closing(store_at(guarded)) as store:
        store.enrol("logs/0", [Enrolment("ops", "there")])
        assert store.fence("logs/0") is None
        server("ACL", "SETUSER", "tailrace", f"-{command}")
        commit = Commit("logs/0", 0, "b1", b"", b"", {"web": b"1"}, {"web": 1}, [], [])
        with pytest.raises(BadSetup, match=rf"the user may not {command.upper()} .*docs/redis\.md"):
            store.commit(commit)
    assert server("KEYS", "*") == [b"{tailrace:logs/0}:receivers"]


def test_a_wrong_password_is_said_and_not_shown(server: Server, guarded: RedisAt) -> None:
    """Neither the password nor the address's user is worth a guess from a log."""
    assert server("PING") == b"PONG"
    wrong = RedisAt(url=guarded.url, password=SecretStr("wrong-horse"))
    with closing(nodes_at(wrong)) as nodes:
        with pytest.raises(BadSetup, match="refuses the user or the password") as refused:
            check(nodes)
        shown = f"{nodes!r}{nodes._pools!r}{wrong!r}"
    assert "wrong-horse" not in shown + "".join(traceback.format_exception(refused.value))


def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    """And `check-config` masks it; one in the address is refused without being shown."""
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    config = tmp_path / "tailrace.toml"
    config.write_text(f'[redis]\nurl = "rediss://tailrace@db:6380/2"\npassword_file = "{secret}"\n')
    settings = load(config, {})
    assert settings.redis.password is not None
    assert settings.redis.password.get_secret_value() == PASSWORD
    assert PASSWORD not in effective(settings)
    variable = {"TAILRACE_REDIS__URL": "redis://db", "TAILRACE_REDIS__PASSWORD": PASSWORD}
    config.write_text("")
    assert load(config, variable).redis.password == SecretStr(PASSWORD)
    with pytest.raises(BadSetup, match="put it into password_file") as refused:
        load(config, {"TAILRACE_REDIS__URL": f"redis://tailrace:{PASSWORD}@db"})
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://db", "redis://", "db:6379", "redis://db:x", "redis://db/a", "redis://db?x=1"]
)
def test_an_address_of_something_else_is_refused(tmp_path: Path, url: str) -> None:
    """Before anything connects."""
    config = tmp_path / "tailrace.toml"
    config.write_text(f'[redis]\nurl = "{url}"\n')
    with pytest.raises(BadSetup, match=r"redis\.url: not an address of Redis: write redis://HOST:PORT"):
        load(config, {})


def test_no_server_is_unavailable() -> None:
    """And no address is a fault of the configuration."""
    with pytest.raises(BadSetup, match=r"set url of \[redis\]"):
        nodes_at(RedisAt())
    with closing(nodes_at(RedisAt(url="redis://127.0.0.1:1"))) as nodes:
        with pytest.raises(Unavailable, match=r"redis at 127\.0\.0\.1:1 cannot be reached") as away:
            check(nodes)
        assert away.value.exit_code == 4


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One authority for all."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "made")


@pytest.fixture(scope="module")
def over_tls(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisAt]:
    """A server that speaks TLS, and wants a certificate."""
    with behind_tls(tmp_path_factory.mktemp("redis"), certificates) as (_, at):
        yield at


def test_everything_works_over_tls(over_tls: RedisAt) -> None:
    """With the authority that is configured, and a certificate of our own."""
    use(over_tls)


def test_a_server_that_nobody_vouches_for_is_refused(over_tls: RedisAt) -> None:
    """Without the authority there is no connection, and nothing was said through it."""
    unknown = RedisAt(url=over_tls.url)
    with closing(nodes_at(unknown)) as nodes, pytest.raises(Unavailable, match="certificate verify failed"):
        check(nodes)


def test_a_certificate_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    """It would otherwise look like a server that is away."""
    for settings in (
        RedisAt(url="rediss://db", ca_file=tmp_path / "none.pem"),
        RedisAt(url="rediss://db", cert_file=tmp_path / "none.pem"),
    ):
        with pytest.raises(
            TailraceError, match=r"redis\.c\w+_file: not usable .*: correct the path"
        ) as refused:
            nodes_at(settings)
        assert refused.value.exit_code == 2


def test_a_locked_key_asks_nobody_for_its_password(certificates: Certificates, tmp_path: Path) -> None:
    """At a terminal a worker would wait for somebody to type it, at each connection."""
    locked = tmp_path / "locked.key"
    lock = ["-aes256", "-passout", "pass:open", "-out", str(locked)]
    subprocess.run(["openssl", "pkey", "-in", str(certificates.key), *lock], check=True)  # noqa: S607
    config = tmp_path / "tailrace.toml"
    config.write_text(
        f'[kafka]\ntopics = ["logs"]\n[redis]\nurl = "rediss://db"\n'
        f'cert_file = "{certificates.certificate}"\nkey_file = "{locked}"\n'
    )
    command = [sys.executable, "-m", "detector.cli.__main__", "check-config", "--config", str(config)]
    _, terminal = os.openpty()  # where nobody types
    done = subprocess.run(
        command, stdin=terminal, stderr=subprocess.PIPE, text=True, check=False, timeout=DEADLINE_S,
        start_new_session=True,
    )  # fmt: skip
    assert "redis.cert_file: not usable" in done.stderr
