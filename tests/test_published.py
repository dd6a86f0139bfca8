"""Scores and alerts in topics, keyed by source."""

import asyncio
import json
import random
import signal
import sys
import time
from collections import defaultdict
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.cli.__main__ import app
from detector.cli.run import run
from detector.config.options import RedisAt
from detector.distributed.scores import COLUMNS
from detector.embedded.replay import Replay
from detector.errors import BadRecord, Unavailable
from detector.inputs.kafka import producing
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.producing import Message, putting
from detector.inputs.kafka.sending import Sender
from detector.notify.answer import Outcome
from detector.notify.body import fitted
from detector.notify.receivers import TopicReceiver
from detector.notify.topic import open_topic
from detector.records import Alert
from detector.shard.rows import event_row
from detector.store.deliveries import Delivery
from tests.delivery import SAMPLE, revision
from tests.servers import topics
from tests.servers.kafka import Broker, free_ports
from tests.servers.redis import Server
from tests.watching import DEADLINE_S, core_of, lines_of, records_of, until
from tests.workers import come_to, configured, have_come_to, last_lines, spread, working

SEED = 71
RECEIVER = """
[[receivers.kafka]]
name = "bus"
topic = {topic}
"""


def scored(core: Any, log: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each source that a replay writes, without positions."""
    core = msgspec.structs.replace(core, policy=msgspec.structs.replace(core.policy, want_scores=True))
    replay, rows = Replay(core, keep_open=True), defaultdict(list)
    for step in replay.steps({str(log): [records_of(log, log.read_bytes())]}):
        for event in step.done.events:
            row = dict(zip(COLUMNS, event_row(event, core.explain.template(event.token)[0]), strict=False))
            rows[event.source].append({**row, "position": ""})
    return dict(rows)


def test_a_worker_publishes_scores_and_alerts_keyed_by_source(
    kafka: Broker,
    redis: Server,
    bundle_of_kind: Path,
    session: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows are those of a replay, in the order of each source; every revision of every alert is there."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = f"published-{'sessions' if session else 'streams'}", tmp_path / "app.log"
    monkeypatch.setenv("TAILRACE_KAFKA__SCORES_TOPIC", f"{topic}-scores")
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 500)] + last_lines(session=session)
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    topics.create(kafka.address, topic, partitions=4)
    topics.create(kafka.address, f"{topic}-scores", partitions=3)
    topics.create(kafka.address, f"{topic}-alerts", partitions=3)
    counts = spread(kafka.address, topic, lines, session=session)
    at, core = RedisAt(url=redis.url, key_prefix=topic), core_of(bundle_of_kind, log)
    config = configured(
        tmp_path / "tailrace.toml",
        bundle=bundle_of_kind, broker=kafka.address, topic=topic, redis=redis.url,
        more=RECEIVER.format(topic=json.dumps(f"{topic}-alerts")),
    )  # fmt: skip
    ends = {f"{topic}-{partition}": count - 1 for partition, count in counts.items()}

    def written(name: str) -> int:
        return sum(len(topics.log_of(kafka.address, f"{topic}-{name}", partition)) for partition in range(3))

    with working(config, tmp_path / "errors") as process:
        until(lambda: have_come_to(at, ends) or process.poll() is not None)
        _, revisions = come_to(at, core)
        until(lambda: written("alerts") >= len(revisions) or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    expected, rows = scored(core, log), defaultdict(list)
    alerts: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for partition in range(3):
        for record in topics.records(kafka.address, f"{topic}-scores", partition=partition):
            row = json.loads(record.value)
            assert list(row) == list(COLUMNS)
            assert record.key == row["source"].encode()
            assert (row.pop("topic"), row.pop("partition") in range(4)) == (topic, True)
            rows[row["source"]].append({**row, "position": ""})
        for record in topics.records(kafka.address, f"{topic}-alerts", partition=partition):
            alert = msgspec.json.decode(record.value, type=Alert)
            assert record.key == alert.source.encode()
            assert dict(record.headers) == {"tailrace-id": f"{alert.alert_id}.{alert.revision}".encode()}
            alerts[alert.alert_id].append((alert.status, alert.revision))
    assert dict(rows) == expected
    assert len(revisions) > 10
    assert {(name, number) for name, some in alerts.items() for _, number in some} == revisions.keys()
    assert all(some == sorted(some, key=lambda one: one[1]) for some in alerts.values())


def test_watch_writes_alerts_to_a_topic(
    kafka: Broker, tmp_path: Path, bundle_of_kind: Path, session: bool
) -> None:
    """A machine without a worker of its own can tell the same topic."""
    topic, log = f"watched-{'sessions' if session else 'streams'}", tmp_path / "app.log"
    log.write_bytes(b"".join(lines_of(SEED, 300)))
    topics.create(kafka.address, topic)
    config = tmp_path / "tailrace.toml"
    config.write_text(
        f'[kafka]\nbrokers = ["{kafka.address}"]\n[alerts]\nbudget = 200.0\n'
        + RECEIVER.format(topic=f'"{topic}"')
    )
    words = [
        "watch",
        str(log),
        "--once",
        "--bundle",
        str(bundle_of_kind),
        "--state",
        str(tmp_path / "state.db"),
    ]
    assert run(app, [*words, "--config", str(config)]) == 0
    found = [msgspec.json.decode(one.value, type=Alert) for one in topics.records(kafka.address, topic)]
    assert len({alert.alert_id for alert in found}) > 1


def test_a_topic_without_brokers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the start, and with the key that is missing."""
    config, log = tmp_path / "tailrace.toml", tmp_path / "app.log"
    config.write_text(RECEIVER.format(topic='"alerts"'))
    log.write_bytes(b"")
    words = ["watch", str(log), "--bundle", "b", "--state", str(tmp_path / "s"), "--config", str(config)]
    assert run(app, words) == 2
    assert "set brokers of [kafka]" in capsys.readouterr().err


def test_brokers_that_are_away_are_a_failed_attempt() -> None:
    """The delivery waits in the outbox, and is tried again."""
    connection = Connection(brokers=(f"127.0.0.1:{free_ports(1)[0]}",))
    one = revision("a1", 1)

    async def attempt() -> Outcome:
        async with open_topic(TopicReceiver("bus", "alerts"), partial(putting, connection)) as send:
            return (await send(Delivery(1, one.alert_id, 1, one.payload, 0))).outcome

    assert asyncio.run(attempt()) is Outcome.FAILED


def test_a_sender_says_what_failed_and_goes_on(kafka: Broker) -> None:
    """A message that is too large, then brokers that come back: each call stands for itself."""
    topics.create(kafka.address, "sent", max_message_bytes="1000")
    with closing(Sender(Connection(brokers=(kafka.address,)))) as sender:
        sender.send([Message("sent", b"k", b"one")])
        with pytest.raises(BadRecord, match="larger than its topic takes"):
            sender.send([Message("sent", b"k", random.Random(SEED).randbytes(5000))])
        sender.send([Message("sent", b"k", b"two", (("h", b"v"),))])
    away = Connection(brokers=(f"127.0.0.1:{free_ports(1)[0]}",))
    with closing(Sender(away)) as sender, pytest.raises(Unavailable):
        sender.send([Message("sent", b"k", b"three")])
    assert [one.value for one in topics.records(kafka.address, "sent")] == [b"one", b"two"]


def test_an_alert_that_is_too_large_loses_evidence_and_stays_one() -> None:
    """What is left is the same alert and below the bound."""
    payload = msgspec.json.encode(msgspec.structs.replace(SAMPLE, replay="r" * 5000, lines=SAMPLE.lines * 40))
    smaller = fitted(payload, 4000)
    assert len(smaller) <= 4000
    assert msgspec.json.decode(smaller, type=Alert).alert_id == SAMPLE.alert_id
    assert fitted(payload, len(payload)) == payload


def test_what_is_sent_while_brokers_are_away_fails_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whether they are gone or hang, though they had let us in; once they are back, sending works again."""
    broker = Broker(tmp_path)
    broker.start()
    try:
        topics.create(broker.address, "sent")
        with closing(Sender(Connection(brokers=(broker.address,)))) as sender:
            for away, back in (
                (broker.kill, broker.start),
                (broker.freeze, broker.thaw),
            ):
                sender.send([Message("sent", b"k", b"before")])
                away()
                began_s = time.monotonic()
                with monkeypatch.context() as hurried:
                    hurried.setattr(producing, "SEND_S", 2.0)
                    with pytest.raises(Unavailable, match="has not taken what was sent in 2 s"):
                        sender.send([Message("sent", b"k", b"meanwhile")])
                assert time.monotonic() - began_s < 2.0 + 5 * producing.CLOSE_S
                back()
                sender.send([Message("sent", b"k", b"after")])
        values = [one.value for one in topics.records(broker.address, "sent")]
    finally:
        broker.stop()
    assert [value for value in values if value != b"meanwhile"] == [b"before", b"after"] * 2
