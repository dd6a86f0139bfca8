"""Records become the same lines however they are cut, and any bytes become lines or a reason."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import BadSetup
from detector.inputs.read import read
from detector.records import EVIDENCE_BYTES, Line, Record
from detector.stages.decode import memory as decode_memory
from detector.stages.decode.assembly import Decoded
from detector.stages.decode.decode import Decoder
from detector.stages.decode.memory import DecodeMemory
from detector.stages.decode.settings import DecodeSettings
from detector.stages.header.header import Column, Header, Headers

ISO = Headers((Header((Column("time", "iso", chosen=True), Column("level"))),))
MANY = Headers((*ISO.headers, Header((Column("time", "time", chosen=True),))))
NOON = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
SECOND = 1_000_000
DAY = 86_400 * SECOND


def records(*values: bytes, origin: str = "app.log") -> list[Record]:
    """The values as records of one file, one after the other."""
    found, offset = [], 0
    for value in values:
        found.append(Record(origin, value, offset, offset + len(value) + 1))
        offset += len(value) + 1
    return found


def decoded(*values: bytes, headers: Headers = ISO, **settings: object) -> Decoded:
    """The values decoded as one batch."""
    return Decoder(msgspec.convert(settings, DecodeSettings), headers).decode(
        records(*values), DecodeMemory()
    )


def lines(*values: bytes, headers: Headers = ISO, **settings: object) -> list[Line]:
    """The lines of the values, none of which is put aside."""
    found = decoded(*values, headers=headers, **settings)
    assert found.rejects == []
    return found.lines


FRAGMENTS = st.sampled_from(
    [
        b"2026-01-01 12:00:00 INFO one",
        b"2026-01-01 12:00:07.250 WARN two",
        b"2026-01-02 09:00:00 INFO a day later",
        b"2099-01-01 00:00:00 INFO from the future",
        b"1999-01-01 00:00:00 INFO from the past",
        b"11:59:00 before noon",
        b"23:30:00 before midnight",
        b"2026-01-01 99:99:99 INFO no time at all",
        b"java.lang.IllegalStateException: bad",
        b"\tat com.example.Main.run(Main.java:12)",
        b"  wrapped statement",
        b"no header here",
        b"{",
        b"}",
        b"",
        b"   ",
        b'{"message": "hello", "time": "2026-01-01T12:00:03Z", "service": {"name": "api"}}',
        b'{"log": "2026-01-01 12:00:05 ERROR inner", "stream": "stderr"}',
        b'{"message": "half',
        b"{}",
        b'{"log": "\\n"}',
        b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "a"}}, {}]}]}]}',
        b"<34>1 - - - - - -",
        b"<34>1 2026-01-01T12:00:04Z web su - ID47 - failed",
        b"<34>Jan  1 12:00:05 web su: failed",
        b"\xff\xfeh\x00i\x00",
        b"x" * 100,
    ]
)


# Bytes that mean something to one of the formats.
LOOKALIKES = st.lists(
    st.sampled_from([bytes([code]) for code in b'<>1{}[]":,-= \\\n\0\x1b#a9TZ']), max_size=30
).map(b"".join)


@st.composite
def streams(draw: st.DrawFn) -> list[Record]:
    """Records of a few origins, some with a time of the feed's own."""
    count = draw(st.integers(0, 30))
    values = st.one_of(FRAGMENTS, st.binary(max_size=20), LOOKALIKES)
    return [
        Record(
            draw(st.sampled_from("aaaabbcd")),
            draw(values),
            offset,
            offset + 1,
            draw(st.sampled_from([None, None, None, NOON, NOON + 5 * SECOND, 7])),
        )
        for offset in range(count)
    ]


SETTINGS = st.sampled_from(
    [
        DecodeSettings(max_continuations=3, max_origins=2, max_line_bytes=90),
        DecodeSettings(max_continuations=2, max_origins=3, max_future_s=3600.0, unheaded_continues=False),
        DecodeSettings(session=True, source_regex=r"\w+(?=\.java)"),
        DecodeSettings(envelope="json", event_field="message", session=True, source_fields=("service.name",)),
        DecodeSettings(envelope="syslog", first_line=r"^\d{4}"),
        DecodeSettings(envelope="text", first_line=r"^\d{4}", max_continuations=2),
    ]
)


