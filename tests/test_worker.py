"""`tailrace worker` as a process: lines become alerts, servers that are away are waited for."""

import signal
import sys
from pathlib import Path

from detector.config.options import RedisAt
from tests.receiver import Script, serving
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.watching import core_of, lines_of, until
from tests.workers import come_to, configured, have_come_to, last_lines, replayed, said, spread, working

SEED = 31
END_S = 10.0


def test_lines_of_a_topic_become_alerts_at_a_webhook(
    kafka: Broker, redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """The alerts, revisions and states are those of a replay; each alert's last revision is delivered."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = "worker-webhook", tmp_path / "app.log"
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 1000)] + last_lines(session=False)
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    topics.create(kafka.address, topic, partitions=4)
    counts = spread(kafka.address, topic, lines, session=False)
    at, core = RedisAt(url=redis.url, key_prefix=topic), core_of(bundle, log)
    states, revisions = replayed(core, log)
    last = {alert_id: max(r for a, r in revisions if a == alert_id) for alert_id, _ in revisions}
    assert len(last) > 5
    with serving(Script()) as receiver:
        config = configured(
            tmp_path / "tailrace.toml",
            bundle=bundle, broker=kafka.address, topic=topic, redis=redis.url, webhook=receiver.url,
        )  # fmt: skip
        with working(config, tmp_path / "errors") as process:
            ends = {f"{topic}-{partition}": count - 1 for partition, count in counts.items()}
            until(lambda: have_come_to(at, ends) or process.poll() is not None)
            wanted = {f"{alert_id}.{revision}" for alert_id, revision in last.items()}
            until(lambda: wanted <= set(receiver.ids) or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
            assert process.wait(END_S) == 0
    assert come_to(at, core) == (states, revisions)
    assert len(set(receiver.ids)) == len(receiver.ids)
    for request in receiver.requests:
        request.verify()
    assert said(tmp_path / "errors", "working")[0]["topics"] == [topic]


def test_a_topic_that_is_made_just_after_the_start_is_waited_for(
    kafka: Broker, redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """As is one that a broker has not heard of yet: no service manager starts again what ends with exit 2."""
    topic, errors = "worker-too-soon", tmp_path / "errors"
    config = configured(
        tmp_path / "tailrace.toml",
        bundle=bundle, broker=kafka.address, topic=topic, redis=redis.url, webhook="http://127.0.0.1:9/",
    )  # fmt: skip
    with working(config, errors) as process:
        until(lambda: bool(said(errors, "waiting for topics that Kafka does not know")))
        topics.create(kafka.address, topic, partitions=4)
        counts = spread(
            kafka.address, topic, [line.rstrip(b"\n") for line in lines_of(SEED, 100)], session=False
        )
        ends = {f"{topic}-{partition}": count - 1 for partition, count in counts.items()}
        at = RedisAt(url=redis.url, key_prefix=topic)
        until(lambda: have_come_to(at, ends) or process.poll() is not None)
        assert process.poll() is None
    assert said(errors, "working")[0]["topics"] == [topic]


def test_lines_of_a_topic_without_keys_are_routed(
    kafka: Broker, redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """By default nothing is taken for granted about keys: the same alerts, revisions and states."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = "worker-routed", tmp_path / "app.log"
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 1000)]
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    routed = f"{topic}-by-source"
    for name in (topic, routed):
        topics.create(kafka.address, name, partitions=4, retention_ms="-1")
    topics.produce(kafka.address, topic, lines)
    at, core = RedisAt(url=redis.url, key_prefix=topic), core_of(bundle, log)
    config = configured(
        tmp_path / "tailrace.toml",
        bundle=bundle, broker=kafka.address, topic=topic, redis=redis.url, routed=routed,
    )  # fmt: skip
    expected = replayed(core, log)
    assert len(expected[1]) > 5
    with working(config, tmp_path / "errors") as process:
        until(lambda: come_to(at, core) == expected or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) == 0
    assert come_to(at, core) == expected
