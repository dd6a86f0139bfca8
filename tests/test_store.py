"""The contract of a store: what any store of states, fences and alerts must hold, whatever keeps it."""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.errors import BadSetup, Fenced, Unavailable
from detector.records import Reject, Revision
from detector.store.contract import Commit, Fence
from detector.store.deliveries import open_deliveries
from detector.store.outbox import Enrolment
from detector.store.sqlite import KEPT_REJECTS, Store
from tests.delivery import revision
from tests.stores import KINDS, PARTS, SHARD, Backend, Redis, Sqlite


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each kind of store."""
    with request.param.made(tmp_path) as made:
        yield made


def commit(based_on: int, **changes: Any) -> Commit:
    """A commit of nothing but its fence, unless said otherwise."""
    empty = Commit(SHARD, based_on, "b1", b"fence %d" % (based_on + 1), b"memory", {}, {}, [], [])
    return msgspec.structs.replace(empty, **changes)


def reject(number: int) -> Reject:
    """A record that was put aside."""
    return Reject("app.log", number, "no JSON", b"{" * number)


def test_a_fence_moves_with_its_commit(backend: Backend) -> None:
    """It holds what the commit gave it, also after a restart."""
    with closing(backend.open()) as store:
        assert store.fence(SHARD) is None
        store.commit(commit(0))
        store.commit(commit(1, fence=b"two", memory=b"m2"))
    with closing(backend.open()) as store:
        assert store.fence(SHARD) == Fence(2, "b1", b"two", b"m2")
        assert store.fence("other") is None


@pytest.mark.parametrize("based_on", [0, 1, 3, 99])
def test_a_commit_that_is_not_based_on_the_fence_is_refused(backend: Backend, based_on: int) -> None:
    """Neither a zombie nor a hole gets in, and nothing of it is seen."""
    with closing(backend.open()) as store:
        store.commit(commit(0))
        store.commit(commit(1, states={"web": b"new"}))
        before = backend.seen()
        with pytest.raises(Fenced, match="is at commit 2, not at"):
            store.commit(commit(based_on, states={"web": b"old"}, revisions=[revision("a", 1)]))
        assert backend.seen() == before
        store.commit(commit(2))


def test_what_is_kept_of_the_traces_of_logs_is_changed_log_by_log(tmp_path: Path) -> None:
    """In a file, and also after a restart."""
    with closing(Store(tmp_path / "state.db")) as store:
        store.commit(commit(0, traces={"a.log": b"a 1", "b.log": b"b 1", "c.log": b"c 1"}))
        store.commit(commit(1, traces={"a.log": b"a 2", "b.log": None}))
    with closing(Store(tmp_path / "state.db")) as store:
        assert store.traces(SHARD) == {"a.log": b"a 2", "c.log": b"c 1"}


def test_a_server_takes_no_traces(tmp_path: Path) -> None:
    """Its shards have parts of traces; one that were silently lost would be missed at the next start."""
    with Redis.made(tmp_path) as made, closing(made.open()) as store:
        with pytest.raises(ValueError, match="kept in SQLite alone"):
            store.commit(commit(0, traces={"a.log": b"a"}))
        assert store.fence(SHARD) is None


@pytest.mark.parametrize("part", PARTS)
def test_a_failure_in_the_middle_of_a_commit_leaves_nothing(backend: Backend, part: str) -> None:
    """Wherever it breaks, all is as before, also after a restart; and the same commit then works."""
    full = commit(
        1,
        states={"web": b"web 2", "db": None, "new": b"new 1"},
        due_us={"web": 7, "new": 8},
        revisions=[revision("a", 2, "resolved"), revision("b", 1)],
        rejects=[reject(1), reject(2)],
    )
    with closing(backend.open()) as store:
        store.enrol(SHARD, [Enrolment("ops", "target")])
        store.commit(commit(0, states={"web": b"web 1", "db": b"db 1"}, revisions=[revision("a", 1)]))
        before = backend.seen()
        with (
            backend.broken_at(part),
            pytest.raises(Exception, match=r"broken|is a string where a \w+ belongs"),
        ):
            store.commit(full)
        assert backend.seen() == before
    with closing(backend.open()) as store:
        assert store.all_states(SHARD) == {"web": b"web 1", "db": b"db 1"}
        store.commit(full)
        assert store.all_states(SHARD) == {"web": b"web 2", "new": b"new 1"}
        fence = store.fence(SHARD)
        assert fence is not None
        assert fence.number == 2
    changed = backend.seen()
    assert all(changed[name] != before[name] for name in PARTS)


def test_a_full_disk_is_no_bug_and_leaves_nothing(tmp_path: Path) -> None:
    """The error names the file and has the exit code of something that is not there for now."""
    backend = Sqlite(tmp_path)
    with closing(Store(backend.path)) as store:
        store.commit(commit(0))
        before = backend.seen()
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(
            Unavailable, match=r"state\.db cannot be written: database or disk is full"
        ) as full:
            store.commit(commit(1, states={"web": b"x" * 100_000}))
        assert full.value.exit_code == 4
        assert backend.seen() == before
        store.commit(commit(1))


def test_a_damaged_file_is_no_bug(tmp_path: Path) -> None:
    """The error names the file and what to do, for whatever it is that finds the damage."""
    path, states = tmp_path / "state.db", {f"s{number}": b"state" for number in range(500)}
    with closing(Store(path)) as store:
        store.commit(commit(0, states=states, due_us=dict.fromkeys(states, 7)))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    calls: list[Callable[[Store], object]] = [
        lambda store: store.fence(SHARD),
        lambda store: store.load(SHARD, ["s1"]),
        lambda store: store.due(SHARD, 9, 10),
        lambda store: store.enrol(SHARD, []),
        lambda store: store.commit(commit(1)),
    ]
    for call in calls:
        with pytest.raises(BadSetup, match=r"state\.db is damaged .*; put a copy of it back"):
            _call(path, call)
    with pytest.raises(BadSetup, match="is damaged"), open_deliveries(path) as deliveries:
        deliveries.counts()


def _call(path: Path, call: Callable[[Store], object]) -> None:
    with closing(Store(path)) as store:
        call(store)


def test_states_are_loaded_by_name(backend: Backend) -> None:
    """Those that exist, however many are asked for; a state that is gone is not there."""
    states: dict[str, bytes | None] = {f"s{number}": b"%d" % number for number in range(3000)}
    with closing(backend.open()) as store:
        store.commit(commit(0, states=states))
        store.commit(commit(1, states={"s7": None, "s8": b"eight"}))
        wanted = [f"s{number}" for number in range(0, 6000, 2)]
        loaded = store.load(SHARD, wanted)
        assert loaded == {name: states[name] for name in wanted if name in states} | {"s8": b"eight"}
        assert store.load(SHARD, ["s7", "' OR 1 --", "s9"]) == {"s9": b"9"}
        assert store.load(SHARD, []) == {}
        assert store.sources(SHARD) == 2999
    with closing(backend.open()) as store:
        assert store.sources(SHARD) == 2999


def test_what_is_due_is_found_by_its_time(backend: Backend) -> None:
    """The longest due first, bounded; a new time replaces the old one, None and the end take it away."""
    rng = random.Random(11)
    sys.stdout.write("seed 11\n")
    due: dict[str, int] = {}
    with closing(backend.open()) as store:
        for number in range(30):
            names = [f"s{rng.randrange(40)}" for _ in range(8)]
            states = {name: rng.choice([b"state", b"state", None]) for name in names}
            times = {name: rng.choice([None, rng.randrange(1000)]) for name in names}
            store.commit(commit(number, states=states, due_us=times))
            for name, state in states.items():
                due.pop(name, None)
                if state is not None and (at := times[name]) is not None:
                    due[name] = at
            clock = rng.randrange(1000)
            found = store.due(SHARD, clock, 1000)
            assert sorted(found) == sorted(name for name, at in due.items() if at < clock)
            assert [due[name] for name in found] == sorted(due[name] for name in found)
            assert store.due(SHARD, clock, 3) == found[:3]


def test_rejects_are_bounded(backend: Backend) -> None:
    """The newest stay readable, the oldest go."""
    with closing(backend.open()) as store:
        for number in range(3):
            some = [reject(1)] * (KEPT_REJECTS // 2 - 1) + [reject(number + 10)]
            store.commit(commit(number, rejects=some))
        rows = backend.seen()["reject"]
        assert len(rows) == KEPT_REJECTS
        assert [row[2] for row in rows if row[2] >= 10] == [11, 12]


def test_a_revision_is_in_the_outbox_once(backend: Backend) -> None:
    """A payload that is there stays as it was, and a lower revision never replaces a higher one."""
    first, second = revision("a", 1), revision("a", 2)
    other = Revision("a", 2, second.payload.replace(b"nova", b"NOVA"))
    with closing(backend.open()) as store:
        store.commit(commit(0, revisions=[first, second]))
        store.commit(commit(1, revisions=[first, other]))
        assert [row[1:4] for row in backend.seen()["outbox"]] == [
            ("a", 1, first.payload),
            ("a", 2, second.payload),
        ]
        assert [(row[1], row[4]) for row in backend.seen()["alert"]] == [(2, second.payload)]


_HOLD = "import sys; from pathlib import Path; from detector.store.sqlite import Store;"


def test_a_second_process_is_refused_until_the_first_has_died(tmp_path: Path) -> None:
    """It is told who has the file; a process that was killed leaves nothing to clean up."""
    path = tmp_path / "state.db"
    code = f"{_HOLD} s = Store(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=pipe, stdout=pipe, text=True) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "open\n"
        with pytest.raises(Fenced, match=f"is in use by process {one.pid}; stop it") as refused:
            Store(path)
        assert refused.value.exit_code == 5
        one.kill()
    Store(path).close()


def test_a_file_that_is_no_state_file_is_refused(tmp_path: Path) -> None:
    """Nothing is written to what somebody else made, or another version."""
    foreign, newer, other = (tmp_path / f"{name}.db" for name in ("foreign", "newer", "other"))
    foreign.write_bytes(b"not a database, and long enough to be looked at as one" * 99)
    with pytest.raises(BadSetup, match=r"foreign\.db is no state file .*; give another --state FILE"):
        Store(foreign)
    assert foreign.read_bytes().startswith(b"not a database")
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(BadSetup, match=r"newer\.db is of another version"):
        Store(newer)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE shard (theirs)")
    content = other.read_bytes()
    with pytest.raises(BadSetup, match=r"other\.db is the database of another program"):
        Store(other)
    assert other.read_bytes() == content
    with pytest.raises(BadSetup, match="cannot be used as a state file"):
        Store(foreign / "below" / "a-file.db")


def test_a_file_holds_one_shard(tmp_path: Path) -> None:
    """A second one would read and overwrite the first one's sources, so it is refused."""
    with closing(Store(tmp_path / "state.db")) as store:
        store.commit(commit(0, states={"web": b"state"}))
        for call in (lambda: store.commit(commit(0, shard="other")), lambda: store.load("other", ["web"])):
            with pytest.raises(ValueError, match=r"state\.db holds shard files, not other"):
                call()
        assert store.all_states(SHARD) == {"web": b"state"}
