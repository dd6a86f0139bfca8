"""What shippers write to Kafka is of the right sources, through a broker, a worker and its store."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from detector.config.options import RedisAt
from detector.distributed.partitions import Partitions
from detector.inputs.kafka.feed import Shard
from detector.shard.core import Core
from detector.stages.judge.state import SourceState, decode
from detector.store.redis.connect import store_at
from tests.kafka_feeds import feed_of, running
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.small_bundle import WORDS, small_bundle
from tests.watching import core_of, until

AT = "2026-01-01T12:00:00.123Z"
T = 1_767_268_800_123_000
SAID = f"{WORDS[0]} is done for job-7"


class Message(NamedTuple):
    """What a shipper writes."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """A core that looks for sources where it does by default."""
    path = tmp_path_factory.mktemp("bundle")
    small_bundle(path, session=False)
    return core_of(path, path, source_fields=[])


def send(address: str, topic: str, messages: Sequence[Message]) -> None:
    """Write messages, at the time that their logs tell."""

    async def written() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=address)
        await producer.start()
        try:
            for value, key, headers in messages:
                await producer.send_and_wait(
                    topic, value, key=key, headers=list(headers), partition=0, timestamp_ms=T // 1000
                )
        finally:
            await producer.stop()

    asyncio.run(written())


class Outcome(NamedTuple):
    """What a worker made of a topic."""

    states: dict[str, SourceState]
    rejects: int
    fence: int | None


def outcome(kafka: Broker, redis: Server, core: Core, topic: str, messages: Sequence[Message]) -> Outcome:
    """What a worker comes to."""
    topics.create(kafka.address, topic, retention_ms="-1")  # the messages are old
    send(kafka.address, topic, messages)
    shard = Shard(topic, 0)
    with closing(store_at(RedisAt(url=redis.url, key_prefix=topic))) as store:
        work = Partitions(core, store, [], cache_sources=20)
        with running(feed_of(kafka.address, topic), work) as worker:
            until(
                lambda: (
                    sum(one.counts.lines for one in work.works.values()) == len(messages) or worker.has_ended
                )
            )
            rejects = sum(one.counts.rejects for one in work.works.values())
        states = {
            source: decode(state, core.bundle.id) for source, state in store.all_states(str(shard)).items()
        }
        return Outcome(states, rejects, Partitions(core, store, [], cache_sources=1).fence(shard))


def otlp() -> bytes:
    """A batch of the collector, as its exporter sends it unless told otherwise."""
    resource = Resource(
        attributes=[
            KeyValue(key=key, value=AnyValue(string_value=value))
            for key, value in [("service.name", "otlp"), ("host.name", "web-1"), ("os.type", "linux")]
        ]
    )
    log = LogRecord(
        time_unix_nano=T * 1000,
        observed_time_unix_nano=T * 1000 + 5,
        severity_number=17,  # type: ignore[arg-type]
        severity_text="Error",
        body=AnyValue(string_value=SAID),
        attributes=[KeyValue(key="log.file.name", value=AnyValue(string_value="api.log"))],
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
    )
    scopes = [ScopeLogs(log_records=[log])]
    batch = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource, scope_logs=scopes)])
    return bytes(batch.SerializeToString())


OTLP_JSON = {
    "resourceLogs": [
        {
            "resource": {
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": "otlp-json"}},
                    {"key": "host.name", "value": {"stringValue": "web-1"}},
                ]
            },
            "scopeLogs": [
                {
                    "scope": {},
                    "logRecords": [
                        {
                            "timeUnixNano": str(T * 1000),
                            "observedTimeUnixNano": str(T * 1000 + 5),
                            "severityNumber": 17,
                            "severityText": "Error",
                            "body": {"stringValue": SAID},
                            "traceId": "000102030405060708090a0b0c0d0e0f",
                            "spanId": "",
                        }
                    ],
                }
            ],
        }
    ]
}
FILEBEAT = {
    "@timestamp": AT,
    "@metadata": {"beat": "filebeat", "type": "_doc", "version": "9.1.0"},
    "log": {"offset": 4711, "file": {"path": "/var/log/api.log", "inode": "1234"}, "level": "error"},
    "message": SAID,
    "input": {"type": "filestream"},
    "service": {"name": "filebeat-api", "type": "java"},
    "ecs": {"version": "8.0.0"},
    "host": {"name": "web-1", "os": {"family": "debian", "kernel": "6.1.0"}},
    "agent": {"type": "filebeat", "name": "web-1", "ephemeral_id": "0b7c1f6e-44cc"},
}
FLUENT_BIT = {"@timestamp": T / 1e6, "log": SAID, "level": "error", "host": "fluent-bit-1"}
VECTOR = {
    "file": "/var/log/api.log",
    "host": "vector-1",
    "message": SAID,
    "source_type": "file",
    "timestamp": AT,
}
DOCKER = {"log": SAID + "\n", "stream": "stderr", "time": "2026-01-01T12:00:00.123000000Z"}
JOURNALD = {
    "__CURSOR": "s=7d1;i=2f;b=aa",
    "__REALTIME_TIMESTAMP": str(T),
    "__MONOTONIC_TIMESTAMP": "4711",
    "_BOOT_ID": "aa",
    "PRIORITY": "3",
    "_HOSTNAME": "journald-1",
    "_SYSTEMD_UNIT": "api.service",
    "SYSLOG_IDENTIFIER": "api",
    "_PID": "42",
    "MESSAGE": SAID,
}
# What is written, the source that it is of, and its level.
SHIPPED: Mapping[str, tuple[bytes | Mapping[str, object], str, str]] = {
    "otlp-proto": (otlp(), "otlp/web-1", "ERROR"),
    "otlp-json": (OTLP_JSON, "otlp-json/web-1", "ERROR"),
    "filebeat": (FILEBEAT, "filebeat-api/web-1", "ERROR"),
    "filebeat without a service": (
        {key: value for key, value in FILEBEAT.items() if key != "service"} | {"host": {"name": "beat-2"}},
        "beat-2",
        "ERROR",
    ),
    "filebeat without a host": (
        {key: value for key, value in FILEBEAT.items() if key not in {"service", "host"}},
        "/var/log/api.log",
        "ERROR",
    ),
    "fluent-bit": (FLUENT_BIT, "fluent-bit-1", "ERROR"),
    "vector": (VECTOR, "vector-1", ""),
    "docker": (DOCKER, "KEY", ""),
    "journald": (JOURNALD, "api.service/journald-1", "ERROR"),
    "rfc-5424": (f"<11>1 {AT} syslog-1 api 42 - - {SAID}".encode(), "api/syslog-1", "ERROR"),
    "text": (f"{AT} web-1 {SAID}".encode(), "KEY-OF-TEXT", ""),
}
KEYS = {"docker": b"KEY", "text": b"KEY-OF-TEXT"}


def test_what_shippers_write_is_of_the_sources_that_it_names(
    kafka: Broker, redis: Server, core: Core
) -> None:
    """Each is parsed by its message, dated and graded by its envelope, and all may be in one topic."""
    messages = [
        Message(value if isinstance(value, bytes) else json.dumps(value).encode(), KEYS.get(name))
        for name, (value, _, _) in SHIPPED.items()
    ]
    nameless = Message(json.dumps(DOCKER).encode())
    found = outcome(kafka, redis, core, "shipped", [*messages, nameless])
    assert found.rejects == 0
    assert {
        source: (state.number, state.unknown, state.last_us, state.last_level)
        for source, state in found.states.items()
    } == {
        **{source: (1, 0, T, level) for _, source, level in SHIPPED.values()},
        "shipped": (1, 0, T, ""),
    }


def test_messages_that_say_nothing_are_passed_over(kafka: Broker, redis: Server, core: Core) -> None:
    """Tombstones, empty values and headers change nothing, and the fence goes past them."""
    line = f"{AT} web-1 {SAID}".encode()
    messages = [
        Message(None, b"a"),
        Message(line, b"a", [("trace", b"\xff\0"), ("trace", b""), ("", b"{")]),
        Message(b"", b"a"),
        Message(None, b""),
        Message(b" \n", b"a"),
        Message(line, b""),
        Message(None, b"a"),
    ]
    found = outcome(kafka, redis, core, "tombstones", messages)
    assert (found.rejects, found.fence) == (0, 6)
    assert {source: state.number for source, state in found.states.items()} == {"a": 1, "tombstones": 1}


def test_a_message_of_several_lines_is_one_event(kafka: Broker, redis: Server, core: Core) -> None:
    """It is known by its first line, as a stack trace that came whole; a batch is as many as it holds."""
    trace = f"{AT} web-1 {SAID}\njava.io.IOException: bad\n\tat com.example.Main.run(Main.java:12)\n"
    logs = [{"timeUnixNano": T * 1000, "body": {"stringValue": SAID}} for _ in range(3)]
    batch = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}]}).encode()
    messages = [Message(trace.encode(), b"trace"), Message(batch, b"batch")]
    found = outcome(kafka, redis, core, "several", messages)
    assert found.rejects == 0
    assert {
        source: (state.number, state.unknown, state.last_position) for source, state in found.states.items()
    } == {"trace": (1, 0, "0"), "batch": (3, 0, "1:2")}


def test_what_cannot_be_read_is_put_aside_and_holds_up_nothing(
    kafka: Broker, redis: Server, core: Core
) -> None:
    """Half a batch, and half an object among objects."""
    sound, half = otlp(), json.dumps(FILEBEAT).encode()[:-9]
    found = outcome(kafka, redis, core, "halves", [Message(one) for one in (sound, sound[:-9], half, sound)])
    assert (found.rejects, found.fence) == (2, 3)
    assert {source: state.number for source, state in found.states.items()} == {"otlp/web-1": 2}
