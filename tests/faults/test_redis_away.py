"""A Redis that dies, hangs, loses an answer or all it had: the worker comes to the same."""

import random
import sys
import threading
from contextlib import closing
from pathlib import Path

from detector.store.redis.scripts import COMMIT, script
from tests.faults.stage import Stage, Staged
from tests.servers import topics
from tests.servers.redis import Proxy, Server, cluster
from tests.servers.redis import serving as redis_serving
from tests.watching import until
from tests.workers import said

KEEPS_ALL = ("--appendonly", "yes", "--appendfsync", "always")
FORGOTTEN = "the store has lost its fence, perhaps all it had: beginning as input.start says"


def test_redis_dies_and_has_all_it_acknowledged(on_stage: Staged, rng: random.Random, tmp_path: Path) -> None:
    """With an append-only file nothing is lost: the worker waits, or ends where a commit is in doubt."""
    with (
        redis_serving(tmp_path / "own", *KEEPS_ALL) as server,
        on_stage("redis-dies", redis=server.url) as stage,
    ):
        for _ in range(4):
            stage.come_on(rng.choice([1, 100, 300]))
            threading.Event().wait(rng.uniform(0.0, 0.05))
            server.kill()
            threading.Event().wait(rng.uniform(0.0, 1.0))
            server.start()
        stage.come_on()
        stage.finish()
    sys.stdout.write(f"ended by themselves with {stage.crew.exits}\n")


def test_redis_set_back_to_an_older_snapshot_is_worked_through_again(
    on_stage: Staged, tmp_path: Path
) -> None:
    """Its fences are of that day, so the lines since then are read again, with the same outcome."""
    with redis_serving(tmp_path / "own") as server, on_stage("set-back", redis=server.url) as stage:
        stage.notices.in_order = False  # what was sent since then is sent again
        stage.come_on(300)
        snapshot = server.snapshot()
        stage.come_on(300)
        before = stage.done()
        server.restore(snapshot)
        assert stage.done() < before
        stage.until(lambda: stage.done() > before)
        stage.finish()


def test_a_replica_that_takes_over_without_the_last_writes_is_worked_on_again(
    on_stage: Staged, tmp_path: Path
) -> None:
    """First in good order, then after kill -9 of the primary that it had lost sight of.

    The address leads for a while to one that takes no writes: nobody dies of it, and all is as in a replay.
    """
    with (
        redis_serving(tmp_path / "first") as first,
        redis_serving(tmp_path / "second") as second,
        closing(Proxy(first.port)) as proxy,
        on_stage("fails-over", redis=f"redis://127.0.0.1:{proxy.port}") as stage,
    ):
        stage.notices.in_order = False  # what was sent since then is sent again
        stage.come_on(100)
        second.replicate(first)
        first("FAILOVER")
        stage.until(lambda: refusals(stage) > 0)
        proxy.lead_to(second.port)
        stage.come_on(100)
        first.replicate(second)
        second.cut_off()
        stage.come_on(300)
        assert first.written_bytes() < second.written_bytes()
        before = refusals(stage)
        second.kill()
        proxy.lead_to(first.port)
        stage.until(lambda: refusals(stage) > before)
        first("REPLICAOF", "NO", "ONE")
        stage.come_on(100)
        stage.finish()
    sys.stdout.write(f"ended by themselves with {stage.crew.exits}\n")


def refusals(stage: Stage) -> int:
    """How often workers have said that they wait for a replica to be promoted."""
    return sum("is a read-only replica" in entry["reason"] for entry in said(stage.crew.errors, "waiting"))


def test_a_redis_that_was_emptied_begins_as_configured_and_says_so(on_stage: Staged, tmp_path: Path) -> None:
    """With `input.start = "earliest"` everything comes again."""
    with redis_serving(tmp_path / "own") as server, on_stage("emptied", redis=server.url) as stage:
        stage.notices.in_order = False
        stage.come_on(600)
        stage.until(
            lambda: all(
                topics.committed(stage.broker, "emptied", "emptied", part) is not None for part in range(4)
            )
        )
        before = stage.done()
        server("FLUSHALL")
        stage.until(lambda: stage.done() > before)
        stage.finish()
        entries = said(stage.crew.errors, FORGOTTEN)
        assert {entry["shard"] for entry in entries} == {f"emptied-{number}" for number in range(4)}


def test_a_commit_whose_reply_is_lost_is_found_by_the_next_start(on_stage: Staged, redis: Server) -> None:
    """It is not made a second time: the process ends with exit 4, and goes on behind that commit."""
    with (
        closing(Proxy(redis.port)) as proxy,
        on_stage("lost-reply", via=f"redis://127.0.0.1:{proxy.port}") as stage,
    ):
        for _ in range(3):
            stage.come_on(50)
            proxy.cut_reply_to(script(COMMIT).digest.encode())
            stage.until(proxy.has_cut.is_set)
        stage.come_on(50)
        stage.finish()
        assert stage.crew.exits == [4, 4, 4]


def test_a_worker_on_a_cluster_of_redis(on_stage: Staged, tmp_path: Path) -> None:
    """Every shard whole on one of three nodes; one dies and comes back, then dies with what no other has."""
    with (
        cluster(tmp_path, *KEEPS_ALL) as servers,
        redis_serving(tmp_path / "spare", cluster=True) as spare,
        on_stage("on-cluster", redis=servers[0].url) as stage,
    ):
        stage.notices.in_order = False  # what was sent since then is sent again
        stage.come_on(200)
        dying = servers[1]
        assert all(server("DBSIZE") > 0 for server in servers)
        dying.kill()
        dying.start()
        spare.replicate(dying)
        dying.cut_off()
        stage.until(lambda: spare.written_bytes() < dying.written_bytes())
        stage.until(lambda: all(b"cluster_known_nodes:4" in server("CLUSTER", "INFO") for server in servers))
        dying.kill()
        spare("CLUSTER", "FAILOVER", "TAKEOVER")
        stage.come_on(200)
        stage.finish()


def test_a_worker_that_hangs_is_ended_by_its_watchdog(on_stage: Staged, tmp_path: Path) -> None:
    """Alive, assigned and reading nothing: Redis takes the commit and never answers."""
    with (
        redis_serving(tmp_path / "own") as server,
        on_stage("hanging", redis=server.url, timeout_s=60.0, stall_timeout_s=2.0) as stage,
    ):
        stage.come_on(100)
        server.freeze()
        until(lambda: stage.crew.workers[0].exitcode is not None)
        server.thaw()
        stage.come_on(100)
        stage.finish()
    assert stage.crew.exits[0] == 4
