"""Every recorded log, sent through Kafka without keys, comes to what a replay of it comes to."""

import gzip
from contextlib import closing
from pathlib import Path

import pytest

from detector.config.options import RedisAt
from detector.distributed.by_topic import by_topic, routing_feed
from detector.distributed.letters import Keeping
from detector.distributed.partitions import Partitions
from detector.shard.bundles import Bundles
from detector.shard.core import Core, Rules, build
from detector.store.outbox import Enrolment
from detector.store.redis.connect import store_at
from tests.kafka_feeds import feed_of, running
from tests.recordings import FIXTURES, SYSTEMS, names_of, run, shipped
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.watching import records_of, until
from tests.workers import come_to, replayed

PARTITIONS = 4


@pytest.fixture(scope="module")
def services_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the recorded services at work."""
    path = tmp_path_factory.mktemp("services") / "bundle"
    log = FIXTURES / "requests" / "train"
    run("training.cli", "fit", str(log), "--out", str(path), "--epochs", "2", "--device", "cpu")
    return path


@pytest.mark.parametrize(("system", "name"), [(one, name) for one in SYSTEMS for name in names_of(one)])
def test_a_recording_comes_to_the_same(
    kafka: Broker, redis: Server, bundles: dict[str, Path], system: str, name: str, tmp_path: Path
) -> None:
    """Every alert's id and revisions, and every source's state."""
    core = build(bundles[system], {"source_fields": ["file"]}, Rules(), [])
    assert_same(kafka, redis, core, f"{system}-{name}", shipped(FIXTURES / system / name), tmp_path)


@pytest.mark.parametrize("name", ["half-done", "jobs-terminated"])
def test_a_recording_of_sessions_comes_to_the_same(
    kafka: Broker, redis: Server, session_bundle: Path, name: str, tmp_path: Path
) -> None:
    """The lines of one file are spread over the partitions by their sessions."""
    core = build(session_bundle, {}, Rules(), [])
    assert_same(kafka, redis, core, f"sessions-{name}", shipped(FIXTURES / "postgres" / name), tmp_path)


@pytest.mark.parametrize("name", names_of("requests"))
def test_a_recording_of_services_comes_to_the_same(
    kafka: Broker, redis: Server, services_bundle: Path, name: str, tmp_path: Path
) -> None:
    """The lines of six services lie in one partition, as a collector writes them."""
    log = FIXTURES / "requests" / name / "all.log.gz"
    logs = {"all.log": gzip.decompress(log.read_bytes()).splitlines()}
    core = build(services_bundle, {}, Rules(budget=10.0), [])
    assert_same(kafka, redis, core, f"requests-{name}", logs, tmp_path)


def assert_same(
    kafka: Broker, redis: Server, core: Core, topic: str, logs: dict[str, list[bytes]], folder: Path
) -> None:
    """Each log lies in a partition of its own, as a shipper writes it: a line when it is logged."""
    routed = f"{topic}-routed"
    for one in (topic, routed):
        topics.create(kafka.address, one, partitions=PARTITIONS, retention_ms="-1")
    for partition, (name, lines) in enumerate(logs.items()):
        (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
        times_ms = times_of(core, folder / name)
        topics.produce(kafka.address, topic, lines, partition=partition, times_ms=times_ms)
    expected = replayed(core, *(folder / name for name in logs))
    at = RedisAt(url=redis.url, key_prefix=topic)
    feed = routing_feed(feed_of(kafka.address, topic, max_lines=2000), routed)
    with closing(store_at(at)) as store:
        partitions = Partitions(
            core, store, [Enrolment("ops", "there")], cache_sources=500, keeping=Keeping(routed_topic=routed)
        )
        with by_topic(Bundles(core), feed, partitions, routed) as work, running(feed, work) as worker:
            until(lambda: come_to(at, core) == expected or worker.has_ended)
    assert come_to(at, core) == expected


def times_of(core: Core, log: Path) -> list[int]:
    """When each line was logged, in milliseconds: by its own stamp, else by that of the line before it."""
    records = records_of(log, log.read_bytes())
    read = core.new_reader().read(log.name, records)
    found = {line.offset: line.time_us // 1000 for line, _ in read.lines if line.time_us is not None}
    times_ms, last_ms = [], min(found.values())
    for record in records:
        last_ms = found.get(record.offset, last_ms)
        times_ms.append(last_ms)
    return times_ms
