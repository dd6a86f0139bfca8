"""kill -9 at random points: alerts, revisions and states are those of an undisturbed run and of `replay`."""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.small_bundle import small_bundle
from tests.watching import (
    CONFIG,
    PAUSE_S,
    commits_of,
    core_of,
    lines_of,
    outcome_of,
    records_of,
    replayed,
    tailrace,
    until,
)

ROUND_LINES = 200  # written for each kill; at least four commits of at most 50 lines
MOST_COMMITS = 4  # of one process, before it is killed
LAST_LINES = 400  # after the last kill: event time passes what ticks may have said


class Log:
    """A log that is written line by line, some of them in two halves, and rotated."""

    def __init__(self, path: Path, lines: list[bytes], rng: random.Random, *, rotates: bool) -> None:
        """Begin with a first line."""
        self.path, self.contents = path, [b""]  # what each generation held
        self._lines, self._rng, self._rotates = lines, rng, rotates
        self.write(1)

    def write(self, count: int, pause: threading.Event | None = None) -> None:
        """Write lines, with pauses."""
        for line in self._lines[:count]:
            cut = self._rng.randrange(len(line)) if self._rng.random() < 0.1 else 0
            for part in (line[:cut], line[cut:]):
                with self.path.open("ab") as file:
                    file.write(part)
                self.contents[-1] += part
                if pause is not None and self._rng.random() < 0.05:
                    pause.wait(PAUSE_S)
            if self._rotates and self._rng.random() < 0.01:
                self._rotate()
        del self._lines[:count]

    def _rotate(self) -> None:
        """Rename the file or copy and truncate it; the numbers of older ones go up."""
        for number in range(len(self.contents), 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        newest = self.path.with_name(f"{self.path.name}.1")
        if self._rng.random() < 0.5:
            self.path.rename(newest)
        else:
            shutil.copy(self.path, newest)
            self.path.write_bytes(b"")
        self.contents.append(b"")


@contextmanager
def written_meanwhile(log: Log) -> Iterator[None]:
    """A thread writes the lines of one round."""
    thread = threading.Thread(target=log.write, args=(ROUND_LINES, threading.Event()))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def kill_at_a_random_point(state: Path, words: list[str | Path], log: Log, rng: random.Random) -> int:
    """Let a process come to some commit, or live for a moment, and kill it; how many commits it made."""
    before, errors = commits_of(state), state.with_suffix(".err").open("ab")
    with errors, tailrace(*words, stdout=subprocess.DEVNULL, stderr=errors) as process:
        with written_meanwhile(log):
            wanted = rng.randint(0, MOST_COMMITS)
            if wanted:
                until(lambda: commits_of(state) >= before + wanted or process.poll() is not None)
            else:
                threading.Event().wait(rng.uniform(0.0, 1.0))
            assert process.poll() is None, state.with_suffix(".err").read_text()
            process.kill()
        process.wait()
    return commits_of(state) - before


@pytest.mark.parametrize(("session", "rotates", "kills"), [(True, False, 20), (False, True, 10)])
def test_kill_at_random_points(tmp_path: Path, session: bool, rotates: bool, kills: int) -> None:
    """Followed as it is written, killed again and again: nothing is lost, doubled or different."""
    seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    bundle, state, told = tmp_path / "bundle", tmp_path / "state.db", tmp_path / "told.jsonl"
    small_bundle(bundle, session=session)
    lines = lines_of(seed, 1 + kills * ROUND_LINES + LAST_LINES)
    (tmp_path / "logs").mkdir()
    log = Log(tmp_path / "logs" / "app.log", lines, rng, rotates=rotates)
    config = tmp_path / "tailrace.toml"
    config.write_text(CONFIG + f'[[receivers.jsonl]]\nname = "told"\npath = "{told}"\n')
    words: list[str | Path] = ["watch", log.path, "--bundle", bundle, "--config", config, "--from", "start"]
    # What is rotated away before the first look is no longer part of what was to be watched.
    run_once([*words, "--state", state])
    commits = [kill_at_a_random_point(state, [*words, "--state", state], log, rng) for _ in range(kills)]
    sys.stdout.write(f"commits before each kill: {commits}\n")
    log.write(LAST_LINES)
    run_once([*words, "--state", state])
    assert_told_all(told, state)
    outcome = outcome_of(state)
    core = core_of(bundle, log.path)
    assert len(outcome.alerts) > 5
    assert outcome == replayed(core, {str(log.path): [records_of(log.path, c) for c in log.contents]})
    if not rotates:
        run_once([*words, "--state", tmp_path / "undisturbed.db"])
        assert outcome == outcome_of(tmp_path / "undisturbed.db")
        assert revisions_of(state) == revisions_of(tmp_path / "undisturbed.db")


def run_once(words: list[str | Path]) -> None:
    """Read to the end with no tick."""
    with tailrace(*words, "--once", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        errors = process.communicate()[1]
        assert process.returncode == 0, errors


def revisions_of(state: Path) -> dict[tuple[str, int], bytes]:
    """Every revision with its payload."""
    with closing(sqlite3.connect(state)) as connection:
        rows = connection.execute("SELECT alert_id, revision, payload FROM outbox").fetchall()
    return {(alert_id, revision): payload for alert_id, revision, payload in rows}


def assert_told_all(told: Path, state: Path) -> None:
    """The file has every revision as it was committed, and none after a higher one of its alert."""
    revisions = revisions_of(state)
    seen: dict[str, int] = {}
    found = set()
    for line in told.read_bytes().splitlines():
        alert = json.loads(line)
        key = alert["alert_id"], alert["revision"]
        assert line == revisions[key]
        assert alert["revision"] >= seen.get(alert["alert_id"], 0)
        seen[alert["alert_id"]] = alert["revision"]
        found.add(key)
    assert found == revisions.keys()
