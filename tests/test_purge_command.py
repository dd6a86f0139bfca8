"""`tailrace purge`, and `tailrace alerts` from Redis: what the worker wrote there, from the command line."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from detector.config.options import RedisAt
from detector.store.contract import Commit
from detector.store.redis.connect import store_at
from detector.store.redis.keys import key
from tests.delivery import revision
from tests.servers.redis import Server
from tests.stores import shared_redis


@pytest.fixture
def server() -> Server:
    """A server with a key of ours for each part, and one of somebody else."""
    server = shared_redis()
    server("FLUSHALL")
    server("SET", "theirs", "1")
    with closing(store_at(RedisAt(url=server.url))) as store:
        for shard in ("logs/0", "logs/1"):
            alerts = [revision(f"of-{shard[-1]}", 1)]
            store.commit(Commit(shard, 0, "b1", b"", b"", {"web": b"1"}, {"web": 1}, alerts, []))
    return server


def tailrace(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command that finds Redis in its configuration."""
    (folder / "tailrace.toml").write_text(f'[redis]\nurl = "{url}"\n')
    command = [sys.executable, "-m", "detector.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_purge_lists_and_removes_with_yes_alone(server: Server, tmp_path: Path) -> None:
    """Without it nothing changes; with it nothing of ours is left, and what others wrote is."""
    before = server("DBSIZE")
    listed = tailrace(server.url, tmp_path, "purge")
    assert (listed.returncode, server("DBSIZE")) == (0, before)
    assert listed.stdout.splitlines() == ["logs/0\t5 keys", "logs/1\t5 keys"]
    assert "10 keys of 2 partitions under tailrace found; --yes removes them" in listed.stderr
    removed = tailrace(server.url, tmp_path, "purge", "--yes")
    assert (removed.returncode, removed.stdout) == (0, listed.stdout)
    assert server("KEYS", "*") == [b"theirs"]
    server("HSET", key("tailrace", "logs/2", "fence"), "number", 1)
    (one,) = tailrace(server.url, tmp_path, "purge").stdout.splitlines()
    assert one == "logs/2\t1 key"


def test_alerts_are_read_from_redis(server: Server, tmp_path: Path) -> None:
    """Where no state file is named; every partition's."""
    listed = tailrace(server.url, tmp_path, "alerts", "list", "--format", "json")
    payloads = [revision("of-0", 1).payload.decode(), revision("of-1", 1).payload.decode()]
    assert sorted(listed.stdout.splitlines()) == payloads
    shown = tailrace(server.url, tmp_path, "alerts", "show", "of-1", "--format", "json")
    assert shown.stdout.splitlines() == payloads[1:]
    missing = tailrace(server.url, tmp_path, "alerts", "show", "of-9")
    assert missing.returncode == 2
    assert "no alert of-9 in redis" in missing.stderr


@pytest.mark.parametrize("words", [("purge",), ("purge", "--yes"), ("alerts", "list")])
def test_a_server_that_is_away_is_exit_4(tmp_path: Path, words: tuple[str, ...]) -> None:
    """At once: a person waits."""
    done = tailrace("redis://127.0.0.1:1", tmp_path, *words)
    assert done.returncode == 4
    assert "redis at 127.0.0.1:1 cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
