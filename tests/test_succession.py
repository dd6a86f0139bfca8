"""A new bundle succeeds the one before it source by source, and nobody is blind or told twice."""

import random
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from detector.errors import BadSetup
from detector.records import Alert, Record
from detector.stages.judge.lives import end_life
from detector.stages.judge.state import decode, encode, new_state
from detector.stages.judge.stream import WARM_EVENTS
from tests.small_bundle import TEMPLATES, log_line, small_bundle
from tests.succession import AT, LATE_HOST, Run, Two, alone, cut, records_of, roughened, straight
from tests.watching import START_S
from tests.workers import NAMES

AT_ONCE = 60  # lines of one time stamp before the newer bundle, and as many after it


@pytest.fixture(scope="module", params=["streams", "sessions", "forgetful streams", "other headers"])
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Two bundles for long-lived sources or for sessions; some forget soon, some read differently."""
    folder, kind = tmp_path_factory.mktemp("two"), request.param
    if kind == "forgetful streams":
        return Two.made(folder, session=False, idle_timeout_s=20.0)
    return Two.made(folder, session=kind != "streams", alike=kind != "other headers")


@pytest.mark.parametrize("seed", range(8))
def test_cuts_and_crashes_change_nothing(two: Two, tmp_path: Path, seed: int) -> None:
    """States and revisions are the same wherever batches end and whenever the process dies, to the byte."""
    sys.stdout.write(f"seed {seed}\n")
    rng, records = random.Random(seed), records_of(seed)
    if seed % 2:  # out of order, with continuations, and with a clock that is set back
        records = roughened(records, rng)
    expected = straight(two, tmp_path / "straight.db", records)
    run = Run(tmp_path / "crashing.db", records)
    while not run.state.exists() or run.position() < len(records):
        begin = run.position() if run.state.exists() else 0
        newest, end = (two.old, AT) if begin < AT else (two.new, len(records))
        ends = cut(rng, begin, end)[: rng.randint(1, 20)]
        run.go(newest, ends, halfway=rng.random() < 0.5 and ends[-1] < len(records))
    assert len(expected.alerts()) > 15
    assert run.lines == expected.lines == len(records)
    assert run.states() == expected.states()
    assert run.alerts() == expected.alerts()
    assert run.bundles() == expected.bundles()


def test_every_alert_is_of_one_bundle_and_its_revisions_follow_each_other(two: Two, tmp_path: Path) -> None:
    """No two alerts have one id, and both bundles have their share."""
    run = straight(two, tmp_path / "state.db", records_of(7))
    for revisions in run.alerts().values():
        assert [one.revision for one in revisions] == list(range(1, len(revisions) + 1))
        assert len({(one.bundle, one.source, one.rule, one.position) for one in revisions}) == 1
        assert {one.status for one in revisions[:-1]} <= {"firing"}
    assert {one[0].bundle for one in run.alerts().values()} == {two.old.bundle.id, two.new.bundle.id}


def test_the_older_bundle_ends(two: Two, tmp_path: Path) -> None:
    """Once no source is left to it the fence and the states name the newer one alone."""
    records = records_of(8)
    run = Run(tmp_path / "state.db", records)
    run.go(two.old, range(50, AT + 1, 50))
    run.go(two.new, [AT + 20])
    assert run.bundles() == f"{two.old.bundle.id}>{two.new.bundle.id}"
    run.go(two.new, range(AT + 20, len(records) + 1, 10))
    assert run.bundles() == two.new.bundle.id
    assert all(decode(state, two.new.bundle.id) for state in run.states().values())


def test_a_source_that_begins_later_is_the_newer_bundles(two: Two, tmp_path: Path) -> None:
    """Its state and its alerts are those of the newer bundle alone, run from there on."""
    records = records_of(9)
    run = straight(two, tmp_path / "both.db", records)
    later = alone(two.new, tmp_path / "new.db", records[AT:])
    before = _names(records[:AT], two)
    fresh = {source for source in later.states() if source not in before}
    assert fresh
    assert {s: run.states()[s] for s in fresh} == {s: later.states()[s] for s in fresh}
    if not two.session:
        assert fresh == {LATE_HOST.decode()}
    sources = {source for source in _names(records[AT:], two) if source not in before}
    expected = {name: told for name, told in later.alerts().items() if told[0].source in sources}
    assert expected
    assert {name: told for name, told in run.alerts().items() if told[0].source in sources} == expected


def _names(records: list[Record], two: Two) -> set[str]:
    """The sources of records."""
    found = (NAMES[two.session].search(record.value) for record in records)
    return {one[0].decode() for one in found if one is not None}


def test_what_the_older_bundle_says_it_would_have_said_anyway(two: Two, tmp_path: Path) -> None:
    """Alerts that were open, and those of lives that were, are the older bundle's to their end."""
    records = records_of(10)
    run, before = straight(two, tmp_path / "both.db", records), alone(two.old, tmp_path / "old.db", records)
    told = {name: some for name, some in run.alerts().items() if some[0].bundle == two.old.bundle.id}
    expected = before.alerts()
    assert {name: some[0] for name, some in told.items()} == {name: expected[name][0] for name in told}
    early = {name for name, some in expected.items() if int(some[0].position) < AT}
    assert early
    assert early <= told.keys()
    if two.session:
        assert {name: expected[name] for name in told} == told


