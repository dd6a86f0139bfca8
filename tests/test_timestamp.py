"""Time stamps are read as microseconds since 1970 in UTC, with or without a memory."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.stages.header.instant import EPOCH
from detector.stages.header.timestamp import PATTERNS, REMEMBERED, Clock, parse_time

BERLIN = ZoneInfo("Europe/Berlin")


def us(*parts: int, zone: tzinfo = UTC) -> int:
    """Microseconds since 1970 of a date and time."""
    year, month, day, hour, minute, second, microsecond = [*parts, 0, 0, 0, 0][:7]
    return (datetime(year, month, day, hour, minute, second, microsecond, zone) - EPOCH) // timedelta(
        microseconds=1
    )


REFERENCE = us(2005, 6, 9, 12)
READINGS = [
    ("iso", b"2015-07-29 17:41:44", us(2015, 7, 29, 17, 41, 44)),
    ("iso", b"2015-07-29 17:41:44,747", us(2015, 7, 29, 17, 41, 44, 747_000)),
    ("iso", b"2015-07-29T17:41:44.123456789Z", us(2015, 7, 29, 17, 41, 44, 123_456)),
    ("iso", b"2015-07-29T17:41:44+02:00", us(2015, 7, 29, 15, 41, 44)),
    ("iso", b"2015-07-29 17:41:44.5 -0330", us(2015, 7, 29, 21, 11, 44, 500_000)),
    ("iso", b"2026-01-02  3:04:05", us(2026, 1, 2, 3, 4, 5)),
    ("iso-dots", b"2005-06-03-15.42.50.675872", us(2005, 6, 3, 15, 42, 50, 675_872)),
    ("slashes", b"2021/01/02 03:04:05", us(2021, 1, 2, 3, 4, 5)),
    ("slashes-short", b"17/06/09 20:10:40", us(2017, 6, 9, 20, 10, 40)),
    ("month-first", b"12/31/2021 11:00:00 PM", us(2021, 12, 31, 23)),
    ("month-first", b"1/2/2021 3:04:05", us(2021, 1, 2, 3, 4, 5)),
    ("day-first", b"31/12/2021 11:00:00 PM", us(2021, 12, 31, 23)),
    ("name-first", b"Jan 02, 2026 3:04:05 PM", us(2026, 1, 2, 15, 4, 5)),
    ("name-first", "Jan 2, 2026, 12:04:05\N{NARROW NO-BREAK SPACE}AM".encode(), us(2026, 1, 2, 0, 4, 5)),
    ("day-dots", b"31.12.2021 23:00:01", us(2021, 12, 31, 23, 0, 1)),
    ("access", b"10/Oct/2000:13:55:36 -0700", us(2000, 10, 10, 20, 55, 36)),
    ("access", b"10/Oct/2000 13:55:36", us(2000, 10, 10, 13, 55, 36)),
    ("day-name", b"01-Feb-2003 01:02:03.5", us(2003, 2, 1, 1, 2, 3, 500_000)),
    ("mail", b"Sun, 04 Dec 2005 04:47:44 +0000", us(2005, 12, 4, 4, 47, 44)),
    ("asctime", b"Sun Dec 04 04:47:44 2005", us(2005, 12, 4, 4, 47, 44)),
    ("syslog", b"Jun  9 06:06:20", us(2005, 6, 9, 6, 6, 20)),
    ("syslog", b"Nov 9 12:01:01", us(2005, 11, 9, 12, 1, 1)),
    ("compact", b"20050102T030405Z", us(2005, 1, 2, 3, 4, 5)),
    ("compact-short", b"081109 203615", us(2008, 11, 9, 20, 36, 15)),
    ("compact-short", b"990101 000000", us(1999, 1, 1)),
    ("colons", b"20171223-22:15:29:606", us(2017, 12, 23, 22, 15, 29, 606_000)),
    ("colons", b"20171224-0:0:1:7", us(2017, 12, 24, 0, 0, 1, 7_000)),
    ("klog", b"I0602 15:04:05.000001", us(2005, 6, 2, 15, 4, 5, 1)),
    ("glog", b"I20260602 15:04:05.000001", us(2026, 6, 2, 15, 4, 5, 1)),
    ("month-day", b"03-17 16:13:38.811", us(2005, 3, 17, 16, 13, 38, 811_000)),
    ("month-dot", b"10.30 16:49:06", us(2005, 10, 30, 16, 49, 6)),
    ("epoch", b"1117838570", 1_117_838_570_000_000),
    ("epoch", b"1117838570.25", 1_117_838_570_250_000),
    ("epoch-ms", b"1117838570123", 1_117_838_570_123_000),
    ("epoch-us", b"1117838570123456", 1_117_838_570_123_456),
    ("time", b"16:29:43.189", us(2005, 6, 9, 16, 29, 43, 189_000)),
    ("date", b"2005.07.04", us(2005, 7, 4)),
]


@pytest.mark.parametrize(("kind", "text", "expected_us"), READINGS)
def test_every_kind_is_read(kind: str, text: bytes, expected_us: int) -> None:
    """Each kind gives its instant; a memory, cold or warm, gives the same."""
    clock = Clock()
    assert parse_time(kind, text, REFERENCE) == expected_us
    assert [clock.read(kind, text, REFERENCE) for _ in range(3)] == [expected_us] * 3


NEARLY = b" 0123456789:.,-+TZM"


@pytest.mark.parametrize(("kind", "text", "expected_us"), READINGS)
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))])
def test_a_warm_clock_reads_no_more_than_a_cold_one(
    kind: str, text: bytes, expected_us: int, zone: tzinfo
) -> None:
    """Every text that differs from a good one by a byte; a restart forgets the days, and changes nothing."""
    warm = Clock(zone)
    for at in range(len(text)):
        for other in NEARLY:
            nearly = text[:at] + bytes([other]) + text[at + 1 :]
            warm.read(kind, text, expected_us)
            cold = Clock(zone).read(kind, nearly, expected_us)
            assert warm.read(kind, nearly, expected_us) == cold, nearly


def test_every_kind_has_a_reading() -> None:
    """No pattern is left without an example."""
    assert {kind for kind, *_ in READINGS} == set(PATTERNS)


@pytest.mark.parametrize(
    ("reference", "text", "expected"),
    [
        ((2005, 12, 31, 23, 59, 59), b"Jan  1 00:00:01", (2006, 1, 1, 0, 0, 1)),
        ((2006, 1, 1, 0, 0, 1), b"Dec 31 23:59:59", (2005, 12, 31, 23, 59, 59)),
        ((2008, 2, 28), b"Feb 29 12:00:00", (2008, 2, 29, 12)),
        ((2009, 2, 28), b"Feb 29 12:00:00", (2008, 2, 29, 12)),
    ],
)
def test_a_missing_year_follows_the_reference(
    reference: tuple[int, ...], text: bytes, expected: tuple[int, ...]
) -> None:
    """Around new year a syslog line falls on the side of the event before it."""
    assert parse_time("syslog", text, us(*reference)) == us(*expected)


def test_a_missing_date_rolls_over_at_midnight() -> None:
    """Times without a date run on into the next day, and a late line back into the last."""
    clock = Clock()
    before, after = us(2005, 6, 9, 23, 59, 59), us(2005, 6, 10, 0, 0, 1)
    assert clock.read("time", b"23:59:59", us(2005, 6, 9, 23, 59, 58)) == before
    assert clock.read("time", b"00:00:01", before) == after
    assert clock.read("time", b"23:59:59", after) == before


def test_without_a_reference_the_first_year_or_day_is_taken() -> None:
    """The first line of a stream has no event before it."""
    assert parse_time("time", b"00:00:02") == us(1970, 1, 1, 0, 0, 2)
    assert parse_time("syslog", b"Jan  2 00:00:00") == us(1970, 1, 2)
    assert parse_time("syslog", b"Feb 29 00:00:00") == us(1972, 2, 29)


def test_a_naive_stamp_is_in_the_default_zone() -> None:
    """The zone of the argument holds, with its summer time; a zone in the stamp wins."""
    clock = Clock(BERLIN)
    for text, zone in ((b"2005-01-02 03:04:05", BERLIN), (b"2005-07-02 03:04:05", BERLIN)):
        expected = us(2005, int(text[5:7]), 2, 3, 4, 5, zone=zone)
        assert clock.read("iso", text) == parse_time("iso", text, zone=zone) == expected
    assert clock.read("iso", b"2005-07-02 03:04:05Z") == us(2005, 7, 2, 3, 4, 5)


def test_a_leap_second_is_the_next_minute() -> None:
    """Second 60 exists in logs; it must not end a stream."""
    assert Clock().read("iso", b"2016-12-31 23:59:60") == us(2017, 1, 1)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("iso", b"2015-13-29 17:41:44"),
        ("iso", b"2015-02-30 17:41:44"),
        ("iso", b"2015-02-03 25:41:44"),
        ("iso", b"2015-02-03 17.41:44"),
        ("syslog", b"Feb 30 00:00:00"),
        ("asctime", b"Sun Dec 04 04:47:44X2005"),
        ("iso", b"2015-02-03 17:41:44.123.456"),
        ("iso", b"2015-02-03 17:41:44.1234567890"),
        ("time", b"17:41:44Z"),
        ("time", b""),
        ("epoch", b"12345"),
    ],
)
def test_no_such_time_is_none(kind: str, text: bytes) -> None:
    """A line with an impossible time has none, also after good ones of its day."""
    clock = Clock()
    clock.read("iso", b"2015-02-03 17:41:44")
    clock.read("asctime", b"Sun Dec 04 04:47:44 2005")
    assert clock.read(kind, text, REFERENCE) is None
    assert parse_time(kind, text, REFERENCE) is None


@given(
    moments=st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)), min_size=1, max_size=20),  # noqa: DTZ001
    form=st.sampled_from(
        [
            ("iso", "%Y-%m-%d %H:%M:%S,%f"),
            ("syslog", "%b %d %H:%M:%S"),
            ("asctime", "%a %b %d %H:%M:%S %Y"),
            ("time", "%H:%M:%S.%f"),
            ("month-day", "%m-%d %H:%M:%S.%f"),
            ("access", "%d/%b/%Y:%H:%M:%S +0200"),
            ("iso", "%Y-%m-%dT%H:%M:%S.%fZ"),
        ]
    ),
    zone=st.sampled_from([UTC, timezone(timedelta(hours=-5)), BERLIN]),
    reference=st.one_of(st.none(), st.integers(0, us(2040, 1, 1))),
)
def test_a_memory_changes_no_reading(
    moments: list[datetime], form: tuple[str, str], zone: tzinfo, reference: int | None
) -> None:
    """Whatever was read before, a clock says what `parse_time` says."""
    kind, layout = form
    clock = Clock(zone)
    for moment in [*moments, *moments]:
        text = moment.strftime(layout).encode()
        expected = parse_time(kind, text, reference, zone)
        assert clock.read(kind, text, reference) == expected
        reference = expected


@given(kind=st.sampled_from(sorted(PATTERNS)), text=st.binary(max_size=40))
def test_garbage_has_no_time(kind: str, text: bytes) -> None:
    """Any bytes may come; the answer is the same with and without a memory."""
    assert Clock().read(kind, text, REFERENCE) == parse_time(kind, text, REFERENCE)


def test_more_fractions_than_are_remembered_are_read() -> None:
    """The memory is bounded and starts anew without losing what it says."""
    clock = Clock()
    for fraction in range(REMEMBERED + 2):
        text = b"2005-06-09 12:00:00.%06d" % fraction
        assert clock.read("iso", text) == REFERENCE + fraction
    assert clock.read("iso", b"2005-06-09 12:00:00") == REFERENCE