@given(streams(), SETTINGS, st.lists(st.integers(0, 30), max_size=6), st.none() | st.just(NOON))
def test_any_cut_into_batches_gives_the_same_lines(
    stream: list[Record], settings: DecodeSettings, cuts: list[int], latest_us: int | None
) -> None:
    """Lines, clocks, rejects and memory do not depend on where batches end."""
    memory, pieces = DecodeMemory(latest_us=latest_us), []
    whole = Decoder(settings, MANY).decode(stream, memory)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, end in pairwise(edges):
        # A new decoder each time: what it remembers of shapes must not show either.
        piece = Decoder(settings, MANY).decode(stream[start:end], memory)
        memory = decode_memory.decode(decode_memory.encode(piece.memory))
        pieces.append(piece)
    assert [line for piece in pieces for line in piece.lines] == whole.lines
    assert [clock for piece in pieces for clock in piece.clocks] == whole.clocks
    assert [reject for piece in pieces for reject in piece.rejects] == whole.rejects
    assert memory == whole.memory


@given(streams(), SETTINGS)
def test_the_memory_that_a_batch_starts_from_is_left_alone(
    stream: list[Record], settings: DecodeSettings
) -> None:
    """A batch can be computed twice from the same memory."""
    decoder = Decoder(settings, MANY)
    memory = decoder.decode(stream[:10], DecodeMemory()).memory
    before = decode_memory.encode(memory)
    assert decoder.decode(stream[10:], memory) == decoder.decode(stream[10:], memory)
    assert decode_memory.encode(memory) == before
    assert len(memory.origins) <= settings.max_origins


@given(st.lists(st.binary(max_size=200) | LOOKALIKES, max_size=8), SETTINGS)
def test_any_bytes_give_lines_or_a_reason(values: list[bytes], settings: DecodeSettings) -> None:
    """Nothing raises, and nothing but a blank line vanishes."""
    found = Decoder(settings, MANY).decode(records(*values), DecodeMemory())
    assert len(found.lines) + len(found.rejects) + found.counts.blank == len(values)
    assert len(found.clocks) == len(found.lines)
    assert all(reject.reason for reject in found.rejects)
    assert all(len(line.text) <= EVIDENCE_BYTES and b"\0" not in line.text for line in found.lines)


KEYS = ["message", "time", "level", "body", "log", "host", "resourceLogs", "scopeLogs", "logRecords"]
JSON_VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.sampled_from(KEYS) | st.text(), part),
    max_leaves=15,
)


@given(JSON_VALUES)
def test_any_json_gives_lines_or_a_reason(value: object) -> None:
    """Objects with known fields of any type never raise."""
    found = decoded(msgspec.json.encode(value), envelope="json")
    assert found.lines or found.rejects or found.counts.blank or "resourceLogs" in str(value)


def test_a_line_is_read_by_its_learnt_header() -> None:
    """Time, level and message come from the header; evidence is the whole line."""
    (line,) = lines(b"2026-01-01 12:00:00.5 warn disk is full\r")
    assert line == Line(
        origin="app.log",
        offset=0,
        sub=-1,
        source="app.log",
        time_us=NOON + SECOND // 2,
        level="WARN",
        message=b"disk is full",
        text=b"2026-01-01 12:00:00.5 warn disk is full",
    )


def test_a_line_without_a_time_inherits_the_last_of_its_file() -> None:
    """Before the first time stamp there is none to inherit."""
    found = lines(b"start", b"2026-01-01 12:00:00 INFO a", b"b", unheaded_continues=False)
    assert [line.time_us for line in found] == [None, NOON, NOON]


def test_a_line_without_a_time_has_its_kafka_record_s() -> None:
    """A topic mixes sources, so the feed's own time is closer than another line's."""
    stream = [
        Record("topic", b"2026-01-01 12:00:00 INFO a", 0, 1, NOON),
        Record("topic", b'{"message": "b"}', 1, 2, NOON + 9 * SECOND),
    ]
    found = Decoder(DecodeSettings(), ISO).decode(stream, DecodeMemory())
    assert [line.time_us for line in found.lines] == [NOON, NOON + 9 * SECOND]


def test_one_line_without_a_time_in_a_backlog_is_not_of_today() -> None:
    """The others bear theirs, of a day before their records: it has the clock's, and moves nothing."""
    stamps = [b"2026-01-01 12:00:00 INFO a", b'{"message": "b"}', b"2026-01-01 12:00:01 INFO c"]
    stream = [Record("topic", value, at, at + 1, NOON + DAY) for at, value in enumerate(stamps)]
    found = Decoder(DecodeSettings(), ISO).decode(stream, DecodeMemory())
    assert [line.time_us for line in found.lines] == [NOON, NOON, NOON + SECOND]
    assert found.memory.clock.now_us == NOON + SECOND


