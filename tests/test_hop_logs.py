"""Traces of each log, whatever stands between their lines: a watch and a replay agree, and little is kept."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from detector.bundle import HopCalibration
from detector.embedded.replay import Replay
from detector.embedded.watch import Bounds
from detector.records import Alert
from detector.shard import hops as hops_of_shard
from detector.shard.core import Core
from detector.stages.judge import hop_sums
from tests.small_bundle import small_bundle
from tests.watching import core_of, opened, outcome_of, records_of, replayed

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SLOW_S, USUAL_S = 1.9, 0.01
OVER_S = 120.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log to be written."""
    return tmp_path / "all.log"


@pytest.fixture
def core(tmp_path: Path, log: Path) -> Core:
    """A core that judges traces, and next to nothing else."""
    return judging(tmp_path, log)


def judging(folder: Path, *logs: Path) -> Core:
    """The same for some logs."""
    small_bundle(folder / "bundle", session=False)
    core = core_of(folder / "bundle", *logs, trace_field="trace_id")
    learnt = HopCalibration(300, 40.0, {}, {})
    calibration = msgspec.structs.replace(core.policy.calibration, hops=learnt, new_template_alerts=False)
    return msgspec.structs.replace(core, policy=msgspec.structs.replace(core.policy, calibration=calibration))


def line(at_s: float, source: str, trace: str = "") -> bytes:
    """A line of a source, of a request or of none."""
    fields = {
        "@timestamp": (BEGIN + timedelta(seconds=at_s)).isoformat(),
        "message": "build is done for 1",
        "service.name": source,
    }
    return json.dumps(fields | ({"trace_id": trace} if trace else {})).encode() + b"\n"


def requests(begin_s: float, count: int, took_s: float, name: str = "t") -> Iterable[bytes]:
    """Requests from one source to another, one every two seconds."""
    for number in range(count):
        at_s = begin_s + 2 * number
        yield line(at_s, "a", f"{name}{at_s}")
        yield line(at_s + took_s, "b", f"{name}{at_s}")


def untraced(begin_s: float, count: int) -> Iterable[bytes]:
    """Lines that are of no request, one a second."""
    return (line(begin_s + number, "a") for number in range(count))


def incident(name: str = "t") -> list[bytes]:
    """Ten minutes of usual requests, and one of slow ones, the last of which ends at 659.9 s."""
    return [*requests(0, 300, USUAL_S, name), *requests(600, 30, SLOW_S, name)]


def watched(core: Core, state: Path, logs: list[Path], max_lines: int = 8_192) -> dict[str, bytes]:
    """The last revision of each alert that `watch --once` says."""
    with opened(core, state, logs, Bounds(max_lines=max_lines)) as watch:
        while not watch.step(final=True).at_end:
            pass
        watch.work.pass_time(watch.work.clock_us)
    return outcome_of(state).alerts


def of_replay(core: Core, log: Path) -> dict[str, bytes]:
    """The same of `replay --keep-open`."""
    return replayed(core, {str(log): iter([records_of(log, log.read_bytes())])}).alerts


def slow(alerts: Iterable[bytes]) -> list[Alert]:
    """The alerts on slow sources, in the order of their times."""
    found = [msgspec.json.decode(payload, type=Alert) for payload in alerts]
    return sorted((one for one in found if one.rule == "slow"), key=lambda one: one.opened_at or "")


def at(seconds: float) -> str:
    """How an alert writes a time."""
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="microseconds")[:-6] + "Z"


@pytest.mark.parametrize("again", [3, 8, 13])
def test_lines_of_no_request_may_come_between_wherever_batches_end(
    core: Core, log: Path, tmp_path: Path, again: int
) -> None:
    """Slow steps come again before an alert is over, then only lines without an id: they are one alert."""
    end_s = 766 + 2 * again
    log.write_bytes(
        b"".join(
            [
                *incident(),
                *untraced(662, 100),
                *requests(766, again, SLOW_S, "u"),
                *untraced(end_s + 1, 200),
                *requests(end_s + 300, 3, USUAL_S, "v"),
            ]
        )
    )
    small = watched(core, tmp_path / "small.db", [log], max_lines=50)
    assert small == watched(core, tmp_path / "large.db", [log]) == of_replay(core, log)
    [alert] = slow(small.values())
    assert alert.resolved_at == at(end_s - 2 + SLOW_S + OVER_S)


def test_time_ends_an_alert_in_a_watch_and_in_a_replay(core: Core, log: Path, tmp_path: Path) -> None:
    """Two minutes after the last slow step, which no line with an id follows."""
    log.write_bytes(b"".join([*incident(), *untraced(662, 600)]))
    found = watched(core, tmp_path / "state.db", [log], max_lines=200)
    assert found == of_replay(core, log)
    [alert] = slow(found.values())
    assert alert.resolved_at == at(660 - 2 + SLOW_S + OVER_S)
    records = iter([records_of(log, log.read_bytes())])
    said = [one.payload for step in Replay(core).steps({str(log): records}) for one in step.done.revisions]
    assert slow(said)[-1] == alert


