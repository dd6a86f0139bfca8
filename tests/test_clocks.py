"""Several files are one shard: none is overtaken by another, and none holds the others back for ever."""

from pathlib import Path

import pytest

from detector.embedded import replay
from detector.embedded.replay import Replay
from detector.embedded.watch import Bounds
from detector.inputs.read import read
from detector.records import ClosedSource
from detector.shard.clocks import SILENT_US, Clocks
from detector.shard.core import Core
from tests.small_bundle import SECOND, log_line, small_bundle
from tests.watching import START_S, core_of, opened, outcome_of, records_of, replayed


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for sessions that end after 30 s."""
    path = tmp_path_factory.mktemp("bundle")
    small_bundle(path, session=True)
    return path


def jobs_of(start_s: float, count: int, first_job: int, lines: int = 20) -> list[bytes]:
    """A line a second, of jobs of some lines each, one after the other."""
    return [log_line(start_s + i, f"web-{first_job}", i % 5, first_job + i // lines) for i in range(count)]


@pytest.mark.parametrize("every", [180, 90, 7, 1])
def test_a_writer_that_is_behind_has_its_sessions_judged_as_by_replay(
    sessions: Path, tmp_path: Path, every: int
) -> None:
    """Two files are written at the same time, one well behind; however often they are looked at."""
    ahead, behind = tmp_path / "a.log", tmp_path / "b.log"
    core = core_of(sessions, ahead, behind)
    lines = {ahead: jobs_of(START_S, 180, 0), behind: jobs_of(START_S - 100, 180, 1000)}
    ahead.touch()
    behind.touch()
    with opened(core, tmp_path / "state.db", [ahead, behind]) as watch:
        for at in range(0, 180, every):
            for log, written in lines.items():
                with log.open("ab") as file:
                    file.writelines(written[at : at + every])
            watch.step()
        assert watch.counts.late == 0
        watch.work.pass_time(watch.work.clock_us)
    feeds = {str(log): [records_of(log, log.read_bytes())] for log in lines}
    assert outcome_of(tmp_path / "state.db") == replayed(core, feeds)


def lives_of(core: Core, logs: list[Path], size: int) -> list[ClosedSource]:
    """Every life that a replay finds, reading so many lines at a time."""
    feeds = {str(log): read(str(log), max_lines=size) for log in logs}
    closed = [one for step in Replay(core).steps(feeds) for one in step.done.closed]
    return sorted(closed, key=lambda one: (one.source, one.first_us or 0))


def test_a_clock_of_one_of_two_files_that_falls_ends_the_same_lives_in_any_batches(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other file's clock, which is hours ahead, ends none of those that follow."""
    falls, other = tmp_path / "a.log", tmp_path / "b.log"
    before, after = jobs_of(START_S + 7200, 100, 0, 10), jobs_of(START_S + 100, 200, 100, 10)
    falls.write_bytes(b"".join(before + after))
    other.write_bytes(b"".join(jobs_of(START_S + 7200, 300, 1000, 10)))
    core = core_of(sessions, falls, other)
    whole = lives_of(core, [falls, other], 1000)
    assert len(whole) == 10 + 20 + 30 + 4  # four late lines come before the clock falls
    for size in (70, 7):
        monkeypatch.setattr(replay, "MAX_LINES", size)
        assert lives_of(core, [falls, other], size) == whole


def test_a_file_that_was_read_to_its_end_holds_back_no_ending(sessions: Path, tmp_path: Path) -> None:
    """An old one beside one that is caught up with: what ended is said and forgotten on the way."""
    big, stale = tmp_path / "big.log", tmp_path / "stale.log"
    big.write_bytes(b"".join(jobs_of(START_S + 86_400, 3000, 0, 10)))
    stale.write_bytes(log_line(START_S, "web", 1, 9999))
    with opened(core_of(sessions, big, stale), tmp_path / "state.db", [big, stale], Bounds(300)) as watch:
        for _ in range(5):
            watch.step()
        assert watch.counts.lines <= 1501
        assert watch.counts.ended > 100


def test_an_origin_with_more_to_read_is_never_overtaken() -> None:
    """However far the others are ahead, and however long it brought nothing."""
    clocks = Clocks({"a": 100 * SECOND, "b": 100 * SECOND})
    clocks.follow("b", 900 * SECOND)
    assert clocks.closing_us({"a"}) == 100 * SECOND
    assert clocks.closing_us() == 900 * SECOND


def test_a_silent_origin_holds_the_others_back_for_a_minute() -> None:
    """By their newest clock, or by the time since the end of the log."""
    clocks = Clocks({"a": 40 * SECOND, "b": 100 * SECOND})
    clocks.follow("b", 100 * SECOND + SILENT_US)
    assert clocks.closing_us() == 40 * SECOND
    assert clocks.closing_us(passed_us=1) == 100 * SECOND + SILENT_US + 1
    clocks.follow("b", 101 * SECOND + SILENT_US)
    assert clocks.closing_us() == 101 * SECOND + SILENT_US


def test_an_origin_that_comes_back_takes_the_closing_clock_back_with_it() -> None:
    """What the clock called for until then is to be said, so that it depends on no batch."""
    clocks = Clocks({"a": 40 * SECOND, "b": 100 * SECOND})
    assert clocks.follow("b", 900 * SECOND) is None
    assert clocks.follow("a", 50 * SECOND) == 900 * SECOND
    assert clocks.closing_us() == 50 * SECOND
    assert clocks.follow("a", 20 * SECOND) == 50 * SECOND


def test_an_origin_that_is_over_takes_its_clock_with_it() -> None:
    """Neither the newest nor the closing clock is its own any more."""
    clocks = Clocks({"a": 40 * SECOND, "b": 100 * SECOND, "c": 900 * SECOND})
    clocks.forget("c")
    clocks.forget("a")
    assert (clocks.newest_us, clocks.closing_us(), clocks.of("a")) == (100 * SECOND, 100 * SECOND, 0)
