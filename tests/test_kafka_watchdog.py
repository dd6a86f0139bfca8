"""A worker that is alive and reads nothing is ended, with words that say what waits."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from structlog.testing import capture_logs

from detector.errors import Stuck, Unavailable
from detector.inputs.kafka.app import App, build
from detector.inputs.kafka.feed import Begin, PartitionBatch, Shard
from detector.inputs.kafka.fetching import Fetched, FetchThread
from detector.inputs.kafka.member import Member
from detector.inputs.kafka.run import run, serve
from detector.inputs.kafka.watchdog import GIVEN_NONE, UNGIVEN
from tests.kafka_feeds import Keeper, Running, Stop, feed_of, lines_of, read_all, running
from tests.kafka_worker import Store
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.watching import DEADLINE_S, until


async def go_quiet(app: App, keeper: Keeper, broker: Broker, topic: str) -> None:
    """Once records were read, suspend the flow as a rebalance does, and never resume it; then write more."""
    while not keeper.count:  # noqa: ASYNC110  (counted in another thread)
        await asyncio.sleep(0.01)
    app.consumer.stop_flow()
    app.flow_control.suspend()
    await asyncio.to_thread(topics.produce, broker.address, topic, lines_of(500))


def test_a_worker_that_is_assigned_and_reads_nothing_ends(kafka: Broker) -> None:
    """The quiet death: in the group, with shards, alive, and records waiting."""
    topics.create(kafka.address, "quiet")
    topics.produce(kafka.address, "quiet", lines_of(10))
    keeper = Keeper()

    async def work() -> None:
        member = Member(feed_of(kafka.address, "quiet", stall_timeout_s=1.5), keeper)
        app = build(member)
        async with asyncio.TaskGroup() as group:
            group.create_task(go_quiet(app, keeper, kafka, "quiet"))
            group.create_task(serve(member, app, Stop()))

    with pytest.RaisesGroup(pytest.RaisesExc(Stuck, match="quiet-0: 500 offsets wait")):
        asyncio.run(work())
    assert keeper.count == 10


def test_what_came_just_now_after_a_long_pause_is_no_stall(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was read for long because nothing was there; from when something waits there is time again."""
    fetches, fetch = threading.Event(), FetchThread.fetch

    async def held_up(thread: FetchThread, *how: Any) -> list[Fetched]:
        found = await fetch(thread, *how)
        while not fetches.is_set():  # noqa: ASYNC110  (set in another thread)
            await asyncio.sleep(0.01)
        return found

    monkeypatch.setattr(FetchThread, "fetch", held_up)
    fetches.set()
    topics.create(kafka.address, "pause")
    topics.produce(kafka.address, "pause", lines_of(10))
    keeper = Keeper()
    with running(feed_of(kafka.address, "pause", stall_timeout_s=3.0), keeper) as worker:
        until(lambda: keeper.count == 10 or worker.has_ended)
        ticks = keeper.quiet_s[Shard("pause", 0)]
        until(lambda: max(ticks, default=0.0) > 3.5 or worker.has_ended)
        fetches.clear()
        topics.produce(kafka.address, "pause", lines_of(500))
        threading.Event().wait(1.0)  # the watchdog looks twice
        fetches.set()
        until(lambda: keeper.count == 510 or worker.has_ended)
    assert keeper.count == 510


def test_a_client_that_hangs_while_kafka_answers_ends_the_worker(kafka: Broker) -> None:
    """It gives no answer to the watchdog either, which asks with another one."""
    topics.create(kafka.address, "client-hangs")
    topics.produce(kafka.address, "client-hangs", lines_of(10))
    command = [sys.executable, "-m", "tests.kafka_hanging_client", kafka.address, "client-hangs"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=False)
    assert "its client here has not" in done.stdout


class Hanging(Keeper):
    """A store whose first commit does not come back."""

    def __init__(self) -> None:
        """Hang until a test lets go."""
        super().__init__()
        self.event = threading.Event()
        self.is_hanging = False

    def process(self, batch: PartitionBatch) -> None:
        """Hang."""
        self.is_hanging = True
        self.event.wait()
        super().process(batch)


def test_a_batch_that_does_not_end_ends_the_worker(kafka: Broker) -> None:
    """A commit that hangs is not waited for longer than the stall timeout."""
    topics.create(kafka.address, "hangs")
    topics.produce(kafka.address, "hangs", lines_of(10))
    keeper = Hanging()
    with pytest.raises(Stuck, match="in hand for more than"):
        run(feed_of(kafka.address, "hangs", stall_timeout_s=1.0, drain_timeout_s=0.5), keeper, Stop())
    assert keeper.count == 0
    keeper.event.set()


def test_an_idle_worker_and_one_without_shards_are_left_alone(kafka: Broker) -> None:
    """Nothing to read is no stall, nor is a group with more members than shards."""
    topics.create(kafka.address, "idle")
    topics.produce(kafka.address, "idle", lines_of(10))
    feed, keeper = feed_of(kafka.address, "idle", stall_timeout_s=1.5), Keeper()
    with running(feed, keeper) as first, running(feed, keeper) as second:
        until(lambda: keeper.count == 10 or first.has_ended)
        ticks = keeper.quiet_s[keeper.begins[-1][0]]
        until(lambda: max(ticks, default=0.0) > 3.0 or first.has_ended or second.has_ended)
        assert not first.has_ended
        assert not second.has_ended