def test_slow_steps_alert_for_as_long_as_they_come_or_for_a_day(
    core: Core, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of them is one alert until they stop, and teaches nothing; what stays for longer is usual."""
    begun = [*requests(0, 300, USUAL_S), *requests(600, 1_800, SLOW_S, "u")]
    over = [*requests(4_200, 300, USUAL_S, "v"), *requests(4_800, 60, SLOW_S, "w")]
    log.write_bytes(b"".join([*begun, *over]))
    found = of_replay(core, log)
    assert found == watched(core, tmp_path / "hour.db", [log], max_lines=700)
    hour, again = slow(found.values())
    assert at(600) < (hour.opened_at or "") < at(630)
    assert at(4_200 + OVER_S) < (hour.resolved_at or "") < at(4_200 + 2 * OVER_S)
    assert at(4_800) < (again.opened_at or "") < at(4_830)
    assert again.hop is not None
    assert again.hop.usual_s == pytest.approx(USUAL_S, rel=0.2)
    monkeypatch.setattr(hop_sums, "HELD_US", 1_200_000_000)
    [lasting, *_] = slow(of_replay(core, log).values())
    assert lasting.opened_at == hour.opened_at
    assert at(1_800 + OVER_S) < (lasting.resolved_at or "") < at(3_000)


def test_two_logs_with_the_same_lines_give_two_alerts(tmp_path: Path) -> None:
    """Of one id they would be one, revised by turns; each id is that of a replay of its log."""
    logs = [tmp_path / "one.log", tmp_path / "other.log"]
    core = judging(tmp_path, *logs)
    for log in logs:
        log.write_bytes(b"".join(incident()))
    found = slow(watched(core, tmp_path / "state.db", logs).values())
    alone = [one for log in logs for one in slow(of_replay(core, log).values())]
    assert len({one.alert_id for one in found}) == 2
    assert {one.alert_id for one in found} == {one.alert_id for one in alone}


def kept_in(state: Path) -> dict[str, int]:
    """For each log the bytes that are kept of its traces."""
    with closing(sqlite3.connect(state)) as connection:
        return dict(connection.execute("SELECT log, length(state) FROM trace").fetchall())


def test_a_commit_writes_what_changed_of_the_logs_whose_requests_go_on(tmp_path: Path) -> None:
    """Not the traces of all logs again, and next to nothing of a log of one source."""
    logs = [tmp_path / f"{name}.log" for name in ("alone", "quiet", "busy")]
    core, state = judging(tmp_path, *logs), tmp_path / "state.db"
    for log in logs[1:]:
        log.write_bytes(b"".join(requests(0, 300, USUAL_S)))
    logs[0].write_bytes(b"".join(line(number, "a", f"t{number}") for number in range(600)))
    watched(core, state, logs)
    kept = kept_in(state)
    assert kept[str(logs[0])] < 200
    assert min(kept[str(log)] for log in logs[1:]) > 1_000
    with closing(sqlite3.connect(state)) as connection:
        [[remembered]] = connection.execute("SELECT length(memory) FROM shard")
        connection.execute("CREATE TABLE written (log TEXT)")
        connection.execute(
            "CREATE TRIGGER seen AFTER INSERT ON trace BEGIN INSERT INTO written VALUES (new.log); END"
        )
        connection.commit()
    assert remembered < 2_000
    with logs[2].open("ab") as file:
        file.writelines(requests(600, 1, USUAL_S))
    watched(core, state, logs)
    with closing(sqlite3.connect(state)) as connection:
        assert {log for [log] in connection.execute("SELECT log FROM written")} == {str(logs[2])}
    logs[1].unlink()
    watched(core, state, [logs[0], logs[2]])
    assert kept_in(state).keys() == {str(logs[0]), str(logs[2])}


def test_so_many_logs_are_remembered_and_a_quiet_one_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is judged once nothing has been under way in another for two minutes."""
    monkeypatch.setattr(hops_of_shard, "MAX_LOGS", 2)
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    core, state = judging(tmp_path, *logs), tmp_path / "state.db"
    for log, begin_s in zip(logs, (0, 200, 260), strict=True):
        log.write_bytes(b"".join(requests(begin_s, 50, USUAL_S)))
        watched(core, state, [log for log in logs if log.exists()])
        assert sum(size > 200 for size in kept_in(state).values()) <= 2
    kept = kept_in(state)
    assert str(logs[0]) not in kept
    assert kept[str(logs[2])] > 200
    logs[2].unlink()
    logs.pop()
    with logs[0].open("ab") as file:
        file.writelines(requests(400, 50, USUAL_S))
    with logs[1].open("ab") as file:
        file.writelines(requests(300, 50, USUAL_S))
    watched(core, state, logs)
    assert all(size > 200 for size in kept_in(state).values())
