"""`tailrace worker` with `[web]`: its numbers, and whether it lives and is ready."""

import json
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from detector.config.options import RedisAt
from detector.distributed.watched import CONDITIONS, Watched
from detector.inputs.kafka.feed import Begin, PartitionBatch, Shard
from detector.metrics.metrics import Metrics
from detector.store.redis.connect import store_at
from detector.web.health import Health
from tests.receiver import Script, free_port, serving
from tests.scraping import ask, scraped
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.small_bundle import small_bundle
from tests.watching import lines_of, until
from tests.workers import configured, said, spread, working

SEED = 37
WEB = '[web]\nlisten = "127.0.0.1:0"\n'
STANDING_BY = "no shard is left for this worker, standing by"
SHARDS = [Shard("logs", number) for number in range(2)]


def port_of(errors: Path) -> int:
    """The port that a worker says it serves at."""
    until(lambda: bool(said(errors, "serving")))
    return int(said(errors, "serving")[0]["port"])


def test_its_numbers_are_what_was_written_read_and_delivered(
    kafka: Broker, redis: Server, tmp_path: Path
) -> None:
    """Every record once, the sources of all partitions, every alert at its receiver; live and ready."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, errors = "worker-web", tmp_path / "errors"
    small_bundle(tmp_path / "bundle", session=False)
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 400)]
    topics.create(kafka.address, topic, partitions=4)
    spread(kafka.address, topic, lines, session=False)
    with serving(Script()) as receiver:
        config = configured(
            tmp_path / "tailrace.toml", bundle=tmp_path / "bundle", broker=kafka.address, topic=topic,
            redis=redis.url, webhook=receiver.url, more=WEB,
        )  # fmt: skip
        with working(config, errors) as process:
            port = port_of(errors)
            decoded = ("tailrace_records_total", (("result", "decoded"),))
            delivered = ("tailrace_deliveries_total", (("outcome", "delivered"), ("receiver", "ops")))
            waiting = ("tailrace_deliveries_waiting", (("receiver", "ops"),))
            until(lambda: scraped(port)[decoded] == 400 or process.poll() is not None)
            until(lambda: scraped(port)[delivered] == len(receiver.ids) > 0)
            until(lambda: waiting in scraped(port))
            shown = scraped(port)
            assert (ask(port, "/livez")[0], ask(port, "/readyz")[0]) == (200, 200)
    with closing(store_at(RedisAt(url=redis.url, key_prefix=topic))) as store:
        held = sum(len(store.all_states(f"{topic}-{number}")) for number in range(4))
    assert shown["tailrace_sources", ()] == held == 3
    assert sum(value for (name, _), value in shown.items() if name == "tailrace_alerts_total") > 0


def test_a_worker_without_its_redis_lives_and_is_not_ready(kafka: Broker, tmp_path: Path) -> None:
    """A restart would not bring Redis back; the answer names what is missing."""
    topic, errors = "worker-web-alone", tmp_path / "errors"
    small_bundle(tmp_path / "bundle", session=False)
    topics.create(kafka.address, topic, partitions=1)
    config = configured(
        tmp_path / "tailrace.toml", bundle=tmp_path / "bundle", broker=kafka.address, topic=topic,
        redis=f"redis://127.0.0.1:{free_port()}", more=WEB,
    )  # fmt: skip
    with working(config, errors):
        port = port_of(errors)
        until(lambda: len(said(errors, "waiting")) > 1)
        status, body = ask(port, "/readyz")
        assert status == 503
        missing = {"shards": "not yet", "store": "waiting for Kafka or Redis"}
        assert json.loads(body)["missing"] == missing
        assert ask(port, "/livez")[0] == 200


class Steps:
    """Work that looks at the health of its worker while it is at work."""

    def __init__(self, health: Health, clock: list[float]) -> None:
        """Take the clock's hands, so that a batch takes as long as the test wants."""
        self._health, self._clock = health, clock
        self.seen: list[str] = []

    def fence(self, shard: Shard) -> int | None:
        """Nobody has begun it."""

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Nothing to do."""

    def process(self, batch: PartitionBatch) -> None:
        """Take as many seconds as its offset says."""
        self._clock[0] += batch.last
        self._health.tick()
        self.seen.append(self._health.stuck())

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """Nothing to do."""

    def stopped(self, shard: Shard, reason: str) -> None:
        """Nothing to do."""

    def dropped(self, shards: frozenset[Shard]) -> None:
        """Nothing to do."""


def test_a_spare_worker_is_ready_and_takes_over(kafka: Broker, redis: Server, tmp_path: Path) -> None:
    """One of two has the only partition: a roll-out need not wait for the other, which has it next."""
    topic, bundle = "worker-web-spare", tmp_path / "bundle"
    small_bundle(bundle, session=False)
    topics.create(kafka.address, topic, partitions=1)
    config = configured(
        tmp_path / "tailrace.toml", bundle=bundle, broker=kafka.address, topic=topic, redis=redis.url,
        more=WEB,
    )  # fmt: skip
    errors = [tmp_path / "one", tmp_path / "two"]
    with ExitStack() as stack:
        processes = [stack.enter_context(working(config, one)) for one in errors]
        ports = [port_of(one) for one in errors]
        until(lambda: [ask(port, "/readyz")[0] for port in ports] == [200, 200])
        (spare,) = (number for number, one in enumerate(errors) if said(one, STANDING_BY))
        processes[1 - spare].terminate()
        processes[1 - spare].wait()
        lines = [line.rstrip(b"\n") for line in lines_of(SEED, 100)]
        topics.produce(kafka.address, topic, lines)
        decoded = ("tailrace_records_total", (("result", "decoded"),))
        until(lambda: scraped(ports[spare])[decoded] == len(lines))
        assert ask(ports[spare], "/readyz")[0] == 200


def test_a_batch_that_does_not_end_is_not_live() -> None:
    """The loop goes round, and what is in hand does not; when it is done, all is well again."""
    clock = [0.0]
    health = Health(CONDITIONS, stall_s=60.0, clock=lambda: clock[0])
    steps = Steps(health, clock)
    watched = Watched(steps, health, Metrics(lambda: clock[0]), lambda: None)
    for took_s in (59, 61):
        watched.process(PartitionBatch(SHARDS[0], took_s - 1, took_s, [], at_end=True))
        assert health.stuck() == ""
    stuck = "logs-0: the batch to 61: more waits, and nothing was done for 61 s"
    assert steps.seen == ["", stuck]


def test_a_worker_is_ready_while_it_holds_a_shard() -> None:
    """Losing the last of them is said, however it was lost."""
    health = Health(CONDITIONS, stall_s=60.0, clock=lambda: 0.0)
    watched = Watched(Steps(health, [0.0]), health, Metrics(lambda: 0.0), lambda: None)
    health.ready("store", True)

    def stop() -> None:
        for shard in SHARDS:
            watched.stopped(shard, "gone")

    def drop() -> None:
        watched.dropped(frozenset(SHARDS))

    for lose in (stop, drop, watched.end):
        for shard in SHARDS:
            watched.begin(shard, Begin(after=-1, fence=None))
            assert health.missing() == {}
        lose()
        assert health.missing() == {"shards": "none is held"}


def test_a_worker_that_stands_by_is_ready_until_it_ends() -> None:
    """Or until it gets shards and can read none of them."""
    health = Health(CONDITIONS, stall_s=60.0, clock=lambda: 0.0)
    watched = Watched(Steps(health, [0.0]), health, Metrics(lambda: 0.0), lambda: None)
    health.ready("store", True)

    def stop() -> None:
        watched.stopped(SHARDS[0], "gone")

    for lose in (stop, watched.end):
        watched.stand_by()
        assert health.missing() == {}
        lose()
        assert health.missing() == {"shards": "none is held"}