def test_lines_without_a_time_that_go_on_have_their_records() -> None:
    """After five in a row the feed's times are those of its lines, also after the next pause."""
    arrivals = [NOON + DAY + n * SECOND for n in range(6)] + [NOON + 3 * DAY]
    stream = [Record("topic", b"2026-01-01 12:00:00 INFO a", 0, 1, NOON + DAY)]
    stream += [Record("topic", b'{"message": "b"}', at, at + 1, us) for at, us in enumerate(arrivals, 1)]
    found = Decoder(DecodeSettings(), ISO).decode(stream, DecodeMemory())
    assert [line.time_us for line in found.lines] == [NOON] * 5 + arrivals[4:]


def test_a_stamp_without_a_year_is_read_near_the_time_before_it() -> None:
    """New Year's Eve is followed by New Year's Day."""
    headers = Headers((Header((Column("time", "syslog", chosen=True),)),))
    stream = records(b"Dec 31 23:59:59 a", b"Jan  1 00:00:01 b")
    found = Decoder(DecodeSettings(), headers).decode(stream, DecodeMemory(latest_us=NOON)).lines
    assert [line.time_us for line in found] == [NOON - 43_201 * SECOND, NOON - 43_199 * SECOND]


@pytest.mark.parametrize(
    ("kind", "stamp", "days_back"), [("syslog", b"Mar  1 12:00:00", 306), ("time", b"13:00:00", 23 / 24)]
)
def test_the_first_stamp_of_a_file_is_no_later_than_the_file(
    kind: str, stamp: bytes, days_back: float
) -> None:
    """What it leaves out is the last that is possible, not the nearest."""
    headers = Headers((Header((Column("time", kind, chosen=True),)),))
    decoder = Decoder(DecodeSettings(), headers)
    (line,) = decoder.decode(records(stamp + b" a"), DecodeMemory(latest_us=NOON)).lines
    assert line.time_us == NOON - days_back * DAY


def test_a_stack_trace_is_evidence_of_the_line_before_it() -> None:
    """Its lines carry the source and time of the first line, and are no events."""
    first, *rest, last = lines(
        b"2026-01-01 12:00:00 ERROR failed: job-7",
        b"java.lang.IllegalStateException: bad",
        b"\tat com.example.Main.run(Main.java:12)",
        b"Caused by: java.io.IOException: worse job-8",
        b"\t... 12 more",
        b"anything without a time stamp",
        b"2026-01-01 12:00:01 INFO next: job-9",
        source_regex=r"job-\d",
    )
    assert not first.continuation
    assert not last.continuation
    assert {(line.continuation, line.source, line.time_us) for line in rest} == {(True, "job-7", NOON)}
    assert rest[1].text == b"\tat com.example.Main.run(Main.java:12)"


def test_stack_traces_are_known_by_their_form_where_no_header_was_learnt() -> None:
    """What does not look like the rest of something is an event."""
    found = lines(
        b"request failed",
        b"Traceback (most recent call last):",
        b'  File "main.py", line 3, in <module>',
        b"    run()",
        b"ValueError: no such thing",
        b"Error: a message of its own",
        headers=Headers(),
    )
    assert [line.continuation for line in found] == [False, True, True, True, True, False]


def test_the_very_first_line_is_an_event_whatever_it_looks_like() -> None:
    """There is no line before it that it could belong to."""
    assert [line.continuation for line in lines(b"  at sea", b"  at sea")] == [False, True]


def test_a_change_of_format_does_not_blind() -> None:
    """After enough continuations in a row lines are events again, until a first line is seen."""
    values = [b"2026-01-01 12:00:00 INFO a", *[b"new format"] * 5, b"2026-01-01 12:00:00 INFO b", b"more"]
    found = lines(*values, max_continuations=3)
    assert [line.continuation for line in found] == [False, True, True, True, False, False, False, True]


def test_a_deep_stack_is_never_taken_for_a_change_of_format() -> None:
    """A stack overflow prints a thousand frames."""
    found = lines(b"2026-01-01 12:00:00 ERROR a", *[b"\tat A.b(C.java:1)"] * 9, max_continuations=3)
    assert sum(line.continuation for line in found) == 9


def test_the_first_line_rule_can_be_set() -> None:
    """Whatever the rule does not find continues the line before it."""
    found = lines(b"# one", b"two", b"# three", headers=Headers(), first_line="^#")
    assert [line.continuation for line in found] == [False, True, False]


