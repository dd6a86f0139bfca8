"""OTLP batches in protobuf: the lines of their JSON, told from text, and a reason for any other bytes."""

import base64
import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from detector.errors import BadRecord
from detector.records import Line, Record
from detector.stages.decode.assembly import Decoded
from detector.stages.decode.decode import Decoder
from detector.stages.decode.memory import DecodeMemory
from detector.stages.decode.otlp import MOST_ATTRIBUTES, MOST_LOGS
from detector.stages.decode.settings import DecodeSettings
from detector.stages.decode.split import MOST_BYTES, each_log
from detector.stages.header.header import Column, Header, Headers

T = 1_767_268_800_123_000  # 2026-01-01T12:00:00.123Z
TIME = Headers((Header((Column("time", "time", chosen=True), Column("level"))),))


def decoded(value: bytes, settings: DecodeSettings | None = None) -> Decoded:
    """One record of a topic."""
    return Decoder(settings or DecodeSettings(), TIME).decode(
        [Record("topic", value, 7, 8, T)], DecodeMemory()
    )


def pair(key: str, text: str) -> KeyValue:
    """An attribute of text."""
    return KeyValue(key=key, value=AnyValue(string_value=text))


def batch_of(*logs: LogRecord, resource: Resource | None = None) -> ExportLogsServiceRequest:
    """A batch of one scope."""
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=logs)])]
    )


KEYS = st.sampled_from(
    ["service.name", "host.name", "k8s.pod.name", "message", "a.b", "a", "body", "flags", ""]
) | st.text(max_size=4)
TEXTS = st.sampled_from(
    ["04:00:00.5 ERROR went wrong", '{"message": "inner"}', "\nfailed\n\tat A.b(C.java:1)"]
)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 60)
LEAVES = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=TEXTS | st.text(max_size=8)),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=INTEGERS),
    st.builds(AnyValue, double_value=st.floats() | st.just(1.0)),
    st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
)
VALUES = st.recursive(
    LEAVES,
    lambda part: st.one_of(
        st.builds(AnyValue, array_value=st.builds(ArrayValue, values=st.lists(part, max_size=3))),
        st.builds(
            AnyValue,
            kvlist_value=st.builds(
                KeyValueList, values=st.lists(st.builds(KeyValue, key=KEYS, value=part), max_size=3)
            ),
        ),
    ),
    max_leaves=12,
)
ATTRIBUTES = st.lists(st.builds(KeyValue, key=KEYS, value=VALUES), max_size=4)
TIMES = st.sampled_from([0, 0, T * 1000, (T + 1) * 1000 + 7, 5, 2**64 - 1])
LOGS = st.builds(
    LogRecord,
    time_unix_nano=TIMES,
    observed_time_unix_nano=TIMES,
    severity_number=st.integers(0, 25),
    severity_text=st.sampled_from(["", "", "Error", "w", "3", "ünusual"]),
    body=VALUES,
    attributes=ATTRIBUTES,
    dropped_attributes_count=st.integers(0, 2),
    flags=st.integers(0, 1),
    trace_id=st.sampled_from([b"", bytes(range(240, 256))]),
    span_id=st.sampled_from([b"", b"\0\1\2\3\4\5\6\7"]),
    event_name=st.sampled_from(["", "", "device.up"]),
)
SCOPES = st.builds(ScopeLogs, log_records=st.lists(LOGS, max_size=3), schema_url=st.just("https://s"))
RESOURCES = st.builds(
    ResourceLogs,
    resource=st.none() | st.builds(Resource, attributes=ATTRIBUTES),
    scope_logs=st.lists(SCOPES, max_size=2),
)
BATCHES = st.builds(ExportLogsServiceRequest, resource_logs=st.lists(RESOURCES, max_size=2))
SETTINGS = st.sampled_from(
    [
        DecodeSettings(),
        DecodeSettings(source_fields=("k8s.pod.name", "a.b", "traceId")),
        DecodeSettings(session=True, source_fields=("a",)),
        DecodeSettings(message_field="a.b", time_field="message", level_field="a"),
        DecodeSettings(event_field="body"),
        DecodeSettings(source_regex="[a-z]+"),
    ]
)