def test_a_source_that_has_changed_over_is_judged_as_by_the_newer_bundle_alone(tmp_path: Path) -> None:
    """Once the newer bundle has had enough of a source, its alerts are those of a run from there."""
    two, records = Two.made(tmp_path, session=False), records_of(11)
    run, later = (
        straight(two, tmp_path / "both.db", records),
        alone(two.new, tmp_path / "new.db", records[AT:]),
    )
    warm = _warm_positions(records, two)
    expected = {_event(some[0]) for some in later.alerts().values() if _is_warm(some[0], warm)}
    found = {_event(one[0]) for one in run.alerts().values() if one[0].bundle == two.new.bundle.id}
    assert len(expected) > 5
    assert {one for one in found if one[0] != LATE_HOST.decode()} == {
        one for one in expected if one[0] != LATE_HOST.decode()
    }
    states, alone_states = (
        {source: decode(state, two.new.bundle.id) for source, state in one.states().items()}
        for one in (run, later)
    )
    for source, state in alone_states.items():
        assert (states[source].hidden, states[source].number) == (state.hidden, state.number)


def test_without_the_older_bundle_its_sources_go_on_cold(two: Two, tmp_path: Path) -> None:
    """Its directory was removed too early, and the process died: it is said, no line and no alert is lost."""
    records, run = records_of(12), Run(tmp_path / "state.db", records_of(12))
    run.go(two.old, range(50, AT + 1, 50))
    run.go(two.new, [AT + 20])
    moved = two.old.where.rename(tmp_path / "moved")
    try:
        with capture_logs() as logs:
            run.go(two.new, range(AT + 40, len(records) + 20, 20))
    finally:
        moved.rename(two.old.where)
    assert any("bundle before is gone" in log["event"] for log in logs)
    assert run.bundles() == two.new.bundle.id
    assert run.lines == len(records)
    states = [decode(state, two.new.bundle.id) for state in run.states().values()]
    firing = {name for name, told in run.alerts().items() if told[-1].status == "firing"}
    assert firing == {alert.alert_id for state in states for alert in state.alerts}
    for revisions in run.alerts().values():
        assert [one.revision for one in revisions] == list(range(1, len(revisions) + 1))


def test_a_start_without_the_only_bundle_of_the_states_is_refused(two: Two, tmp_path: Path) -> None:
    """Both bundles are named, and nothing is thrown away."""
    run = Run(tmp_path / "state.db", records_of(13))
    run.go(two.old, [50])
    moved = two.old.where.rename(tmp_path / "moved")
    try:
        with pytest.raises(BadSetup, match=rf"{two.old.bundle.id}, not to {two.new.bundle.id}"):
            run.go(two.new, [100])
    finally:
        moved.rename(two.old.where)
    assert run.position() == 50


