"""The loop of `tailrace watch`: crashes, ticks, cuts and files change nothing of what is found."""

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from detector.embedded.watch import Bounds, Watch, follow
from detector.errors import BadSetup, Unavailable
from detector.inputs.batch import Batch
from detector.shard.core import Rules, build
from detector.stages.judge import closing
from detector.store.sqlite import Store
from tests.small_bundle import TEMPLATES, log_line, small_bundle
from tests.watching import START_S, core_of, lines_of, opened, outcome_of, records_of, replayed


@pytest.fixture(scope="module", params=[False, True], ids=["streams", "sessions"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for long-lived sources, and one for sessions."""
    path = tmp_path_factory.mktemp("bundle")
    small_bundle(path, session=request.param)
    return path


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for sessions that end after 30 s."""
    path = tmp_path_factory.mktemp("bundle")
    small_bundle(path, session=True)
    return path


class Script:
    """Time that passes only when it is waited for; each wait is followed by the next thing to happen."""

    def __init__(self, *happenings: Callable[[], object]) -> None:
        """After the last happening the watch is to end."""
        self._happenings = iter(happenings)
        self._now_s = 0.0
        self._ended = False

    def now_s(self) -> float:
        """The time that was waited."""
        return self._now_s

    def wait(self, seconds: float) -> bool:
        """Let time pass."""
        if seconds and not self._ended:
            self._now_s += seconds
            happening = next(self._happenings, None)
            self._ended = happening is None
            if happening is not None:
                happening()
        return self._ended


def nothing() -> None:
    """Time passes."""


def ignore(_: Batch) -> None:
    """Nobody is told."""


def to_end(watch: Watch) -> None:
    """Read all there is, as --once does."""
    follow(watch, Script(*[nothing] * 100), poll_s=0.1, once=True, after=ignore)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("idle_s", [None, 40.0])
def test_a_crash_after_any_batch_changes_nothing(
    bundle: Path, tmp_path: Path, seed: int, idle_s: float | None
) -> None:
    """States, alerts and revisions are those of `replay`, wherever batches are cut and the process dies."""
    rng = random.Random(seed)
    sys.stdout.write(f"seed {seed}\n")
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    lines = lines_of(seed, 2000)
    core = core_of(bundle, log, **({} if idle_s is None else {"idle_timeout_s": idle_s}))
    while lines:
        count = rng.randint(1, 400)
        with log.open("ab") as file:
            file.write(b"".join(lines[:count]))
        del lines[:count]
        bounds = Bounds(max_lines=rng.randint(1, 300), cache_sources=rng.choice([1, 5, 1000]))
        with opened(core, state, [log], bounds) as watch:
            for _ in range(rng.randint(0, 6)):
                watch.step()
    with opened(core, state, [log]) as watch:
        to_end(watch)
    assert outcome_of(state) == replayed(core, {str(log): [records_of(log, log.read_bytes())]})


@pytest.mark.parametrize("seed", range(3))
def test_a_clock_that_is_set_forward_and_back_changes_nothing(
    bundle: Path, tmp_path: Path, seed: int
) -> None:
    """What the clock called for while it was ahead is said wherever batches are cut, as by `replay`."""
    rng = random.Random(seed)
    sys.stdout.write(f"seed {seed}\n")
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    lines = lines_of(seed, 600)
    for place in range(500, 0, -100):
        ahead = [log_line(START_S + 20_000.0 + i, "web-a", i % 3, 10_000 + place) for i in range(8)]
        lines[place:place] = ahead
    log.write_bytes(b"".join(lines))
    core = core_of(bundle, log, idle_timeout_s=40.0)
    with opened(core, state, [log], Bounds(max_lines=rng.randint(1, 30))) as watch:
        to_end(watch)
        assert watch.counts.ended > 20
    assert outcome_of(state) == replayed(core, {str(log): [records_of(log, log.read_bytes())]})


def test_a_full_disk_loses_nothing(bundle: Path, tmp_path: Path) -> None:
    """The watch ends at the commit that does not fit; after a start with room all is as undisturbed."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    log.write_bytes(b"".join(lines_of(3, 1500)))
    core = core_of(bundle, log)
    with opened(core, state, [log], Bounds(max_lines=100)) as watch:
        watch.step()
        assert isinstance(watch.work._store, Store)
        (pages,) = watch.work._store._connection.execute("PRAGMA page_count").fetchone()
        watch.work._store._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(Unavailable, match=r"state\.db cannot be written: .*full; see to its disk"):
            to_end(watch)
    with opened(core, state, [log]) as watch:
        to_end(watch)
        assert 0 < watch.counts.lines < 1500
    assert outcome_of(state) == replayed(core, {str(log): [records_of(log, log.read_bytes())]})


def test_files_that_are_read_unevenly_agree_with_replay(bundle: Path, tmp_path: Path) -> None:
    """A file that is read ahead of others makes nothing of theirs late, silent or ended."""
    logs = [tmp_path / f"{name}.log" for name in "abcd"]
    for number, log in enumerate(logs):
        log.write_bytes(b"".join(lines_of(number, 300 * (number + 1), "abcd"[number], 1000 * number)))
    core = core_of(bundle, *logs)
    with opened(core, tmp_path / "state.db", logs, Bounds(max_lines=300)) as watch:
        to_end(watch)
        assert watch.counts.commits >= 10
        assert watch.counts.late == 0
    feeds = {str(log): [records_of(log, log.read_bytes())] for log in logs}
    assert outcome_of(tmp_path / "state.db") == replayed(core, feeds)


def test_the_end_of_a_file_closes_nothing(sessions: Path, tmp_path: Path) -> None:
    """With --once what is open stays open in the state file, and a last line without an end is read."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    log.write_bytes(log_line(START_S, "web", 1, 7) + log_line(START_S, "web", 2, 8).rstrip())
    with opened(core_of(sessions, log), state, [log]) as watch:
        to_end(watch)
        assert (watch.counts.lines, watch.counts.ended) == (2, 0)
        assert list(outcome_of(state).states) == ["job-7", "job-8"]


def test_a_tick_closes_what_is_over_after_its_idle_time(sessions: Path, tmp_path: Path) -> None:
    """The shard's clock goes on from the last line with the wall clock, and that is not kept."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    log.write_bytes(log_line(START_S, "web", 1, 7))
    script, seen = Script(*[nothing] * 30), []
    with opened(core_of(sessions, log), state, [log]) as watch:

        def note(_: Batch) -> None:
            seen.append((script.now_s(), watch.counts.ended))

        follow(watch, script, poll_s=2.0, once=False, after=note)
        assert watch.work.clock_us == round(START_S * 1_000_000)
    # 30 s of idle time and 5 s of lateness after the line; told of at the look after that.
    assert next(now_s for now_s, ended in seen if ended) == 38.0
    assert outcome_of(state).states == {}


@pytest.mark.parametrize("stamp", [True, False], ids=["one stamp for ever", "no stamps"])
def test_a_clock_that_stands_still_keeps_no_other_source_from_ending(
    sessions: Path, tmp_path: Path, stamp: bool
) -> None:
    """A file whose lines move no clock is written at every look; its own source goes on."""
    log, other, state = tmp_path / "app.log", tmp_path / "other.log", tmp_path / "state.db"
    log.write_bytes(log_line(START_S, "web", 1, 7))
    line = log_line(START_S, "web", 1, 8) if stamp else b"alpha is done for job-8\n"
    other.touch()

    def write() -> None:
        with other.open("ab") as file:
            file.write(line)

    script, seen = Script(*[write] * 30), []
    with opened(core_of(sessions, log, other), state, [log, other]) as watch:

        def note(_: Batch) -> None:
            seen.append((script.now_s(), watch.counts.ended))

        follow(watch, script, poll_s=2.0, once=False, after=note)
        assert watch.counts.lines == 31
    assert next(now_s for now_s, ended in seen if ended) == 38.0
    assert [ended for _, ended in seen][-1] == 1
    assert "job-8" in outcome_of(state).states


def test_ticks_write_only_where_something_is_due(sessions: Path, tmp_path: Path) -> None:
    """A quiet log costs no commits."""
    log = tmp_path / "app.log"
    log.write_bytes(b"".join(lines_of(1, 100)))
    with opened(core_of(sessions, log), tmp_path / "state.db", [log]) as watch:
        follow(watch, Script(*[nothing] * 10), poll_s=0.1, once=False, after=ignore)
        commits = watch.counts.commits
        follow(watch, Script(*[nothing] * 10), poll_s=0.1, once=False, after=ignore)
        assert watch.counts.commits == commits


def test_many_sources_that_are_due_at_once_are_taken_in_turns(sessions: Path, tmp_path: Path) -> None:
    """One line hours later ends them all, though no batch takes up more than its bound."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    log.write_bytes(b"".join(log_line(START_S, "web", 1, job) for job in range(2500)))
    with opened(core_of(sessions, log), state, [log]) as watch:
        to_end(watch)
        with log.open("ab") as file:
            file.write(log_line(START_S + 3000, "web", 1, 9999))
        to_end(watch)
        assert watch.counts.ended == 2500
        assert watch.counts.commits >= 4
        assert list(outcome_of(state).states) == ["job-9999"]


def test_all_sources_that_are_due_when_a_clock_falls_are_ended(sessions: Path, tmp_path: Path) -> None:
    """More than one batch takes up otherwise: later the clock does not call for them any more."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    log.write_bytes(b"".join(log_line(START_S, "web", 1, job) for job in range(1500)))
    with opened(core_of(sessions, log), state, [log]) as watch:
        watch.step()
        with log.open("ab") as file:
            file.writelines(log_line(START_S + 8000 + i, "web", 1, 9998) for i in range(6))
            file.writelines(log_line(START_S + 10 + i, "web", 1, 9999) for i in range(6))
        watch.step()
    assert "job-9999" in outcome_of(state).states
    assert not outcome_of(state).states.keys() & {f"job-{job}" for job in range(1500)}


def test_an_alert_may_stay_open_for_longer_than_lives_are_remembered(sessions: Path, tmp_path: Path) -> None:
    """A look at lines that are forty days later ends, and the alert goes on firing."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    later = [log_line(START_S + days * 86_400 + i, "web", 1, days) for days in (20, 40) for i in range(6)]
    log.write_bytes(log_line(START_S, "web", TEMPLATES, 7) + b"".join(later))
    core = build(sessions, {}, Rules(budget=200.0, resolve_after_s=60 * 86_400.0), [str(log)])
    with opened(core, state, [log]) as watch:
        to_end(watch)
        assert (watch.counts.ended, watch.counts.commits) == (2, 1)
    assert list(outcome_of(state).states) == ["job-40", "job-7"]


def test_what_the_clock_never_settles_is_a_bug_that_ends_the_process(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said which source is due for ever, instead of committing without end."""
    log = tmp_path / "app.log"
    log.write_bytes(log_line(START_S, "web", 1, 7))
    monkeypatch.setattr(closing, "due_us", lambda _state, _policy: 1)
    with (
        opened(core_of(sessions, log), tmp_path / "state.db", [log]) as watch,
        pytest.raises(RuntimeError, match=r"job-7 is due at 1 by \d+, again and again"),
    ):
        watch.step()


def test_lives_are_told_apart_for_as_long_as_late_stamps_are_believed(sessions: Path, tmp_path: Path) -> None:
    """Lines that say the same, all dated eight days back, are alerts of their own."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    now = [log_line(START_S + i, "web", i % 5, 1) for i in range(10)]
    log.write_bytes(b"".join([*now, *[log_line(START_S - 8 * 86_400, "web", TEMPLATES, 7)] * 3, now[-1]]))
    with opened(core_of(sessions, log), state, [log], Bounds(max_lines=1)) as watch:
        to_end(watch)
    alerts = [msgspec.json.decode(payload) for payload in outcome_of(state).alerts.values()]
    assert [a["rule"] for a in alerts if a["source"] == "job-7"].count("new-template") == 3


def test_where_to_begin_is_kept_before_the_first_line(bundle: Path, tmp_path: Path) -> None:
    """Lines that come while the process is down are read, although it had read nothing before."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    log.write_bytes(b"".join(lines_of(1, 10)))
    for expected in (0, 5):
        with opened(core_of(bundle, log), state, [log], start="end") as watch:
            to_end(watch)
        assert watch.counts.lines == expected
        with log.open("ab") as file:
            file.writelines(lines_of(2, 5))


def test_the_states_of_a_bundle_that_is_gone_are_refused(bundle: Path, tmp_path: Path) -> None:
    """The error names both bundles before anything is read."""
    log, state = tmp_path / "app.log", tmp_path / "state.db"
    log.write_bytes(b"".join(lines_of(1, 10)))
    first = shutil.copytree(bundle, tmp_path / "first")
    with opened(core_of(first, log), state, [log]) as watch:
        to_end(watch)
    shutil.rmtree(first)
    small_bundle(tmp_path / "other", session=False, cell="rnn")
    with (
        pytest.raises(BadSetup, match=r"belong to bundle \w+, not to \w+"),
        opened(core_of(tmp_path / "other", log), state, [log]),
    ):
        pass


def test_memories_of_files_that_are_gone_are_forgotten(bundle: Path, tmp_path: Path) -> None:
    """What is kept with the fence does not grow with the files that have been."""
    core = core_of(bundle, tmp_path)
    (tmp_path / "logs").mkdir()
    with opened(core, tmp_path / "state.db", [tmp_path / "logs"]) as watch:
        for number in range(120):
            log = tmp_path / "logs" / f"{number}.log"
            log.write_bytes(log_line(START_S + (0 if number else 86_400), "web", 1, number) * 20)
            watch.step()
            log.unlink()
        for _ in range(5):
            watch.step()
        assert len(watch.work.reader.memories) <= 101
        assert watch.work.clock_us == round(START_S * 1_000_000)  # not that of the first, a day ahead
