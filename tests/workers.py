"""What the tests of `tailrace worker` share: its configuration, its process, and what it has come to."""

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from detector.config.options import RedisAt
from detector.distributed.packs import Position
from detector.embedded.replay import Replay
from detector.records import Alert, Revision
from detector.shard.core import Core
from detector.stages.decode.clock import CONFIRMING_LINES
from detector.stages.judge.state import SourceState, decode
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.keys import key
from detector.store.redis.pack import unpack
from detector.store.redis.written import shards
from tests.receiver import SECRET
from tests.servers import topics
from tests.small_bundle import log_line
from tests.watching import START_S, records_of, tailrace

NAMES = {True: re.compile(rb"job-\d+"), False: re.compile(rb"web-\w")}  # of sessions, and of hosts
CONFIG = """
[input]
start = "earliest"
keyed = true
[bundle]
path = {bundle}
[kafka]
brokers = [{broker}]
topics = [{topic}]
group = {topic}
session_timeout_s = 6
[redis]
url = {redis}
key_prefix = {topic}
[batch]
max_lines = 50
[alerts]
budget = 200.0
resolve_after_s = 300.0
"""
WEBHOOK = """
[[receivers.webhook]]
name = "ops"
url = {url}
secret = {secret}
allow_private = true
"""

States = dict[str, SourceState]
Revisions = dict[tuple[str, int], dict[str, Any]]


def configured(
    path: Path,
    *,
    bundle: Path,
    broker: str,
    topic: str,
    redis: str,
    webhook: str = "",
    routed: str = "",
    more: str = "",
) -> Path:
    """Write a configuration whose group and keys are named after the topic."""
    values = {"bundle": str(bundle), "broker": broker, "topic": topic, "redis": redis}
    text = CONFIG.format(**{name: json.dumps(value) for name, value in values.items()})
    if routed:
        text = text.replace("keyed = true", "keyed = false").replace(
            "[redis]", f"routed_topic = {json.dumps(routed)}\n[redis]"
        )
    if webhook:
        text += WEBHOOK.format(url=json.dumps(webhook), secret=json.dumps(SECRET))
    path.write_text(text + more)
    return path


@contextmanager
def working(config: Path, errors: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as a process of its own; what it says on standard error is added to a file."""
    with errors.open("ab") as file, tailrace("worker", "--config", config, stderr=file) as process:
        yield process


def said(errors: Path, event: str) -> list[dict[str, Any]]:
    """What a worker has said of one kind so far; every line but the sentence at an end is JSON."""
    lines = errors.read_text().splitlines() if errors.exists() else []
    entries = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [entry for entry in entries if entry["event"] == event]


def spread(
    address: str, topic: str, lines: Iterable[bytes], *, session: bool, partitions: int = 4
) -> dict[int, int]:
    """Write lines to the partitions of their sources; gives the number of lines of each."""
    by_partition = defaultdict(list)
    for line in lines:
        by_partition[partition_of(line, session=session, partitions=partitions)].append(line)
    for partition, some in by_partition.items():
        topics.produce(address, topic, some, partition=partition)
    return {partition: len(some) for partition, some in by_partition.items()}


def partition_of(line: bytes, *, session: bool, partitions: int = 4) -> int:
    """The partition of the line's source."""
    found = NAMES[session].search(line)
    assert found is not None
    return sum(found[0]) % partitions


def last_lines(*, session: bool, partitions: int = 4, days: float = 10) -> list[bytes]:
    """Late lines for each partition, enough to be believed, so that all clocks come to that of one file."""
    at_s = START_S + days * 86_400
    found: dict[int, list[bytes]] = defaultdict(list)
    for number in range(100):
        line = log_line(at_s, f"web-{chr(97 + number % 26)}", 0, 10_000 + number).rstrip(b"\n")
        of_partition = found[partition_of(line, session=session, partitions=partitions)]
        if len(of_partition) < CONFIRMING_LINES:
            of_partition.append(line)
    return [line for of_partition in found.values() for line in of_partition]


def fences(at: RedisAt) -> dict[str, int]:
    """The last offset of every shard whose effects are kept."""
    with closing(store_at(at)) as store, closing(nodes_at(at)) as nodes:
        found = {shard: store.fence(shard) for shard in shards(nodes, at.key_prefix)}
    return {
        shard: msgspec.json.decode(fence.fence, type=Position).offset
        for shard, fence in found.items()
        if fence is not None
    }


def have_come_to(at: RedisAt, ends: dict[str, int]) -> bool:
    """Whether every shard's effects up to its last offset are kept."""
    reached = fences(at)
    return all(reached.get(shard, -1) >= end for shard, end in ends.items())


def come_to(at: RedisAt, core: Core) -> tuple[States, Revisions]:
    """The states and every kept revision in Redis, without positions."""
    states: States = {}
    revisions: Revisions = {}
    with closing(store_at(at)) as store, closing(nodes_at(at)) as nodes:
        for shard in shards(nodes, at.key_prefix):
            for source, state in store.all_states(shard).items():
                assert source not in states, f"{source} has a state in two shards"
                states[source] = comparable(decode(state, core.bundle.id))
            name = key(at.key_prefix, shard, "outbox")
            for raw in nodes.ask(name, "HVALS", name):
                alert_id, revision, _, payload = unpack(raw)
                revisions[alert_id, revision] = told(payload.encode())
    return states, revisions


def replayed(core: Core, *logs: Path) -> tuple[States, Revisions]:
    """The states and every revision of `replay --keep-open`, without positions."""
    run = Replay(core, keep_open=True)
    feeds = {str(log): [records_of(log, log.read_bytes())] for log in logs}
    revisions: list[Revision] = [one for step in run.steps(feeds) for one in step.done.revisions]
    states = {source: comparable(state) for source, state in run.states.states.items()}
    return states, {(one.alert_id, one.revision): told(one.payload) for one in revisions}


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