def in_json(batch: ExportLogsServiceRequest, *, zeros: bool, names: bool) -> bytes:
    """The batch as OTLP has it in JSON: as protobuf's JSON, but ids in hexadecimal."""
    fields = MessageToDict(
        batch, always_print_fields_with_no_presence=zeros, use_integers_for_enums=not names
    )
    for resource in fields.get("resourceLogs", []):
        for scope in resource.get("scopeLogs", []):
            for log in scope.get("logRecords", []):
                for name in {"traceId", "spanId"} & log.keys():
                    log[name] = base64.b64decode(log[name]).hex()
    return json.dumps(fields).encode()


def told(found: Decoded) -> tuple[Any, ...]:
    """All that was made of a record but the bytes of what was put aside."""
    rejects = [(reject.offset, reject.reason) for reject in found.rejects]
    return found.lines, found.clocks, rejects, found.counts, found.memory


@given(BATCHES, SETTINGS, st.booleans(), st.booleans())
def test_a_batch_gives_the_same_lines_in_both_encodings(
    batch: ExportLogsServiceRequest,
    settings: DecodeSettings,
    zeros: bool,
    names: bool,
) -> None:
    """Sources, times, levels, messages, positions, and why a log was put aside."""
    if not any(scope.log_records for resource in batch.resource_logs for scope in resource.scope_logs):
        return
    written = in_json(batch, zeros=zeros, names=names)
    assert told(decoded(batch.SerializeToString(), settings)) == told(decoded(written, settings))


@given(BATCHES, SETTINGS, st.booleans(), st.booleans(), st.booleans())
def test_a_batch_that_is_taken_apart_gives_the_same_lines(
    batch: ExportLogsServiceRequest,
    settings: DecodeSettings,
    zeros: bool,
    names: bool,
    encoded: bool,
) -> None:
    """Each log of it as a record of its own: with its resource and scope, and put aside where it was."""
    if not any(scope.log_records for resource in batch.resource_logs for scope in resource.scope_logs):
        return
    value = batch.SerializeToString() if encoded else in_json(batch, zeros=zeros, names=names)
    whole, lines, rejects = decoded(value, settings), list[Line](), 0
    memory = DecodeMemory()
    for sub, log in enumerate(each_log(value)):
        record = Record("topic", log, 7, 8, T)
        alone = Decoder(settings, TIME).decode([record], memory)
        memory = alone.memory
        assert all(line.sub == 0 for line in alone.lines)
        lines += [msgspec.structs.replace(line, sub=sub) for line in alone.lines]
        rejects += len(alone.rejects)
    assert lines == whole.lines
    assert rejects == len(whole.rejects)


@pytest.mark.parametrize("encoded", [True, False], ids=["protobuf", "json"])
def test_a_batch_that_grows_too_much_when_taken_apart_is_refused(encoded: bool) -> None:
    """What a thousand logs share would be in each of them; half as many are still taken apart."""
    shared = Resource(attributes=[pair("service.name", "api"), pair("notes", "x" * 100_000)])

    def written(count: int) -> bytes:
        logs = [LogRecord(body=AnyValue(string_value=f"line {n}")) for n in range(count)]
        batch = batch_of(*logs, resource=shared)
        return batch.SerializeToString() if encoded else in_json(batch, zeros=False, names=False)

    assert len(each_log(written(500))) == 500
    with pytest.raises(BadRecord, match=f"more than {MOST_BYTES} bytes"):
        each_log(written(1000))


