"""Each shipper's JSON, and syslog, as lines: message, time, level and source under the names they use."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.records import Line, Record
from detector.stages.decode.decode import Decoder
from detector.stages.decode.fields import value_at
from detector.stages.decode.memory import DecodeMemory
from detector.stages.decode.settings import DecodeSettings
from detector.stages.header.header import Column, Header, Headers

T = 1_767_268_800_123_000  # 2026-01-01T12:00:00.123Z
TIME = Headers((Header((Column("time", "time", chosen=True), Column("level"))),))


def lines(value: object, *, headers: Headers = TIME, **settings: object) -> list[Line]:
    """The lines of one JSON record, none of which is put aside."""
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    decoder = Decoder(msgspec.convert(settings, DecodeSettings), headers)
    found = decoder.decode([Record("topic", raw, 7, 8)], DecodeMemory())
    assert found.rejects == []
    return found.lines


SHIPPERS: dict[str, tuple[dict[str, object], str, str]] = {
    "fluent-bit": (
        {"@timestamp": 1767268800.123, "log": "WARN went wrong", "level": "warn", "host": "web-1"},
        "web-1",
        "WARN",
    ),
    "vector": (
        {
            "message": "WARN went wrong",
            "timestamp": "2026-01-01T12:00:00.123Z",
            "host": "web-1",
            "source_type": "file",
        },
        "web-1",
        "",
    ),
    "filebeat": (
        {
            "@timestamp": "2026-01-01T12:00:00.123Z",
            "message": "WARN went wrong",
            "log": {"level": "warning", "file": {"path": "/var/log/api.log"}},
            "service": {"name": "api"},
            "host": {"name": "web-1"},
        },
        "api/web-1",
        "WARNING",
    ),
    "ecs-dotted": (
        {
            "@timestamp": "2026-01-01T13:00:00.123+01:00",
            "message": "WARN went wrong",
            "log.level": "Error",
            "service.name": "api",
            "host.name": "web-1",
        },
        "api/web-1",
        "ERROR",
    ),
    "docker": (
        {"log": "WARN went wrong\n", "stream": "stderr", "time": "2026-01-01T12:00:00.123000000Z"},
        "topic",
        "",
    ),
    "kubernetes": (
        {
            "@timestamp": "2026-01-01T12:00:00.123Z",
            "log": "WARN went wrong",
            "kubernetes": {"pod_name": "api-1", "namespace_name": "shop", "host": "node-3"},
        },
        "api-1/shop",
        "",
    ),
    "journald": (
        {
            "MESSAGE": list(b"WARN went wrong"),
            "_HOSTNAME": "web-1",
            "_SYSTEMD_UNIT": "api.service",
            "PRIORITY": "3",
            "__REALTIME_TIMESTAMP": str(T),
        },
        "api.service/web-1",
        "ERROR",
    ),
    "pino": (
        {"level": 50, "time": T // 1000, "pid": 1, "hostname": "web-1", "msg": "WARN went wrong"},
        "web-1",
        "ERROR",
    ),
    "zap": ({"level": "info", "ts": 1767268800.123, "msg": "WARN went wrong"}, "topic", "INFO"),
    "json in docker": (
        {
            "log": '{"severity":"INFO","message":"WARN went wrong"}\n',
            "stream": "stdout",
            "time": "2026-01-01T12:00:00.123Z",
        },
        "topic",
        "INFO",
    ),
}


@pytest.mark.parametrize("shipper", SHIPPERS)
def test_the_fields_of_usual_shippers_are_found(shipper: str) -> None:
    """Message, time, level and source, dotted or nested."""
    value, source, level = SHIPPERS[shipper]
    (line,) = lines(value)
    assert line == Line("topic", 7, -1, source, T, level, b"WARN went wrong", line.text)
    assert line.text.strip() == b"WARN went wrong"


def test_a_file_path_in_the_object_names_the_source_where_nothing_else_does() -> None:
    """A shipper's own file comes before the topic."""
    value = {"message": "a", "log": {"file": {"path": "/var/log/api.log"}}}
    assert lines(value)[0].source == "/var/log/api.log"
    assert lines({**value, "host": "web-1"})[0].source == "web-1"