@contextmanager
def hanging_member(broker: Broker, topic: str) -> Iterator[None]:
    """Somebody of the group who has its shards and says nothing any more, for much longer than the test."""

    async def join() -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            topic,
            group_id=f"{topic}-group",
            bootstrap_servers=broker.address,
            session_timeout_ms=120_000,
            rebalance_timeout_ms=120_000,
        )
        await consumer.start()
        while not consumer.assignment():  # noqa: ASYNC110  (the client gives no other sign)
            await asyncio.sleep(0.01)
        return consumer

    with closing(asyncio.new_event_loop()) as loop:
        consumer = loop.run_until_complete(join())
        yield  # and nobody runs its loop
        loop.run_until_complete(consumer.stop())


def test_a_group_that_gives_out_nothing_is_told_of(kafka: Broker, tmp_path: Path) -> None:
    """A member that hangs holds up the others: who has nothing waits, who had shards ends, both say why."""
    topics.create(kafka.address, "ungiven", partitions=2)
    feed, keeper = feed_of(kafka.address, "ungiven", stall_timeout_s=1.5), Keeper()
    path, errors = tmp_path / "store", tmp_path / "errors"
    store = Store(path)
    command = [sys.executable, "-m", "tests.kafka_worker", kafka.address, "ungiven", str(path), "0", "3"]
    with ExitStack() as stack, capture_logs() as logs, errors.open("wb") as file:
        had = stack.enter_context(subprocess.Popen(command, stderr=file))
        until(lambda: len(store.begins_of(had.pid)) >= 2 or had.poll() is not None)
        with hanging_member(kafka, "ungiven"):
            until(lambda: len(store.begins_of(had.pid)) >= 3 or had.poll() is not None)
            worker = stack.enter_context(running(feed, keeper))
            until(lambda: worker.has_ended or sum(entry["event"] == UNGIVEN for entry in logs) > 1)
            until(lambda: worker.has_ended or had.poll() is not None)
        until(lambda: worker.has_ended or bool(keeper.held))
    first, second, *_ = (entry["waited_s"] for entry in logs if entry["event"] == UNGIVEN)
    assert (first >= 1.5, second >= 3.0) == (True, True)
    assert errors.read_text().splitlines()[-1].startswith(f"detector.errors.Stuck: {GIVEN_NONE} for 3 s")


class Failing(Keeper):
    """A store that refuses the second batch, as one does whose fence was moved."""

    def process(self, batch: PartitionBatch) -> None:
        """Refuse."""
        if self.batches:
            raise PermissionError("fenced")
        super().process(batch)


def test_what_the_shell_raises_ends_the_worker(kafka: Broker) -> None:
    """No batch is processed after one that failed, and the error comes out as it was raised."""
    topics.create(kafka.address, "fails")
    topics.produce(kafka.address, "fails", lines_of(200))
    keeper = Failing()
    with pytest.raises(PermissionError, match="fenced"):
        run(feed_of(kafka.address, "fails"), keeper, Stop())
    assert keeper.count == 50


def test_retention_that_overtakes_a_running_worker_ends_it(kafka: Broker) -> None:
    """What is deleted under a worker is met as at a start: it ends, and the next one counts what is lost."""
    topics.create(kafka.address, "overtaken")
    topics.produce(kafka.address, "overtaken", lines_of(20_000))
    keeper = Hanging()
    feed = feed_of(kafka.address, "overtaken", max_bytes=1000)  # little is fetched ahead
    worker = Running(feed, keeper)
    until(lambda: keeper.is_hanging or worker.has_ended)
    topics.delete_before(kafka.address, "overtaken", 0, 19_000)
    keeper.event.set()
    until(lambda: worker.has_ended)
    worker.stop()
    assert isinstance(worker.error, Stuck)
    assert worker.error.exit_code == Unavailable.exit_code  # no bug: whoever started it starts it again
    assert 0 < keeper.count < 19_000
    last = keeper.records[Shard("overtaken", 0)][-1].offset
    read_all(feed, keeper, keeper.count + 1000)
    assert keeper.begins[-1] == (Shard("overtaken", 0), Begin(after=18_999, fence=last, lost=18_999 - last))
    assert keeper.values("overtaken")[-1000:] == lines_of(1000, 19_000)


def test_a_topic_that_is_made_anew_under_a_running_worker_stops_its_shard(kafka: Broker) -> None:
    """The group is given the new topic's shards, whose logs end before their fences."""
    topics.create(kafka.address, "swapped")
    topics.produce(kafka.address, "swapped", lines_of(10))
    keeper = Keeper()
    with running(feed_of(kafka.address, "swapped"), keeper) as worker:
        until(lambda: keeper.count == 10 or worker.has_ended)
        topics.delete(kafka.address, "swapped")
        until(lambda: not keeper.held or worker.has_ended)
        topics.create(kafka.address, "swapped")
        until(lambda: bool(keeper.reasons) or worker.has_ended)
    assert "tailrace shards reset swapped-0" in keeper.reasons[Shard("swapped", 0)]
