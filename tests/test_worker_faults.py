"""The worker under faults and load: whatever happens, it comes to what a replay of the lines comes to."""

import random
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from detector.store.redis.scripts import COMMIT, script
from tests.faults.crew import pause, wake
from tests.faults.dying import POINTS
from tests.faults.stage import Stage, staged
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Proxy, Server, cluster
from tests.servers.redis import serving as redis_serving
from tests.small_bundle import small_bundle
from tests.watching import until
from tests.workers import come_to, fences, partition_of, said

KEEPS_ALL = ("--appendonly", "yes", "--appendfsync", "always")
FORGOTTEN = "the store has lost its fence, perhaps all it had: beginning as input.start says"
KILLS, FEWER_KILLS = 11, 4  # of each kind of sources
ENOUGH = 1000  # lines, for some alerts whatever lines they are
Staged = Callable[..., AbstractContextManager[Stage]]


@pytest.fixture
def rng() -> random.Random:
    """Drawn anew in every run, and printed."""
    seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A bundle of sessions, and one of long-lived sources."""
    paths = {session: tmp_path_factory.mktemp("bundle") for session in (True, False)}
    for session, path in paths.items():
        small_bundle(path, session=session)
    return paths


@pytest.fixture
def on_stage(
    kafka: Broker, redis: Server, bundles: dict[bool, Path], rng: random.Random, tmp_path: Path
) -> Staged:
    """Makes the stage of one topic, on the shared servers unless others are named."""

    def make(topic: str, *, session: bool = True, **options: Any) -> AbstractContextManager[Stage]:
        servers = {"broker": kafka.address, "redis": redis.url}
        return staged(
            tmp_path, topic=topic, bundle=bundles[session], session=session, rng=rng, **servers | options
        )

    return make


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
@pytest.mark.parametrize("session", [True, False], ids=["sessions", "streams"])
def test_kill_9_at_random_instants(on_stage: Staged, session: bool, keyed: bool, rng: random.Random) -> None:
    """While it starts, joins, works and delivers, again and again: nothing is lost, doubled or different."""
    with on_stage(f"kill-9-{session:d}{keyed:d}", session=session, keyed=keyed) as stage:
        instant = threading.Event()
        for _ in range(KILLS if keyed else FEWER_KILLS):
            if rng.random() < 0.5:
                stage.come_on(rng.choice([1, 100, 300]))
                instant.wait(rng.uniform(0.0, 0.05))
            else:
                instant.wait(rng.uniform(0.0, 1.0))
            stage.crew.kill(stage.crew.workers[0])
            stage.crew.hire()
        stage.come_on(ENOUGH)  # however the dice fell
        revisions = stage.finish()
    assert len(revisions) > 5
    sys.stdout.write(f"{len(stage.load.lines)} lines, {len(revisions)} revisions\n")


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_dies_in_a_transaction_of_routing(
    on_stage: Staged, point: str, rng: random.Random
) -> None:
    """Kill -9 between sending lines and the commit of how far they were read: each is judged once."""
    transaction = rng.randrange(1, 6)
    sys.stdout.write(f"transaction {transaction}\n")
    with on_stage(f"dies-{point}", keyed=False, workers=0) as stage:
        stage.crew.bury(stage.crew.hire(dies=(point, transaction)))
        stage.crew.hire()
        stage.come_on(100)
        stage.finish()


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
def test_workers_join_leave_and_die_in_the_middle_of_batches(on_stage: Staged, keyed: bool) -> None:
    """Shards go to and fro; one that leaves is gone at once, one that died is outwaited."""
    with on_stage(f"join-leave-die-{keyed:d}", keyed=keyed) as stage:
        stage.come_on()
        second = stage.crew.hire()
        stage.until(lambda: stage.members() == 2)
        stage.come_on(200)
        stage.crew.let_go(second)
        stage.come_on(200)
        third = stage.crew.hire()
        stage.until(lambda: stage.members() == 2)
        stage.come_on(200)
        stage.crew.kill(third)
        stage.come_on(200)
        stage.finish()


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
def test_a_worker_that_slept_through_its_session_changes_nothing_when_it_wakes(
    on_stage: Staged, keyed: bool
) -> None:
    """Others have its shards by then: what it still had in hand is refused, by Redis and by Kafka."""
    with on_stage(f"zombie-{keyed:d}", workers=2, session=False, keyed=keyed) as stage:
        stage.notices.in_order = False  # it may be stopped within a request, and end it as it wakes
        stage.until(lambda: stage.members() == 2)
        stage.come_on()
        sleeper = stage.crew.workers[0]
        pause(sleeper)
        stage.until(lambda: stage.members() == 1)
        stage.come_on(300)
        wake(sleeper)
        stage.until(lambda: stage.members() == 2)
        stage.come_on(300)
        stage.finish()


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
def test_a_broker_that_dies_is_outwaited(on_stage: Staged, tmp_path: Path, keyed: bool) -> None:
    """Killed and started, with lines on their way to it."""
    (tmp_path / "kafka").mkdir()
    broker = Broker(tmp_path / "kafka")
    broker.start()
    try:
        with on_stage(f"broker-dies-{keyed:d}", broker=broker.address, keyed=keyed) as stage:
            for _ in range(2):
                stage.come_on(100)
                stage.kill_broker(broker)
                broker.start()
            stage.come_on(100)
            stage.finish()
    finally:
        broker.stop()


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


def test_a_receiver_that_is_down_slow_or_broken_gets_everything_once_it_is_back(on_stage: Staged) -> None:
    """And the lines do not wait for it."""
    with on_stage("receiver", session=False) as stage:
        stage.come_on(100)
        for fault in (stage.notices.down, stage.notices.be_slow, lambda: stage.notices.answer(500)):
            fault()
            asked = len(stage.notices.script.requests)
            stage.come_on(300)
            if fault != stage.notices.down:
                stage.until(lambda: len(stage.notices.script.requests) > asked)  # noqa: B023  (called here)
            stage.notices.down()
            stage.notices.up()
        stage.finish()


def test_told_to_end_under_load_it_is_gone_in_time(on_stage: Staged) -> None:
    """The batch in hand is committed, and the next worker goes on at once: it need not outwait anybody."""
    with on_stage("told-to-end") as stage:
        for _ in range(3):
            stage.come_on(100)
            stage.crew.let_go(stage.crew.workers[0])
            stage.crew.hire()
        stage.come_on(100)
        stage.finish()
    sys.stdout.write(f"seconds to the end: {stage.crew.ended_s}\n")


@pytest.mark.parametrize("hangs", ["redis", "receiver"])
def test_told_to_end_while_others_hang_it_is_gone_in_time(
    on_stage: Staged, hangs: str, tmp_path: Path
) -> None:
    """What is in hand is abandoned without a commit, or delivered again: exit within ten seconds."""
    with (
        redis_serving(tmp_path / "own") as server,
        on_stage(f"hangs-{hangs}", redis=server.url, timeout_s=30.0) as stage,
    ):
        stage.come_on(100)
        stage.notices.be_slow()
        asked = len(stage.notices.script.requests)
        stage.until(lambda: len(stage.notices.script.requests) > asked)
        if hangs == "redis":
            server.freeze()
            stage.notices.down()  # so that this is to be noted in the outbox
        stage.crew.let_go(stage.crew.workers[0])
        server.thaw()
        stage.notices.down()
        stage.notices.up()
        stage.crew.hire()
        stage.come_on(100)
        stage.finish()
    sys.stdout.write(f"seconds to the end: {stage.crew.ended_s}\n")


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
@pytest.mark.parametrize("fault", ["dies", "hangs"])
def test_told_to_end_while_kafka_is_away_it_is_gone_in_time(
    on_stage: Staged, tmp_path: Path, fault: str, keyed: bool
) -> None:
    """There is nobody to say goodbye to, and nobody to end what was begun to be routed."""
    (tmp_path / "kafka").mkdir()
    broker = Broker(tmp_path / "kafka")
    broker.start()
    try:
        with on_stage(f"kafka-{fault}-{keyed:d}", broker=broker.address, keyed=keyed) as stage:
            stage.come_on(100)
            if fault == "dies":
                stage.kill_broker(broker)
            else:
                broker.freeze()
            stage.crew.let_go(stage.crew.workers[0])
            stage.crew.hire()  # waits for it
            if fault == "dies":
                broker.start()
            else:
                broker.thaw()
            stage.come_on(100)
            stage.finish()
    finally:
        broker.thaw()
        broker.stop()
    sys.stdout.write(f"seconds to the end: {stage.crew.ended_s}\n")


def test_lines_that_retention_took_before_they_were_read_are_counted(on_stage: Staged) -> None:
    """The shard jumps and starts cold, people are told, and the other shards are as they were."""
    with on_stage("lines-taken") as stage:
        stage.come_on(300)
        stage.crew.let_go(stage.crew.workers[0])
        fence = fences(stage.at)["lines-taken-0"]
        until(lambda: stage.load.counts[0] > fence + 50)
        stage.load.finish()
        topics.delete_before(stage.broker, "lines-taken", 0, stage.load.counts[0] - 1)
        lost = stage.load.counts[0] - 1 - (fence + 1)
        stage.crew.hire()
        stage.until(lambda: stage.done() >= len(stage.load.lines))
        (entry,) = said(stage.crew.errors, "lines lost to retention")
        assert (entry["shard"], entry["lines"]) == ("lines-taken-0", lost)
        kept = [line for line in stage.load.lines if partition_of(line, session=True) != 0]
        last = next(line for line in stage.load.lines[::-1] if partition_of(line, session=True) == 0)
        expected = stage.replayed([*kept, last])[0]
        stage.until(lambda: come_to(stage.at, stage.core)[0] == expected)
        stage.notices.check()


def test_a_topic_made_anew_under_its_fences_is_not_read(on_stage: Staged) -> None:
    """Nothing of it is taken for what comes next in the old one; people are told what to do."""
    with on_stage("made-anew") as stage:
        stage.come_on(300)
        expected = stage.settle()
        stage.crew.let_go(stage.crew.workers[0])
        topics.delete(stage.broker, "made-anew")
        topics.create(stage.broker, "made-anew", partitions=4)
        topics.produce(stage.broker, "made-anew", stage.load.lines[:10])
        stage.crew.hire()
        stage.until(lambda: len(said(stage.crew.errors, "shard stopped")) >= 4)
        assert all(
            "tailrace shards reset" in one["reason"] for one in said(stage.crew.errors, "shard stopped")
        )
        stage.crew.let_go(stage.crew.workers[0])
        assert come_to(stage.at, stage.core) == expected


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


def test_a_broker_that_hangs_for_longer_is_waited_for(on_stage: Staged, tmp_path: Path) -> None:
    """Nobody gets an answer then, whoever asks, so that a new start would be of no use."""
    (tmp_path / "kafka").mkdir()
    broker = Broker(tmp_path / "kafka")
    broker.start()
    try:
        with on_stage("kafka-hangs-long", broker=broker.address, stall_timeout_s=2.0) as stage:
            stage.come_on(100)
            before, exits = len(said(stage.crew.errors, "waiting for Kafka")), list(stage.crew.exits)
            broker.freeze()
            # Two of them ask the worker's client; then it is seen whether another one gets an answer.
            until(lambda: len(said(stage.crew.errors, "waiting for Kafka")) > before + 4)
            assert stage.crew.workers[0].exitcode is None
            assert stage.crew.exits == exits
            broker.thaw()
            stage.come_on(100)
            stage.finish()
    finally:
        broker.thaw()
        broker.stop()
