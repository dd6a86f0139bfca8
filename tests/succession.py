"""What the tests of a bundle that succeeds another share: two bundles, a log, and runs over it."""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from detector.metrics.committed import Committed
from detector.records import Alert, Record, Revision
from detector.shard.bundles import Bundles, Cores
from detector.shard.core import Core
from detector.shard.stored import Room
from detector.shard.work import ShardWork
from detector.store.outbox import Enrolment
from detector.store.sqlite import Store
from tests.small_bundle import HEADERS, TEMPLATES, small_bundle
from tests.watching import core_of, lines_of

SHARD = "files"
LINES, AT = 1500, 600  # of a log; the newer bundle comes before this one
LATE_HOST = b"web-d"  # has no line before that

# The newer bundle takes the host for two columns, and so finds other messages in the same lines.
OTHER_HEADERS: list[list[dict[str, object]]] = [
    [{"piece": "time", "kind": "iso", "chosen": True}, {"piece": "host"}, {"piece": "word"}]
]


@dataclass(frozen=True, slots=True)
class Two:
    """An older and a newer bundle of one kind."""

    old: Core
    new: Core
    session: bool

    @classmethod
    def made(cls, folder: Path, *, session: bool, alike: bool = True, **overrides: object) -> "Two":
        """Write both; unless they are to read alike, the newer has other headers."""
        small_bundle(folder / "old", session=session)
        headers = HEADERS if alike else OTHER_HEADERS
        small_bundle(folder / "new", session=session, seed=1, templates=TEMPLATES - 1, headers=headers)
        old, new = (core_of(folder / name, **overrides) for name in ("old", "new"))
        return cls(old, new, session)


def records_of(seed: int, lines: int = LINES) -> list[Record]:
    """A log in which one host has its first line after the newer bundle has come."""
    found = lines_of(seed, 2 * lines, "abcdefgh")
    early = [line for line in found if LATE_HOST not in line][:AT]
    rest = found[found.index(early[-1]) + 1 :]
    kept = [line.rstrip(b"\n") for line in [*early, *rest]][:lines]
    return [Record("app", line, number, number + 1) for number, line in enumerate(kept)]


def roughened(records: Sequence[Record], rng: random.Random) -> list[Record]:
    """The same a little out of order, with continuations, and a clock that goes ahead and is set back."""
    lines = [one.value for _, one in sorted(enumerate(records), key=lambda pair: pair[0] + 8 * rng.random())]
    found: list[bytes] = []
    begin = AT + rng.choice([-40, 10])
    for number, line in enumerate(lines):
        is_ahead = begin < number < begin + 50
        found.append(line.replace(b"T0", b"T1") if is_ahead else line)
        if rng.random() < 0.05:
            found += [b"    at com.example.Frame.run(Frame.java:1)"] * rng.randint(1, 3)
    return [Record("app", line, number, number + 1) for number, line in enumerate(found[: len(records)])]


@dataclass(slots=True)
class Run:
    """Goes over records in batches, each with a commit; a crash loses what was not committed."""

    state: Path
    records: Sequence[Record]
    revisions: list[Revision] = field(default_factory=list)  # committed
    lines: int = 0  # that were judged

    def go(self, newest: Core, ends: Sequence[int], *, halfway: bool = False) -> None:
        """One process: from the fence on, in batches that end there; it may die between two commits."""
        with closing(Store(self.state)) as store:
            store.enrol(SHARD, [Enrolment("ops", "there")])
            fence = store.fence(SHARD)
            bundles = Bundles(newest)
            cores = Cores(newest) if fence is None else bundles.of(fence, "the states")
            work = ShardWork(
                cores.core, store, SHARD, fence, room=Room(4), told=self._told, before=cores.before
            )
            begin = 0 if fence is None else int(fence.fence)
            for end in ends:
                if end <= begin:
                    continue
                work.upgrade(bundles.newest())
                work.take(work.intake.of_feed(SHARD, list(self.records[begin:end])), str(end).encode())
                if end != ends[-1] or not halfway:
                    work.pass_time(work.clock_us)
                begin = end

    def position(self) -> int:
        """How far it has come."""
        return int(self._fence()[1])

    def bundles(self) -> str:
        """What the fence names."""
        return str(self._fence()[0])

    def states(self) -> dict[str, bytes]:
        """Every state that is stored."""
        with closing(sqlite3.connect(self.state)) as connection:
            return dict(connection.execute("SELECT source, state FROM source").fetchall())

    def alerts(self) -> dict[str, list[Alert]]:
        """Every alert's revisions, in the order in which they were committed."""
        found: dict[str, list[Alert]] = {}
        for revision in self.revisions:
            alert = msgspec.json.decode(revision.payload, type=Alert)
            found.setdefault(revision.alert_id, []).append(alert)
        return found

    def _told(self, done: Committed) -> None:
        self.revisions += done.done.revisions
        self.lines += len(done.batch.lines)

    def _fence(self) -> tuple[str, bytes]:
        with closing(sqlite3.connect(self.state)) as connection:
            bundle, fence = connection.execute("SELECT bundle, fence FROM shard").fetchone()
        return str(bundle), bytes(fence)


def straight(two: Two, state: Path, records: Sequence[Record], *, size: int = 50) -> Run:
    """The older bundle until AT and then the newer, without a crash."""
    run = Run(state, records)
    run.go(two.old, range(size, AT + 1, size))
    run.go(two.new, range(AT, len(records) + size, size))
    return run


def alone(core: Core, state: Path, records: Sequence[Record]) -> Run:
    """One bundle all the way."""
    run = Run(state, records)
    run.go(core, range(50, len(records) + 50, 50))
    return run


def cut(rng: random.Random, begin: int, end: int) -> list[int]:
    """Where batches end, at random, with the last at the end."""
    inner = rng.sample(range(begin + 1, end), min(end - begin - 1, rng.choice([3, 30, 200])))
    return [*sorted(inner), end]
