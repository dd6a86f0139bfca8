"""A worker on real Kafka and Redis comes to the alerts and states of a replay over the same lines."""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.config.options import RedisAt
from detector.distributed.partitions import Partitions
from detector.embedded.replay import Replay
from detector.records import Alert, Revision
from detector.shard.core import Core
from detector.stages.judge.state import SourceState, decode
from detector.store.outbox import Enrolment
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.keys import key
from detector.store.redis.pack import unpack
from tests.kafka_feeds import Running, feed_of
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server, serving
from tests.small_bundle import log_line, small_bundle
from tests.watching import START_S, core_of, lines_of, records_of, until

PARTITIONS = 4
SEED = 20
NAMES = {True: re.compile(rb"job-\d+"), False: re.compile(rb"web-\w")}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis for these tests."""
    with serving(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module", params=[True, False], ids=["sessions", "streams"])
def session(request: pytest.FixtureRequest) -> bool:
    """Both kinds of sources."""
    return bool(request.param)


@pytest.fixture(scope="module")
def bundle(session: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of that kind."""
    path = tmp_path_factory.mktemp("bundle")
    small_bundle(path, session=session)
    return path


def partition_of(line: bytes, *, session: bool) -> int:
    """The partition of the line's source."""
    found = NAMES[session].search(line)
    assert found is not None
    return sum(found[0]) % PARTITIONS


def last_lines(*, session: bool) -> list[bytes]:
    """A late line for each partition, so that all clocks come to the same time as that of one file."""
    at_s = START_S + 10 * 86_400
    found: dict[int, bytes] = {}
    for number in range(100):
        line = log_line(at_s, f"web-{chr(97 + number % 26)}", 0, 10_000 + number).rstrip(b"\n")
        found.setdefault(partition_of(line, session=session), line)
    return list(found.values())


def comparable(state: SourceState) -> SourceState:
    """A state without positions, which differ between a file and a topic."""
    alerts = [msgspec.structs.replace(alert, payload=b"", after=[]) for alert in state.alerts]
    worst = state.worst and msgspec.structs.replace(state.worst, position="", before=[])
    return msgspec.structs.replace(state, last_position="", ring=b"", alerts=alerts, worst=worst)


def told(payload: bytes) -> dict[str, Any]:
    """An alert without positions and the command that shows it."""
    alert = msgspec.json.decode(payload, type=Alert)
    lines = [(line.text, line.role) for line in alert.lines]
    return {**msgspec.structs.asdict(alert), "position": "", "replay": "", "lines": lines}


def replayed(core: Core, log: Path) -> tuple[dict[str, SourceState], dict[tuple[str, int], dict[str, Any]]]:
    """The states and every revision of `replay --keep-open`."""
    run = Replay(core, keep_open=True)
    feeds = {str(log): [records_of(log, log.read_bytes())]}
    revisions: list[Revision] = [one for step in run.steps(feeds) for one in step.done.revisions]
    states = {source: comparable(state) for source, state in run.states.states.items()}
    return states, {(one.alert_id, one.revision): told(one.payload) for one in revisions}


def test_a_worker_comes_to_what_replay_comes_to(
    kafka: Broker, redis: Server, bundle: Path, session: bool, tmp_path: Path
) -> None:
    """Every revision of every alert, and every source's state, over four partitions."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = f"equal-{'sessions' if session else 'streams'}", tmp_path / "app.log"
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 3000)] + last_lines(session=session)
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    topics.create(kafka.address, topic, partitions=PARTITIONS)
    by_partition = defaultdict(list)
    for line in lines:
        by_partition[partition_of(line, session=session)].append(line)
    for partition, some in by_partition.items():
        topics.produce(kafka.address, topic, some, partition=partition)
    core, at = core_of(bundle, log), RedisAt(url=redis.url, key_prefix=topic)
    with closing(store_at(at)) as store:
        work = Partitions(core, store, [Enrolment("ops", "there")], cache_sources=20)
        running = Running(feed_of(kafka.address, topic), work)
        until(lambda: sum(one.counts.lines for one in work.works.values()) == len(lines) or running.has_ended)
        shards = [str(shard) for shard in work.works]
        running.stop()
        assert running.error is None
        states = {
            source: comparable(decode(state, core.bundle.id))
            for shard in shards
            for source, state in store.all_states(shard).items()
        }
    revisions = {}
    with closing(nodes_at(at)) as nodes:
        for shard in shards:
            name = key(topic, shard, "outbox")
            for raw in nodes.ask(name, "HVALS", name):
                alert_id, revision, _, payload = unpack(raw)
                revisions[alert_id, revision] = told(payload.encode())
    expected_states, expected_revisions = replayed(core, log)
    assert len(expected_revisions) > 20
    assert revisions == expected_revisions
    assert states == expected_states