def test_a_batch_is_read_as_the_collector_sends_it() -> None:
    """Resource attributes name the source; the observed time, number and text fill what is not there."""
    resource = Resource(attributes=[pair("service.name", "api"), pair("host.name", "web-1")])
    words = AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="a"), AnyValue(int_value=2)]))
    fields = KeyValueList(values=[pair("user", "Ann B"), KeyValue(key="ok", value=AnyValue(bool_value=True))])
    found = decoded(
        batch_of(
            LogRecord(time_unix_nano=T * 1000, severity_number=13, body=AnyValue(string_value="one")),  # type: ignore[arg-type]
            LogRecord(
                observed_time_unix_nano=T * 1000, severity_text="Error", body=AnyValue(bytes_value=b"\xfftwo")
            ),
            LogRecord(body=words),
            LogRecord(body=AnyValue(kvlist_value=fields), attributes=[pair("thread", "main")]),
            LogRecord(),
            resource=resource,
        ).SerializeToString()
    )
    assert [(line.position, line.source, line.time_us, line.level, line.message) for line in found.lines] == [
        ("7:0", "api/web-1", T, "WARN", b"one"),
        ("7:1", "api/web-1", T, "ERROR", "\N{REPLACEMENT CHARACTER}two".encode()),
        ("7:2", "api/web-1", T, "", b'["a",2]'),
        ("7:3", "api/web-1", T, "", b'ok=true user="Ann B"'),
    ]
    assert [reject.reason for reject in found.rejects] == [
        "log 4 of the batch: the object holds no message and no fields to make one of"
    ]


def test_a_number_is_written_alike_however_the_json_writes_it() -> None:
    """Go leaves out the point of 1.0, and some write whole numbers as numbers."""
    for written, text in [({"doubleValue": 1}, b"1.0"), ({"intValue": 7}, b"7"), ({"intValue": "7"}, b"7")]:
        batch = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": written}]}]}]}
        assert decoded(json.dumps(batch).encode()).lines[0].message == text


def test_text_that_is_not_utf_8_costs_no_batch() -> None:
    """Protobuf would refuse it, but shippers send such lines."""
    value = batch_of(LogRecord(body=AnyValue(string_value="a~b"))).SerializeToString()
    (line,) = decoded(value.replace(b"~", b"\xff")).lines
    assert line.message == "a\N{REPLACEMENT CHARACTER}b".encode()


SOUND = batch_of(
    LogRecord(time_unix_nano=T * 1000, body=AnyValue(string_value="went wrong"), attributes=[pair("a", "b")]),
    LogRecord(body=AnyValue(string_value="again"), trace_id=bytes(16)),
    resource=Resource(attributes=[pair("service.name", "api")]),
).SerializeToString()


@pytest.mark.parametrize("length", range(1, len(SOUND)))
def test_a_batch_that_ends_early_is_put_aside(length: int) -> None:
    """Nothing of it is taken for text once there is a log in it."""
    found = decoded(SOUND[:length])
    assert found.lines == [] or b"\x12" not in SOUND[:length]
    assert all(reject.reason.startswith("OTLP: ") for reject in found.rejects)


@given(st.data())
def test_any_damage_gives_lines_or_a_reason(data: st.DataObject) -> None:
    """Bytes that are changed, added or lost anywhere never raise, whatever the settings say."""
    octets = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    for settings in (DecodeSettings(), DecodeSettings(envelope="otlp_proto")):
        found = decoded(bytes(octets), settings)
        assert all(reject.reason for reject in found.rejects)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\n", b"\n\x04\x12\x02", b"\n\x06\x12\x04\x12\x02"]))