def test_an_otlp_record_holds_many_logs() -> None:
    """Each is a line with its index; the resource names the source."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]}
    logs = [
        {"timeUnixNano": str(T * 1000), "severityNumber": 13, "body": {"stringValue": "one"}},
        {
            "timeUnixNano": "0",
            "observedTimeUnixNano": T * 1000,
            "severityText": "Error",
            "body": {"intValue": "2"},
        },
        {"body": {"kvlistValue": {"values": [{"key": "message", "value": {"stringValue": "three"}}]}}},
    ]
    batch = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": logs}]}]}
    found = lines(batch)
    assert [(line.sub, line.source, line.time_us, line.level, line.message) for line in found] == [
        (0, "api", T, "WARN", b"one"),
        (1, "api", T, "ERROR", b"2"),
        (2, "api", T, "", b"three"),
    ]
    assert found[1].position == "7:1"


def test_an_otlp_batch_of_another_form_is_put_aside() -> None:
    """The reason names the level that is wrong."""
    record = Record("topic", b'{"resourceLogs": [{"scopeLogs": 3}]}', 0, 1)
    found = Decoder(DecodeSettings(), TIME).decode([record], DecodeMemory())
    assert [reject.reason for reject in found.rejects] == ["OTLP: scopeLogs is not a list of objects"]


def test_a_message_with_a_header_of_its_own_is_cut() -> None:
    """The envelope's time holds; the header's level fills a gap."""
    (line,) = lines({"log": "04:00:00.5 ERROR went wrong", "time": "2026-01-01T12:00:00.123Z"})
    assert (line.time_us, line.level, line.message) == (T, "ERROR", b"went wrong")
    assert line.text == b"04:00:00.5 ERROR went wrong"


def test_a_message_of_many_lines_is_parsed_by_its_first() -> None:
    """The stack trace below it is evidence."""
    (line,) = lines({"message": "\nfailed\n\tat A.b(C.java:1)"})
    assert (line.message, line.text) == (b"failed", b"\nfailed\n\tat A.b(C.java:1)")


def test_an_object_without_a_message_is_told_by_its_fields() -> None:
    """In the order of their names, without time, level and source; lists are left out."""
    fields = {
        "user": {"name": "Ann B", "id": 7},
        "ok": True,
        "time": 1,
        "level": "info",
        "host": "h",
        "tags": [1],
    }
    assert lines(fields)[0].message == b'ok=true user.id=7 user.name="Ann B"'
    assert lines({"log": {"file": "f"}})[0].message == b"log.file=f"


def test_a_blank_message_is_no_line() -> None:
    """Containers print blank lines."""
    assert lines({"log": "\n", "stream": "stdout"}) == []


def test_a_time_that_cannot_be_read_costs_no_line() -> None:
    """It is counted, and the line inherits one."""
    record = Record("topic", b'{"message": "a", "time": "soon"}', 0, 1, T)
    found = Decoder(DecodeSettings(), TIME).decode([record], DecodeMemory())
    assert (found.lines[0].time_us, found.counts.bad_times) == (T, 1)


def test_settings_name_the_fields() -> None:
    """They come before the usual names."""
    value = {
        "message": "no",
        "text": {"it": "yes"},
        "time": 5,
        "when": "2026-01-01 12:00:00.123",
        "level": 1,
        "n": "x",
    }
    (line,) = lines(
        value, message_field="text.it", time_field="when", level_field="n", source_fields=["n", "level"]
    )
    assert (line.message, line.time_us, line.level, line.source) == (b"yes", T, "X", "x/1")


def test_an_event_field_is_the_whole_event() -> None:
    """No header is cut from it; a record without it is put aside."""
    assert lines({"id": "12:00:00 INFO E5"}, event_field="id")[0].message == b"12:00:00 INFO E5"
    record = Record("topic", b'{"message": "a"}', 0, 1)
    found = Decoder(DecodeSettings(event_field="id"), TIME).decode([record], DecodeMemory())
    assert found.rejects[0].reason == "the object has no field id that could be the event"


def test_a_session_is_named_by_its_field_alone() -> None:
    """A host is no session."""
    (named,) = lines({"message": "a", "job": 7, "host": "h"}, session=True, source_fields=["job"])
    (other,) = lines({"message": "a", "host": "h"}, session=True, source_fields=["job"])
    assert (named.source, other.source) == ("7", "")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"message": "a\xffb"}',
        b'{"message": "a\tb"}',
        b'{"message": "a\\ud800b"}',
        b'{"message": "ab", "x": NaN}',
    ],
)
def test_what_strict_readers_refuse_is_read(raw: bytes) -> None:
    """Bad UTF-8, raw control characters, lone surrogates and NaN are all in the wild."""
    message = lines(raw)[0].message.decode()
    assert message[0] + message[-1] == "ab"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a":' * 100_000, "JSON nested too deeply"),
        (b'{"a": 1' + b"0" * 5_000 + b"}", "a number in the JSON has too many digits"),
        (b'{"a": "' + b"x" * 100, "half a JSON object: it ends before it is complete"),
        (b'{"a": 1} tail', "not valid JSON: Extra data at character 9"),
        (b"{}", "the object holds no message and no fields to make one of"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, reason: str) -> None:
    """The record is put aside with one sentence."""
    found = Decoder(DecodeSettings(envelope="json"), TIME).decode(
        [Record("topic", raw, 0, 1)], DecodeMemory()
    )
    assert [reject.reason for reject in found.rejects] == [reason]


SYSLOG = {
    "rfc-5424": (
        b'<165>1 2026-01-01T12:00:00.123Z web api 42 ID47 [x@1 a="1 ] \\" "][y@1] \xef\xbb\xbfwent wrong',
        T,
        "api/web",
        "NOTICE",
        b"went wrong",
    ),
    "rfc-5424 with data alone": (b'<14>1 - web api - - [x a="1"]', None, "api/web", "INFO", b'[x a="1"]'),
    "rfc-5424 without anything": (b"<0>1 - - - - - -", None, "topic", "EMERG", None),
    "rfc-3164": (b"<34>Jan  1 12:00:00 web su[12]: went wrong", T - 123_000, "su/web", "CRIT", b"went wrong"),
    "rfc-3164 with an iso time": (
        b"<38>2026-01-01T12:00:00.123+00:00 web sshd: went wrong",
        T,
        "sshd/web",
        "INFO",
        b"went wrong",
    ),
    "a priority alone": (b"<11>went wrong", None, "topic", "ERROR", b"went wrong"),
}


@pytest.mark.parametrize("form", SYSLOG)
def test_syslog_is_read_as_it_travels(form: str) -> None:
    """Priority, time, host, tag and message; what is absent is absent."""
    raw, time_us, source, level, message = SYSLOG[form]
    decoder = Decoder(DecodeSettings(), TIME)
    found = decoder.decode([Record("topic", raw, 7, 8)], DecodeMemory(latest_us=T)).lines
    expected = [] if message is None else [Line("topic", 7, -1, source, time_us, level, message, raw)]
    assert found == expected


def test_what_is_not_syslog_is_put_aside_where_syslog_is_asked_for() -> None:
    """Detected, it would be text."""
    records = [Record("topic", raw, 0, 1) for raw in (b"plain", b"<999>1 a", b"<xml>")]
    found = Decoder(DecodeSettings(envelope="syslog"), TIME).decode(records, DecodeMemory())
    assert {reject.reason for reject in found.rejects} == {
        "syslog: no priority from <0> to <191> at the start"
    }
    assert [
        line.message for line in Decoder(DecodeSettings(), TIME).decode(records, DecodeMemory()).lines
    ] == [record.value for record in records]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), st.data())
def test_a_dotted_name_finds_its_value_however_it_is_nested(parts: list[str], data: st.DataObject) -> None:
    """Any of the dots may be part of a key."""
    value: object = 1
    rest = list(parts)
    while rest:
        taken = data.draw(st.integers(1, len(rest)))
        value = {".".join(rest[-taken:]): value}
        rest = rest[:-taken]
    assert value_at(value, ".".join(parts)) == 1


@pytest.mark.parametrize(
    ("fields", "trace"),
    [
        ({"trace": {"id": "4bf92f3577b34da6"}, "request_id": "r-1"}, "4bf92f3577b34da6"),
        ({"trace.id": "4bf9"}, "4bf9"),
        ({"trace.id": "0" * 32}, ""),
        ({"trace.id": "-"}, ""),
        ({"trace.id": "x" * 900}, "x" * 100),
        ({"trace_id": "4bf9"}, ""),
        ({}, ""),
    ],
)
def test_a_line_names_its_trace_in_the_field_that_is_told(fields: dict[str, object], trace: str) -> None:
    """Whole or dotted; what is written for none is none."""
    record = {"@timestamp": "2026-01-01T12:00:00.123Z", "message": "went wrong", **fields}
    [line] = lines(record, trace_field="trace.id")
    assert line.trace == trace
    assert line.message == b"went wrong"


def test_a_trace_is_found_in_the_field_or_the_text_that_the_settings_name() -> None:
    """A field goes before an expression; where neither is named, no line is of a trace."""
    record = {"message": "GET [abc] done", "job": "j-7", "trace_id": "t-1"}
    assert lines(record, trace_field="job")[0].trace == "j-7"
    assert lines({"message": "GET [abc] done"}, trace_regex=r"\[(\w+)\]")[0].trace == "abc"
    assert lines(record, trace_field="trace_id", trace_regex=r"\[(\w+)\]")[0].trace == "t-1"
    assert lines(record)[0].trace == ""
    assert lines(b"GET [abc] done", trace_regex=r"\[(\w+)\]")[0].trace == "abc"
    assert lines(b"GET done", trace_regex=r"\[(\w+)\]")[0].trace == ""


def test_an_object_within_an_object_may_name_the_trace() -> None:
    """A shipper wraps what the program wrote."""
    inner = msgspec.json.encode({"message": "went wrong", "traceId": "4bf9"}).decode()
    assert lines({"log": inner, "host": "web-1"}, trace_field="traceId")[0].trace == "4bf9"
