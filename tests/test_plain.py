"""Headers and times of plain text are what the slow readers say."""

from datetime import timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from detector.stages.decode.plain import PlainReader
from detector.stages.decode.stamps import Stamps
from detector.stages.header.header import Column, Header, Headers
from detector.stages.header.timestamp import parse_time

ZONE = timezone(timedelta(hours=5, minutes=30))
STAMPS = Stamps(ZONE)
READER = PlainReader(Headers((Header((Column("time", "access", chosen=True), Column("level"))),)), STAMPS)
zones = st.sampled_from(["", "Z", " Z", "UTC", "+01:00", "-0330", " +2359", "+99:00", "+12:99", "+1"])
fractions = st.sampled_from(["", ".5", ",250", ".123456789", "."])


@given(st.datetimes(), fractions, zones, st.sampled_from("T _"))
def test_a_time_in_a_field_is_what_parse_time_says(
    moment: object, fraction: str, zone: str, separator: str
) -> None:
    """With or without a fraction and a zone, and also where it is no time."""
    text = f"{moment:%Y-%m-%d}{separator}{moment:%H:%M:%S}{fraction}{zone}"
    assert STAMPS.in_field(text, None) == parse_time("iso", text.encode(), None, ZONE)


@given(st.datetimes(), zones)
@example(None, "")
def test_a_time_in_a_header_is_what_parse_time_says(moment: object, zone: str) -> None:
    """The header's own pattern finds it; another line has none."""
    written = f"{moment:%d/%b/%Y:%H:%M:%S}{zone}" if moment else "no time"
    line = f"[{written}] ERROR failed".encode()
    heading = READER.heading(line)
    expected = parse_time("access", line[heading.start : heading.end], None, ZONE)
    assert READER.time_us(heading, line, None) == expected
    assert heading.level == ("ERROR" if heading.found else "")
    assert line[heading.message :] == (b"failed" if heading.found else line)


def test_what_is_no_time_at_all_is_none() -> None:
    """No kind of time stamp fits."""
    assert [STAMPS.in_field(text, None) for text in ("", "soon", "2026-13-01 00:00:00", "\ud800")] == [
        None
    ] * 4