def test_any_bytes_are_read_or_put_aside_where_protobuf_is_asked_for(tail: bytes, head: bytes) -> None:
    """A batch, a blank record, or one reason."""
    found = decoded(head + tail, DecodeSettings(envelope="otlp_proto"))
    assert all(reject.reason for reject in found.rejects)
    assert all(line.sub >= 0 for line in found.lines)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"plain text", "not OTLP: field 14 before byte 1 is no resource's logs"),
        (b"\nplain text", "OTLP: the lengths before byte 2 do not add up to 11 bytes"),
        (b'{"resourceLogs": []}', "not OTLP: no field begins before byte 1"),
        (b"\x0a\x02\x08\x01", "not OTLP: field 1 before byte 3 is of another type"),
        (b"\x0a\x04\x12\x02\x12\x09", "OTLP: damaged protobuf in a record of 6 bytes"),
        (b"\x0a" + b"\xff" * 11, "OTLP: no number at byte 1 of 12"),
    ],
)
def test_what_is_no_batch_says_why_where_protobuf_is_asked_for(value: bytes, reason: str) -> None:
    """The record is put aside with one sentence."""
    found = decoded(value, DecodeSettings(envelope="otlp_proto"))
    assert [reject.reason for reject in found.rejects] == [reason]


@pytest.mark.parametrize("text", [b"\nfailed\n\tat A.b(C.java:1)", b'\n"\n ' + b"x" * 32, b"\n" * 12 + b"a"])
def test_text_that_begins_with_a_line_feed_stays_text(text: bytes) -> None:
    """Also where what follows could be read as lengths that add up."""
    (line,) = decoded(text).lines
    assert line.text == text
    assert line.sub == -1


def test_a_json_object_behind_a_line_feed_is_still_an_object() -> None:
    """Some shippers put the line's end first."""
    assert decoded(b'\n{"message": "a"}').lines[0].message == b"a"


@pytest.mark.parametrize("encoded", [True, False], ids=["protobuf", "json"])
def test_a_batch_has_bounds(encoded: bool) -> None:
    """A small record cannot come to any number of logs, nor copy any number of attributes to each."""
    logs = batch_of(*[LogRecord(body=AnyValue(string_value="a"))] * (MOST_LOGS + 1))
    attributes = batch_of(LogRecord(attributes=[pair("a", "b")] * (MOST_ATTRIBUTES + 1)))
    told = batch_of(
        *[LogRecord(severity_number=9)] * 10_000,  # type: ignore[arg-type]
        resource=Resource(attributes=[pair("a", "x" * 10_000)]),
    )
    reasons = []
    for batch in (logs, attributes, told):
        value = batch.SerializeToString() if encoded else in_json(batch, zeros=False, names=False)
        found = decoded(value, DecodeSettings(max_line_bytes=1 << 24))
        reasons += [reject.reason for reject in found.rejects]
        assert found.lines == []
    assert reasons == [
        "OTLP: more than 65536 logs, or 67108864 bytes of them",
        "OTLP: 1001 attributes in one place, more than 1000",
        "OTLP: more than 65536 logs, or 67108864 bytes of them",
    ]


def test_a_batch_beyond_the_length_of_a_line_is_put_aside() -> None:
    """As in JSON, the bound is that of a record."""
    for octet in (b"a", b"\0"):
        value = batch_of(LogRecord(body=AnyValue(bytes_value=octet * 60))).SerializeToString()
        found = decoded(value, DecodeSettings(max_line_bytes=50))
        assert [reject.reason for reject in found.rejects] == [
            f"line of {len(value)} bytes exceeds max_line_bytes (50)"
        ]


def test_protobuf_is_imported_when_the_first_batch_is_met() -> None:
    """Who reads files never waits for it."""
    code = (
        "import sys\n"
        "from detector.records import Record\n"
        "from detector.stages.decode.decode import Decoder\n"
        "from detector.stages.decode.memory import DecodeMemory\n"
        "from detector.stages.decode.settings import DecodeSettings\n"
        "from detector.stages.header.header import Headers\n"
        "def read(value):\n"
        "    decoder = Decoder(DecodeSettings(), Headers())\n"
        "    return decoder.decode([Record('t', value, 0, 1)], DecodeMemory()).lines\n"
        "assert read(b'text') and 'google.protobuf' not in sys.modules\n"
        f"assert len(read({SOUND!r})) == 2 and 'google.protobuf' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