def test_half_an_object_is_put_aside_in_a_stream_of_objects() -> None:
    """The reason says what is wrong; the value is kept up to its bound."""
    found = decoded(b'{"message": "a"}', b'{"message": "b', b"{oh", max_reject_bytes=4)
    assert [reject.reason for reject in found.rejects] == [
        "half a JSON object: it ends before it is complete",
        "not valid JSON: Expecting property name enclosed in double quotes at character 1",
    ]
    assert found.rejects[0].value == b'{"me'


def test_a_brace_in_a_stream_of_text_is_text() -> None:
    """A stream that has shown text may print code."""
    _, second = lines(b"starting", b"{main} thrown", headers=Headers())
    assert (second.message, second.continuation) == (b"{main} thrown", False)


def test_a_record_that_is_no_object_is_put_aside_where_objects_are_asked_for() -> None:
    """Arrays and scalars are JSON, but no log."""
    found = decoded(b"[1, 2]", b"7", b'"text"', b"null", b"plain", envelope="json")
    assert [reject.reason for reject in found.rejects] == [
        "JSON, but not an object: an array",
        "JSON, but not an object: a number",
        "JSON, but not an object: a string",
        "JSON, but not an object: null",
        "not valid JSON: Expecting value at character 0",
    ]


def test_a_line_beyond_the_bound_is_put_aside() -> None:
    """Ten megabytes are named, not kept."""
    reason = "line of 10000000 bytes exceeds max_line_bytes (1048576)"
    found = decoded(b"x" * 10_000_000)
    assert [reject.reason for reject in found.rejects] == [reason]
    assert len(found.rejects[0].value) == 1_024


def test_a_line_that_its_feed_cut_is_put_aside_with_its_whole_length(tmp_path: Path) -> None:
    """What was read of a file is only the beginning; the message counts the line as it lies there."""
    (tmp_path / "a.log").write_bytes(b"x" * 4_999 + b"\n")
    cut = [record for batch in read(str(tmp_path / "a.log"), max_line_bytes=1_000) for record in batch]
    assert len(cut[0].value) < 4_999
    found = Decoder(DecodeSettings(max_line_bytes=1_000), ISO).decode(cut, DecodeMemory())
    assert [reject.reason for reject in found.rejects] == ["line of 4999 bytes exceeds max_line_bytes (1000)"]


def test_what_nobody_saw_is_left_out() -> None:
    """NULs, byte order marks, colours and carriage returns are no part of a message."""
    found = lines(
        b"\0\0\0torn",
        b"\xff\xfew\0i\0d\0e\0\r\0",
        b"\xef\xbb\xbfmarked",
        b"\x1b[31mred\x1b[0m",
        headers=Headers(),
    )
    assert [line.message for line in found] == [b"torn", b"wide", b"marked", b"red"]


def test_evidence_is_cut_between_characters() -> None:
    """A character of several bytes is kept whole or not at all."""
    (line,) = lines("ä".encode() * EVIDENCE_BYTES + b"!", headers=Headers())
    assert line.text.decode() == "ä" * (EVIDENCE_BYTES // 2)
    (line,) = lines(b"x" + "ä".encode() * EVIDENCE_BYTES, headers=Headers())
    assert len(line.text) == EVIDENCE_BYTES - 1


def test_a_line_that_names_no_session_has_no_source() -> None:
    """With sessions it is left out of scoring; otherwise it belongs to its file."""
    found = decoded(
        b"block blk_-1 a", b"no block", headers=Headers(), session=True, source_regex=r"blk_-?\d+"
    )
    assert [line.source for line in found.lines] == ["blk_-1", ""]
    assert found.counts.sourceless == 1
    assert lines(b"no block", source_regex=r"blk_-?\d+")[0].source == "app.log"


def test_group_one_of_the_source_expression_is_the_source() -> None:
    """Without a group it is the whole match."""
    assert lines(b"user=ann did", source_regex=r"user=(\w+)")[0].source == "ann"


@pytest.mark.parametrize("name", ["source_regex", "first_line"])
def test_a_setting_that_is_no_regular_expression_is_named(name: str) -> None:
    """It is found when the decoder is made, not at the first line."""
    with pytest.raises(BadSetup, match=rf"{name} = '\(' is no regular expression"):
        Decoder(msgspec.convert({name: "("}, DecodeSettings), ISO)


def test_host_and_tag_of_a_header_can_name_the_source() -> None:
    """They are the fields that plain text has."""
    headers = Headers(
        (Header((Column("time", "syslog", chosen=True), Column("host"), Column("tag", optional=True))),)
    )
    (line,) = lines(b"Jan  1 12:00:00 web sshd[7]: failed", headers=headers, source_fields=["host", "tag"])
    assert (line.source, line.message) == ("web/sshd", b"failed")
