"""Several workers, kills and restarts: every record is processed exactly once, in order, by the fences."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kafka_feeds import lines_of
from tests.kafka_worker import Store
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.watching import until

PARTITIONS = 4
EACH = 1500  # records of a partition
MANY = 6000  # that last for two minutes when a batch of 50 takes SLOW_S
SLOW_S = 0.25


@contextmanager
def worker(kafka: Broker, topic: str, store: Path, pause_s: float = 0.0) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process; it does not outlive the test."""
    command = [sys.executable, "-m", "tests.kafka_worker", kafka.address, topic, str(store), str(pause_s)]
    with store.with_suffix(".err").open("ab") as errors, subprocess.Popen(command, stderr=errors) as process:
        try:
            yield process
        finally:
            process.kill()


def filled(kafka: Broker, topic: str, each: int = EACH) -> None:
    """A topic of four partitions with records in it."""
    topics.create(kafka.address, topic, partitions=PARTITIONS)
    for partition in range(PARTITIONS):
        topics.produce(kafka.address, topic, lines_of(each), partition=partition)


def finish(kafka: Broker, topic: str, path: Path, each: int = EACH) -> None:
    """Let one more worker read the rest; every record is there once then, in its partition's order."""
    store = Store(path)
    with worker(kafka, topic, path) as last:
        until(lambda: len(store.begins_of(last.pid)) == PARTITIONS or last.poll() is not None)
        until(lambda: store.count() >= each * PARTITIONS or last.poll() is not None)
        last.terminate()
        assert last.wait(10) == 0, path.with_suffix(".err").read_text()
    for partition in range(PARTITIONS):
        assert store.values(partition) == lines_of(each)


def test_a_member_that_joins_takes_shards_and_gives_them_back(kafka: Broker, tmp_path: Path) -> None:
    """Two workers share the shards, batches in hand are finished before they go, and one goes on alone."""
    filled(kafka, "joins", MANY)
    path, store = tmp_path / "store", Store(tmp_path / "store")
    with worker(kafka, "joins", path, SLOW_S) as first:
        until(lambda: store.count() > 0 or first.poll() is not None)
        with worker(kafka, "joins", path, SLOW_S) as second:
            until(lambda: len(store.begins_of(second.pid)) == PARTITIONS // 2 or second.poll() is not None)
            at, begins = store.count(), len(store.begins_of(first.pid))
            until(lambda: store.count() > at + 300 or first.poll() is not None)
            second.terminate()
            assert second.wait(30) == 0, path.with_suffix(".err").read_text()
        until(lambda: len(store.begins_of(first.pid)) >= begins + PARTITIONS or first.poll() is not None)
        first.terminate()
        assert first.wait(10) == 0, path.with_suffix(".err").read_text()
    assert store.count() < MANY * PARTITIONS  # all of it happened while there was work
    finish(kafka, "joins", path, MANY)


def test_a_worker_that_is_killed_again_and_again_loses_and_doubles_nothing(
    kafka: Broker, tmp_path: Path
) -> None:
    """Kill -9 at random points, with another worker beside it: the fences decide."""
    seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    filled(kafka, "killed-again")
    path, store = tmp_path / "store", Store(tmp_path / "store")
    for _ in range(5):
        with worker(kafka, "killed-again", path, 0.02) as process:
            at = store.count()
            wanted = at + rng.choice([1, 100, 700])
            until(lambda: store.count() >= wanted or process.poll() is not None)  # noqa: B023  (called here)
            threading.Event().wait(rng.uniform(0.0, 0.1))
            assert process.poll() is None, path.with_suffix(".err").read_text()
            process.kill()
    finish(kafka, "killed-again", path)


def test_a_worker_that_was_away_cannot_write_over_the_one_that_took_its_shards(
    kafka: Broker, tmp_path: Path
) -> None:
    """A process that stands still for longer than its session comes back as a zombie: nothing is doubled."""
    filled(kafka, "away", MANY)
    path, store = tmp_path / "store", Store(tmp_path / "store")
    with worker(kafka, "away", path, SLOW_S) as first:
        until(lambda: len(store.begins_of(first.pid)) == PARTITIONS or first.poll() is not None)
        with worker(kafka, "away", path, SLOW_S) as second:
            until(lambda: len(store.begins_of(second.pid)) == PARTITIONS // 2 or second.poll() is not None)
            first.send_signal(signal.SIGSTOP)
            until(lambda: set(store.begins_of(second.pid)) == set(range(PARTITIONS)) or bool(second.poll()))
            begins, at = len(store.begins_of(first.pid)), store.count()
            first.send_signal(signal.SIGCONT)
            until(lambda: len(store.begins_of(first.pid)) > begins or first.poll() is not None)
            until(lambda: store.count() > at)
    assert store.count() < MANY * PARTITIONS  # all of it happened while there was work
    finish(kafka, "away", path, MANY)


def test_a_broker_that_is_killed_and_started_again_is_waited_for(kafka: Broker, tmp_path: Path) -> None:
    """The worker goes on, or ends and is started again: nothing is lost or doubled either way."""
    filled(kafka, "broker-killed")
    path, store = tmp_path / "store", Store(tmp_path / "store")
    starts, is_killed = 0, False
    while store.count() < EACH * PARTITIONS:
        starts += 1
        with worker(kafka, "broker-killed", path, 0.05) as process:
            until(lambda: store.count() > 1000 or process.poll() is not None)
            if not is_killed:
                is_killed = True
                kafka.kill()
                kafka.start()
            until(lambda: store.count() >= EACH * PARTITIONS or process.poll() is not None)
    finish(kafka, "broker-killed", path)
    sys.stdout.write(f"starts of the worker: {starts}\n")
    assert starts <= 3


def test_a_worker_that_is_told_to_end_finishes_its_batch(kafka: Broker, tmp_path: Path) -> None:
    """SIGTERM: the batch in hand is committed, no other is begun, and the exit is clean within 10 s."""
    filled(kafka, "told")
    path, store = tmp_path / "store", Store(tmp_path / "store")
    with worker(kafka, "told", path, 1.0) as process:
        until(lambda: store.count() > 0 or process.poll() is not None)
        at = store.count()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, path.with_suffix(".err").read_text()
    assert store.count() - at in {50, 100}  # the second where the first was committed as we asked
    finish(kafka, "told", path)