def test_a_third_bundle_waits(two: Two, tmp_path: Path) -> None:
    """While two share the sources another is not taken up, also by a process that starts with it."""
    small_bundle(tmp_path / "third", session=two.session, seed=2)
    third = two.new.again(tmp_path / "third")
    records = records_of(14)
    run = Run(tmp_path / "state.db", records)
    run.go(two.old, [AT])
    run.go(two.new, [AT + 4])
    run.go(third, [AT + 8])
    assert run.bundles() == f"{two.old.bundle.id}>{two.new.bundle.id}"
    run.go(third, range(AT + 20, len(records) + 20, 20))
    assert run.bundles() == third.bundle.id
    assert {one[0].bundle for one in run.alerts().values()} >= {two.old.bundle.id, third.bundle.id}


def test_what_a_life_has_left_belongs_to_no_bundle(two: Two, tmp_path: Path) -> None:
    """It may be older than both bundles that share the sources: it lies there for weeks."""
    records = records_of(15)
    run = Run(tmp_path / "state.db", records)
    run.go(two.old, [AT])
    left = msgspec.structs.replace(new_state(16, session=two.session), earlier=1, remembered_us=0)
    end_life(left)
    with closing(sqlite3.connect(run.state, isolation_level=None)) as connection:
        row = ("job-99999", 0, encode(left, "of long ago"))
        connection.execute("INSERT INTO source (source, due_us, state) VALUES (?, ?, ?)", row)
    run.go(two.new, range(AT + 4, len(records), 20))
    assert run.bundles() == two.new.bundle.id
    assert "job-99999" not in run.states()


def test_no_two_alerts_of_a_source_have_one_id(tmp_path: Path) -> None:
    """The same message at the same time, as often into what each bundle has of the source."""
    two, odd = Two.made(tmp_path, session=False), 40
    words = [TEMPLATES if number in {odd, AT_ONCE + odd} else number % 3 for number in range(2 * AT_ONCE)]
    lines = [log_line(START_S, "web-a", word, 1).rstrip(b"\n") for word in words]
    run = Run(tmp_path / "state.db", [Record("app", line, at, at + 1) for at, line in enumerate(lines)])
    run.go(two.old, [AT_ONCE])
    run.go(two.new, [2 * AT_ONCE])
    found = {told[0].position: name for name, told in run.alerts().items() if told[0].rule == "new-template"}
    assert found.keys() == {str(odd), str(AT_ONCE + odd)}
    assert len(set(found.values())) == 2


@pytest.mark.parametrize("size", [7, 1000])
def test_a_silence_ends_with_the_line_with_which_its_source_changes_over(tmp_path: Path, size: int) -> None:
    """The older bundle has said it, or would have; the newer one knows nothing of it."""
    two, early = Two.made(tmp_path, session=False), 250
    spoken = [*range(early + WARM_EVENTS), *range(early + WARM_EVENTS + 60, early + WARM_EVENTS + 80)]
    hosts = ["web-a" if second in set(spoken) else "web-b" for second in range(spoken[-1] + 1)]
    lines = [log_line(START_S + at, host, at % 3, 1).rstrip(b"\n") for at, host in enumerate(hosts)]
    run = Run(tmp_path / "state.db", [Record("app", line, at, at + 1) for at, line in enumerate(lines)])
    run.go(two.old, [early])
    run.go(two.new, [*range(early + size, len(lines), size), len(lines)])
    [told] = [some for some in run.alerts().values() if some[0].rule == "silence"]
    assert [one.status for one in told] == ["firing", "resolved"]
    assert {one.bundle for one in told} == {two.old.bundle.id}
    back = lines[early + WARM_EVENTS + 60].split()[0].decode()
    assert datetime.fromisoformat(told[-1].resolved_at or "") == datetime.fromisoformat(back)


def _event(alert: Alert) -> tuple[str, str, str, float]:
    return alert.source, alert.rule, alert.position, alert.score


def _warm_positions(records: list[Record], two: Two) -> dict[str, int]:
    """From where on each source was the newer bundle's."""
    seen: Counter[str] = Counter()
    found: dict[str, int] = {}
    for record in records[AT:]:
        [name] = _names([record], two)
        seen[name] += 1
        if seen[name] == WARM_EVENTS + 1:
            found[name] = record.offset
    return found


def _is_warm(alert: Alert, warm: dict[str, int]) -> bool:
    return alert.source in warm and int(alert.position) >= warm[alert.source]
