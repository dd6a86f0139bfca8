"""What the tests of `tailrace watch` share: logs, runs, and what a run has come to."""

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from detector.embedded.replay import Replay
from detector.embedded.watch import SHARD, Bounds, Watch
from detector.inputs.follow import Follower
from detector.inputs.lines import Lines
from detector.records import Record, Revision
from detector.shard.core import Core, Rules, build
from detector.stages.judge.state import encode
from detector.store.sqlite import Store
from tests.small_bundle import TEMPLATES, log_line

START_S = 1_767_225_600.0
DEADLINE_S = 120.0  # for anything that a test waits for; other tests and fits run beside it
PAUSE_S = 0.005
COMMAND = [sys.executable, "-m", "detector.cli"]
RULES = Rules(budget=200.0, resolve_after_s=300.0)
CONFIG = """
[input]
poll_s = 0.02
[batch]
max_lines = 50
[alerts]
budget = 200.0
resolve_after_s = 300.0
"""


def lines_of(seed: int, count: int, hosts: str = "abc", first_job: int = 0) -> list[bytes]:
    """A log of jobs on hosts with pauses, unknown words and jobs that come to an end."""
    return list(islice(endless(random.Random(seed), hosts, first_job), count))


def endless(
    rng: random.Random,
    hosts: str = "abc",
    first_job: int = 0,
    *,
    gaps_s: Sequence[float] = (0.0, 0.1, 1.0, 2.0),
    pauses_s: Sequence[float] = (45.0, 600.0),
) -> Iterator[bytes]:
    """The same without an end; `gaps_s` lie between most lines, `pauses_s` between one pair in a hundred."""
    at_s = START_S
    jobs, newest = list(range(first_job, first_job + 15)), first_job + 15
    while True:
        at_s += rng.choice(gaps_s) if rng.random() < 0.99 else rng.choice(pauses_s)
        slot = rng.randrange(15)
        if rng.random() < 0.08:
            jobs[slot], newest = newest, newest + 1
        word = TEMPLATES if rng.random() < 0.004 else rng.randrange(TEMPLATES)
        yield log_line(at_s, f"web-{rng.choice(hosts)}", word, jobs[slot])


class Outcome(msgspec.Struct):
    """What a run left: every state to the byte, and each alert's last revision."""

    states: dict[str, bytes]
    alerts: dict[str, bytes]


def outcome_of(path: Path) -> Outcome:
    """What lies in a state file."""
    with closing(sqlite3.connect(path)) as connection:
        states = dict(connection.execute("SELECT source, state FROM source ORDER BY source").fetchall())
        alerts = dict(connection.execute("SELECT alert_id, payload FROM alert").fetchall())
    return Outcome(states, alerts)


def replayed(core: Core, feeds: Mapping[str, Iterable[list[Record]]]) -> Outcome:
    """What `replay --keep-open` finds."""
    run = Replay(core, keep_open=True)
    revisions: list[Revision] = [r for step in run.steps(feeds) for r in step.done.revisions]
    last: dict[str, Revision] = {}
    for revision in revisions:
        if revision.alert_id not in last or revision.revision > last[revision.alert_id].revision:
            last[revision.alert_id] = revision
    states = {source: encode(state, core.bundle.id) for source, state in run.states.states.items()}
    return Outcome(dict(sorted(states.items())), {name: r.payload for name, r in last.items()})


def records_of(origin: Path, content: bytes) -> list[Record]:
    """The records of one content of a file."""
    lines = Lines(str(origin))
    return lines.feed(content) + lines.finish()


def core_of(bundle: Path, *inputs: Path, **overrides: object) -> Core:
    """The core as the command builds it with CONFIG."""
    return build(bundle, overrides, RULES, [str(path) for path in inputs])


@contextmanager
def opened(
    core: Core,
    state: Path,
    patterns: Iterable[Path],
    bounds: Bounds | None = None,
    *,
    start: Literal["start", "end"] = "start",
) -> Iterator[Watch]:
    """A watch that goes on from a state file, as the command makes it."""
    with closing(Store(state)) as store:
        fence = store.fence(SHARD)
        before = None if fence is None else msgspec.json.decode(fence.fence)
        follower = Follower([str(path) for path in patterns], before, start=start)
        yield Watch(core, store, follower, fence, bounds or Bounds())


def commits_of(state: Path) -> int:
    """How many commits a state file that another process writes holds by now."""
    if not state.exists():
        return 0
    with closing(sqlite3.connect(state, timeout=DEADLINE_S)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'shard'").fetchone():
            return 0
        row = connection.execute("SELECT number FROM shard WHERE name = ?", (SHARD,)).fetchone()
    return 0 if row is None else int(row[0])


def until(holds: Callable[[], bool]) -> None:
    """Ask again and again until something holds."""
    pause, deadline_s = threading.Event(), time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise AssertionError("this has not come true in time")
        pause.wait(PAUSE_S)


@contextmanager
def tailrace(*words: str | Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command as a process of its own; it does not outlive the test."""
    command = [*COMMAND, *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, **options) as process:
        try:
            yield process
        finally:
            process.kill()
