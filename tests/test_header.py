"""Headers are learnt from raw lines, cut what stands before the message, and travel as JSON."""

import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import BadSetup
from detector.stages.header import header
from detector.stages.header.header import ABSENT, Column, Cut, Header, Headers
from detector.stages.header.shape import shape_of
from tests.header_forms import FORMS, sample
from training.parse.headers import MOST_HEADERS, learn_headers


def message_of(headers: Headers, line: bytes) -> bytes:
    """What a line says."""
    return line[headers.split(line).message :]


@pytest.mark.parametrize("form", FORMS)
def test_a_header_ends_where_the_message_begins(form: str) -> None:
    """Every usual form is learnt from its own lines, to the byte."""
    lines = sample(form)
    headers = learn_headers([line for line, _ in lines])
    assert [message_of(headers, line) for line, _ in lines] == [message for _, message in lines]


@pytest.mark.parametrize(("form", "kind"), [("day first", "day-first"), ("short numbers", "month-first")])
def test_the_numbers_tell_days_from_months(form: str, kind: str) -> None:
    """31/12 and 12/31 have one shape; where no number is above twelve, the month comes first."""
    headers = learn_headers([line for line, _ in sample(form)])
    assert {header.kind for header in headers.headers} == {kind}
    unclear = learn_headers(
        [b"%d/%d/2026 10:00:00 INFO %d went" % (at % 12 + 1, at % 11 + 1, at) for at in range(99)]
    )
    assert {header.kind for header in unclear.headers} == {"month-first"}


def test_the_level_of_a_pair_or_of_padded_brackets_is_the_word_alone() -> None:
    """What stands around time and level is no part of them."""
    lines = {
        "quoted logfmt": b'ts="2026-01-02T03:04:05.123Z" level="warn" hello',
        "side by side": b"[2026-01-02T03:04:05,123][WARN ][o.e.Node      ] [node-1] hello",
    }
    for form, line in lines.items():
        cut = learn_headers([line for line, _ in sample(form)]).split(line)
        assert (line[slice(*cut.time)][:19], line[slice(*cut.level)].lower()) == (
            b"2026-01-02T03:04:05",
            b"warn",
        )


def test_mixed_forms_keep_their_own_headers() -> None:
    """Several programs may write one stream."""
    lines = [pair for form in ("syslog", "log4j", "compact", "apache") for pair in sample(form)]
    random.Random(7).shuffle(lines)
    headers = learn_headers([line for line, _ in lines])
    assert [message_of(headers, line) for line, _ in lines] == [message for _, message in lines]
    assert len(headers.headers) <= MOST_HEADERS


def test_the_parts_of_a_line_are_named() -> None:
    """Time, host, tag and level are found where the header has them."""
    syslog = learn_headers([line for line, _ in sample("syslog")])
    line = b"Jun  9 06:06:20 combo su[9]: hello"
    cut = syslog.split(line)
    assert [line[slice(*span)] for span in (cut.time, cut.host, cut.tag, cut.level)] == [
        b"Jun  9 06:06:20", b"combo", b"su", b"",
    ]  # fmt: skip
    apache = learn_headers([line for line, _ in sample("apache")])
    line = b"[Sun Dec 04 04:47:44 2005] [error] hello"
    cut = apache.split(line)
    assert (cut.kind, line[slice(*cut.level)], cut.host) == ("asctime", b"error", ABSENT)


def test_the_first_letter_of_klog_is_its_level() -> None:
    """In klog level and date are one word."""
    headers = learn_headers([line for line, _ in sample("klog")])
    line = b"E0102 15:04:05.000123   4711 server.go:42] broken"
    cut = headers.split(line)
    assert (line[slice(*cut.level)], message_of(headers, line)) == (b"E", b"broken")


def test_a_line_of_another_form_is_not_cut_into() -> None:
    """What does not fit the header keeps all behind its time stamp, or everything."""
    headers = learn_headers([line for line, _ in sample("log4j")])
    assert message_of(headers, b"2015-07-29 01:02:03,123 no level here") == b"no level here"
    assert (
        message_of(headers, b"\tat java.lang.Thread.run(Thread.java:748)")
        == b"\tat java.lang.Thread.run(Thread.java:748)"
    )


def test_a_constant_message_is_not_part_of_the_header() -> None:
    """A heartbeat that always says the same still says it."""
    lines = [b"Jun  9 06:06:%02d host beat: still alive and well" % second for second in range(60)]
    assert message_of(learn_headers(lines), lines[0]).endswith(b"still alive and well")


def test_few_lines_are_enough_for_a_time_stamp() -> None:
    """A stream may be short; nothing at all is learnt from nothing."""
    headers = learn_headers([b"2015-07-29 01:02:03 one", b"2015-07-29 01:02:04 two"])
    assert message_of(headers, b"2015-07-29 01:02:05 three") == b"three"
    assert learn_headers([]) == Headers()


def test_headers_travel_as_json() -> None:
    """What comes back splits as what was sent."""
    for form in FORMS:
        headers = learn_headers([line for line, _ in sample(form)])
        assert header.from_json(json.loads(json.dumps(header.to_json(headers)))) == headers


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({}, "headers"),
        ([[]], "headers[0]"),
        ([[{"piece": "word"}] * 99], "headers[0]"),
        ([[{"piece": "magic"}]], "headers[0][0]"),
        ([[{"piece": "time", "kind": "lunar"}]], "headers[0][0]"),
        ([[{"piece": "word"}, {"piece": 7}]], "headers[0][1]"),
    ],
)
def test_bad_json_is_refused_by_key(data: object, named: str) -> None:
    """A damaged bundle says where."""
    with pytest.raises(BadSetup) as refused:
        header.from_json(data)
    assert named in str(refused.value)


@given(line=st.binary(max_size=200), form=st.sampled_from(sorted(FORMS)))
def test_any_bytes_can_be_split(line: bytes, form: str) -> None:
    """The message is a tail of the line, and digits do not matter for where it begins."""
    headers = LEARNT[form]
    cut = headers.split(line)
    assert 0 <= cut.message <= len(line)
    assert headers.cut(shape_of(line)) == cut
    assert all(0 <= start <= end <= len(line) for start, end in (cut.time, cut.level, cut.host, cut.tag))


LEARNT = {form: learn_headers([line for line, _ in sample(form)]) for form in FORMS}
LONG = 1_000_000
PIECES = [b"[", b"-", b": ", b"a", b"0", b"a: ", b"[a ", b"\0", b"| "]
ADVERSARIES = [
    *(piece * LONG for piece in PIECES),
    b"0000-00-00 00:00:00 - INFO  [" + b"[a]" * LONG,
    b"Jun  9 06:06:20 combo " + b"a::" * LONG,
]


@pytest.mark.parametrize("line", ADVERSARIES, ids=range(len(ADVERSARIES)))
def test_an_adversarial_line_costs_little(line: bytes) -> None:
    """A megabyte made to make patterns backtrack is cut, then split in milliseconds."""
    begin = time.process_time()
    cuts: list[Cut] = [headers.split(line) for headers in LEARNT.values()]
    learn_headers([line] * 3)
    assert time.process_time() - begin < 0.5
    assert len(cuts) == len(LEARNT)


def test_a_header_is_made_of_columns() -> None:
    """A header can be written by hand, as tests of other stages do."""
    headers = Headers((Header((Column("time", "iso", chosen=True), Column("level"))),))
    assert message_of(headers, b"2015-07-29 01:02:03 INFO hello") == b"hello"
