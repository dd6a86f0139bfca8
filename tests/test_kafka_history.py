"""Topics as inputs: what is in them is replayed and parsed as files are, and an alert's command works."""

import json
import os
import shlex
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detector.config.options import RedisAt
from detector.errors import BadSetup
from detector.inputs.kafka.asking import first_times
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import Shard
from detector.inputs.kafka.spans import Span, since, span_of
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.stores import shared_redis
from tests.watching import COMMAND, lines_of, until
from tests.workers import configured, have_come_to, last_lines, spread, working

SEED = 47
NOON = "2026-11-21T12:00:00Z"
NOON_MS = 1_795_262_400_000


@pytest.fixture
def redis() -> Server:
    """A server of this run."""
    return shared_redis()


def run(*words: str | Path, broker: str) -> subprocess.CompletedProcess[str]:
    """A command that finds its broker in the environment."""
    environment = os.environ | {"TAILRACE_KAFKA__BROKERS": json.dumps([broker])}
    command = [*COMMAND, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def alerts_of(output: str) -> dict[tuple[str, int], str]:
    """Every revision in JSON output, and its status."""
    rows = [json.loads(line) for line in output.splitlines()]
    return {(row["alert_id"], row["revision"]): row["status"] for row in rows if "alert_id" in row}


@pytest.fixture
def log(session: bool, tmp_path: Path) -> Path:
    """A log of some hosts and jobs."""
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 1000)] + last_lines(session=session)
    path = tmp_path / "app.log"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_a_topic_is_replayed_as_the_file_with_its_lines(
    kafka: Broker, bundle_of_kind: Path, session: bool, log: Path
) -> None:
    """Partitions are merged by time: every revision of every alert."""
    topic = f"history-{'sessions' if session else 'streams'}"
    topics.create(kafka.address, topic, partitions=4)
    spread(kafka.address, topic, log.read_bytes().splitlines(), session=session)
    words = ("--bundle", bundle_of_kind, "--format", "json", "--budget", "200")
    expected = run("replay", log, *words, broker=kafka.address)
    found = run("replay", f"kafka://{topic}", *words, broker=kafka.address)
    assert (found.returncode, found.stderr) == (0, expected.stderr)
    assert len(alerts_of(expected.stdout)) > 5
    assert alerts_of(found.stdout) == alerts_of(expected.stdout)


def test_the_command_that_an_alert_names_shows_it_again(
    kafka: Broker, redis: Server, bundle_of_kind: Path, session: bool, log: Path, tmp_path: Path
) -> None:
    """As typed, from the worker's own topic and configuration."""
    topic = f"again-{'sessions' if session else 'streams'}"
    topics.create(kafka.address, topic, partitions=4)
    counts = spread(kafka.address, topic, log.read_bytes().splitlines(), session=session)
    config = configured(
        tmp_path / "tailrace.toml", bundle=bundle_of_kind, broker=kafka.address, topic=topic, redis=redis.url
    )
    with working(config, tmp_path / "errors") as process:
        ends = {f"{topic}-{partition}": count - 1 for partition, count in counts.items()}
        at = RedisAt(url=redis.url, key_prefix=topic)
        until(lambda: have_come_to(at, ends) or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20.0) == 0
    listed = run("alerts", "list", "--format", "json", "--config", config, broker=kafka.address).stdout
    alert = json.loads(listed.splitlines()[-1])
    name, *words = shlex.split(alert["replay"])
    assert name == "tailrace"
    assert words[1].startswith(f"kafka://{topic}?since=20")
    shown = run(*words, "--format", "json", broker=kafka.address)
    assert alert["alert_id"] in {alert_id for alert_id, _ in alerts_of(shown.stdout)}


def test_times_choose_what_is_read(kafka: Broker, bundle_of_kind: Path) -> None:
    """From the first record that is not older, up to the first that is not older than the other."""
    topic = f"between-{bundle_of_kind.name}"
    topics.create(kafka.address, topic)
    for _ in range(3):
        topics.produce(kafka.address, topic, [b"alpha is done for job-1"] * 4)
    at = Connection(brokers=(kafka.address,))
    times = [
        datetime.fromtimestamp(first_times(at, {Shard(topic, 0): offset})[Shard(topic, 0)] / 1000, UTC)
        for offset in (4, 8)
    ]
    first, last = (one.isoformat().replace("+00:00", "Z") for one in times)
    for query, offsets in {
        "": range(12),
        f"?since={first}": range(4, 12),
        f"?until={last}": range(8),
        f"?since={first}&until={last}": range(4, 8),
        "?since=2999-01-01T00:00:00Z": range(0),
    }.items():
        done = run("parse", f"kafka://{topic}{query}", "--bundle", bundle_of_kind, broker=kafka.address)
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["position"] for row in rows] == [f"{topic}/0/{offset}" for offset in offsets]


def test_what_is_not_there_is_named(kafka: Broker, bundle_of_kind: Path) -> None:
    """A topic that is missing is exit 2, a broker that is away exit 4."""
    words = ("--bundle", bundle_of_kind)
    missing = run("replay", "kafka://nowhere", *words, broker=kafka.address)
    assert (missing.returncode, "has no topic nowhere" in missing.stderr) == (2, True)
    away = run("replay", "kafka://nowhere", *words, broker="127.0.0.1:1")
    assert (away.returncode, "127.0.0.1:1 cannot be reached" in away.stderr) == (4, True)


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("kafka://logs", Span("logs")),
        (f"kafka://logs?since={NOON}", Span("logs", NOON_MS)),
        ("kafka://logs?since=2026-11-21T13:00:00+01:00", Span("logs", NOON_MS)),
        (f"kafka://My.logs_1?until={NOON}", Span("My.logs_1", None, NOON_MS)),
    ],
)
def test_an_input_names_a_topic_and_times(name: str, span: Span) -> None:
    """Times have a zone; the topic's case is kept."""
    assert span_of(name) == span


@pytest.mark.parametrize(
    "name",
    [
        "kafka://",
        "kafka://logs/1",
        "kafka://logs?sinc=x",
        "kafka://logs?since=noon",
        f"kafka://logs?since={NOON[:-1]}",
    ],
)
def test_an_input_that_is_wrong_is_refused(name: str) -> None:
    """The sentence has the form that is right."""
    with pytest.raises(
        BadSetup, match=r"write kafka://TOPIC\?since=TIME|write one like 2026-11-21T09:00:00Z"
    ):
        span_of(name)


def test_a_command_begins_before_the_source_did() -> None:
    """By some minutes, as clocks differ; where nothing is known of it, or somebody has said it, as it is."""
    assert since("kafka://logs", NOON_MS * 1000 + 999_999) == "kafka://logs?since=2026-11-21T11:55:00Z"
    assert since("kafka://logs", None) == "kafka://logs"
    assert since("kafka://logs?until=x", 5) == "kafka://logs?until=x"
    assert since("app.log", 5) == "app.log"
