"""Stamps without a year: a file's last line is no later than the file's last change."""

import gzip
import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from detector.bundle import InputSettings
from detector.inputs.follow import Follower
from detector.inputs.read import read_feed
from detector.shard.dating import Dating
from detector.shard.intake import Intake
from detector.shard.reader import Bounds, Reader
from detector.stages.header.header import Column, Header, Headers
from detector.stages.parse.parse import Parser
from detector.stages.parse.vocabulary import of_texts

HEADERS = Headers((Header((Column("time", "syslog", chosen=True), Column("host"))),))
DAY = timedelta(days=1)


def intake_of() -> tuple[Dating, Intake]:
    """What reads syslog lines."""
    settings = InputSettings(unheaded_continues=False)
    dating = Dating(settings, HEADERS, Bounds())
    reader = Reader(settings, HEADERS, Bounds(), dating.latest_us)
    return dating, Intake(reader, Parser(of_texts(["up"])))


def times_of(*paths: Path) -> list[datetime]:
    """The times that the lines of one log are given."""
    dating, intake = intake_of()
    (feed,) = dating.feeds(map(str, paths))
    timed = [one for batch in intake.timed(feed.origin, read_feed(feed)) for one in batch]
    return [datetime.fromtimestamp((line.time_us or 0) / 1e6, UTC) for line, _ in timed]


def written(path: Path, times: list[datetime], changed: datetime, before: bytes = b"") -> None:
    """A log of these times behind other bytes; the file was last changed at another time."""
    content = before + "".join(f"{at:%b} {at.day:2} {at:%H:%M:%S} web up\n" for at in times).encode()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content, mtime=int(changed.timestamp())))
    else:
        path.write_bytes(content)
        os.utime(path, (changed.timestamp(), changed.timestamp()))


def span(first: datetime, last: datetime, step: timedelta) -> list[datetime]:
    """Times from one to the other."""
    return [first + number * step for number in range((last - first) // step + 1)]


@pytest.mark.parametrize("name", ["a.log", "a.log.gz"])
@pytest.mark.parametrize("days", [1, 200, 400, 1000])
@pytest.mark.parametrize("late", [timedelta(0), 100 * DAY])
def test_no_line_is_dated_after_the_files_last_change(
    tmp_path: Path, name: str, days: int, late: timedelta
) -> None:
    """Over new years and several of them, and where nothing was logged for a while before the last change."""
    last = datetime(2026, 3, 5, 7, 8, 9, tzinfo=UTC)
    times = span(last - days * DAY, last, timedelta(hours=7))
    written(tmp_path / name, times, last + late)
    assert times_of(tmp_path / name) == times


@pytest.mark.parametrize("name", ["a.log", "a.log.gz"])
def test_a_large_file_is_dated_by_a_sample(tmp_path: Path, name: str) -> None:
    """Three years in a file that is not looked at whole."""
    last = datetime(2026, 3, 5, 7, 8, 9, tzinfo=UTC)
    times = span(last - 1000 * DAY, last, timedelta(minutes=5))
    written(tmp_path / name, times, last)
    found = times_of(tmp_path / name)
    assert (found[0], found[-1]) == (times[0], times[-1])
    assert found == times


@pytest.mark.parametrize("name", ["a.log", "a.log.gz"])
@pytest.mark.parametrize("heading", [1, 17, 40])
def test_lines_without_a_stamp_before_the_first_say_nothing_of_the_year(
    tmp_path: Path, name: str, heading: int
) -> None:
    """A banner, or a long trace, of so many KiB before two years of lines."""
    times = span(datetime(2024, 4, 4, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC), timedelta(hours=7))
    banner = b"# build options of this program\n" * (heading * 32)
    written(tmp_path / name, times, times[-1], banner)
    assert times_of(tmp_path / name)[-len(times) :] == times


def test_a_line_after_the_last_change_is_a_year_older_even_by_two_days(tmp_path: Path) -> None:
    """A day is allowed for clocks that differ, no more."""
    changed = datetime(2026, 3, 5, tzinfo=UTC)
    written(tmp_path / "a.log", [changed + 2 * DAY], changed)
    assert times_of(tmp_path / "a.log") == [datetime(2025, 3, 7, tzinfo=UTC)]
    written(tmp_path / "a.log", [changed + 0.9 * DAY], changed)
    assert times_of(tmp_path / "a.log") == [changed + 0.9 * DAY]


def test_an_archive_says_itself_when_its_content_was_written(tmp_path: Path) -> None:
    """A copy of the archive is newer than what it holds."""
    times = span(datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC), DAY)
    written(tmp_path / "a.log.gz", times, times[-1])
    assert times_of(tmp_path / "a.log.gz") == times


def test_rotations_are_dated_by_all_their_files(tmp_path: Path) -> None:
    """The years of a log whose oldest file was copied later follow from its newer ones."""
    times = span(datetime(2024, 6, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), DAY)
    thirds = times[:200], times[200:400], times[400:]
    for name, part in zip(("a.log.2", "a.log.1", "a.log"), thirds, strict=True):
        written(tmp_path / name, part, datetime(2026, 10, 1, tzinfo=UTC) if name == "a.log.2" else part[-1])
    assert times_of(*tmp_path.iterdir()) == times


def test_a_watch_dates_as_a_replay_does(tmp_path: Path) -> None:
    """A file that is followed from its start, in small steps, gets the same years."""
    last = datetime(2026, 3, 5, 7, 8, 9, tzinfo=UTC)
    times = span(last - 700 * DAY, last, DAY)
    log = tmp_path / "a.log"
    written(log, times, last)
    _, intake = intake_of()
    follower, found = Follower([str(log)]), []
    for _ in range(100):
        parts = follower.poll(max_lines=10, max_bytes=1 << 20).parts
        found += intake.together([(part.origin, part.records) for part in parts]).lines if parts else []
    assert [line.time_us for line in found] == [at.timestamp() * 1e6 for at in times_of(log)]
    assert times_of(log) == times
    assert all(earlier < later for earlier, later in pairwise(times))


def test_a_watch_from_the_end_dates_its_first_line_by_what_follows_it(tmp_path: Path) -> None:
    """What stands before the place where reading begins is not what is read."""
    last = datetime(2026, 3, 5, tzinfo=UTC)
    written(tmp_path / "a.log", span(last - 700 * DAY, last, DAY), last)
    dating, _ = intake_of()
    size = (tmp_path / "a.log").stat().st_size
    line = size // 701
    assert dating.latest_us(str(tmp_path / "a.log"), size - line) == round(last.timestamp() * 1e6)
