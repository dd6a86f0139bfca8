"""A service that slows down the requests which pass through it is named, by lines that carry their ids."""

import gzip
import itertools
import json
import math
import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.bundle import HopCalibration, HopTimes, load, write
from detector.cli.__main__ import app
from detector.cli.run import run as run_command
from detector.embedded.watch import Bounds
from detector.pipeline import Batch
from detector.records import Alert, Line, Revision
from detector.shard.core import Core
from detector.shard.hops import Hops
from detector.shard.intake import Intake
from detector.stages.judge import hop_sums, hop_times
from detector.stages.judge.hop_state import MAX_WAITING, HopState, Waiting
from tests.recordings import FIXTURES, run
from tests.watching import core_of, opened, outcome_of, records_of, replayed
from training.calibrate import hops as training_hops
from training.calibrate.hops import HopLearner, needed_a_minute

REQUESTS = FIXTURES / "requests"
SECOND = 1_000_000
START_US = 1_700_000_000 * SECOND
TRACED = ("--trace-field", "trace_id")
QUICK = ("--epochs", "1", "--hidden", "8", "--device", "cpu")
NOTHING = HopCalibration(0, math.inf, {}, {})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the recorded services at work."""
    path = tmp_path_factory.mktemp("requests") / "bundle"
    run("training.cli", "fit", str(REQUESTS / "train"), "--out", str(path), *TRACED, *QUICK)
    return path


def text_of(recording: str) -> bytes:
    """The lines of a recording."""
    return gzip.decompress((REQUESTS / recording / "all.log.gz").read_bytes())


def batches(core: Core, sizes: Iterator[int], **logs: bytes) -> Iterator[Batch]:
    """The lines of some logs, as batches of these many lines in the order of their times."""
    intake = Intake(core.new_reader(), core.parser)
    feeds = {name: iter([records_of(Path(name), content)]) for name, content in logs.items()}
    for batch in intake.merged(feeds, 1_000_000):
        start = 0
        while start < len(batch.lines):
            taken = slice(start, start + next(sizes))
            start = taken.stop
            yield Batch(batch.lines[taken], batch.tokens[taken], batch.clocks[taken], batch.clock_us)


def judged(core: Core, cut: Iterator[Batch], *, reopened: bool) -> tuple[list[Revision], dict[str, bytes]]:
    """What is said of batches, and what is left to commit; each batch may be another process's."""
    hops, said = Hops(core, {}), list[Revision]()
    for batch in cut:
        said += hops.take(batch)
        hops = Hops(core, hops.encoded()) if reopened else hops
    return said, hops.encoded()


def slow_alerts(text: str) -> list[dict[str, Any]]:
    """The alerts on slow sources as they opened, in the JSON of `replay`."""
    found = [json.loads(line) for line in text.splitlines()]
    return [one for one in found if one.get("rule") == "slow" and one["revision"] == 1]


def replay(recording: str, bundle: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What the command says of a recording."""
    capsys.readouterr()
    words = ["replay", str(REQUESTS / recording), "--bundle", str(bundle), "--format", "json"]
    assert run_command(app, words) == 0
    return slow_alerts(capsys.readouterr().out)


def test_a_starved_service_is_named_and_normal_work_is_not(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first alert is on the process that was stopped again and again, and shows a step that was slow."""
    assert replay("normal", bundle, capsys) == []
    fault = json.loads((REQUESTS / "starved.json").read_text())
    first, *others = replay("starved", bundle, capsys)
    begin, end = (datetime.fromisoformat(fault[name]) for name in ("begin", "end"))
    assert first["source"] == fault["source"]
    assert begin <= datetime.fromisoformat(first["opened_at"]) <= end
    assert all(begin <= datetime.fromisoformat(one["opened_at"]) <= end for one in others)
    hop = first["hop"]
    assert fault["source"] in {hop["sender"], hop["receiver"]}
    assert hop["took_s"] > 3 * hop["usual_s"]
    log = text_of("starved")
    before, event = (json.loads(log[int(line["position"]) :].partition(b"\n")[0]) for line in first["lines"])
    assert [before["message"], event["message"]] == [line["text"] for line in first["lines"]]
    assert (before["service.name"], event["service.name"]) == (hop["sender"], hop["receiver"])
    assert {before["trace_id"], event["trace_id"]} == {hop["trace"]}


@pytest.mark.parametrize("seed", range(3))
def test_any_cut_gives_the_same_alerts_and_states(bundle: Path, seed: int) -> None:
    """Also where each batch is another process's, which knows what was committed alone."""
    rng = random.Random(seed)
    sys.stdout.write(f"seed {seed}\n")
    core, log = core_of(bundle), text_of("starved")
    whole = judged(core, batches(core, itertools.repeat(10**6), all=log), reopened=False)
    sizes = iter(lambda: rng.choice((1, 7, 300, 900)), 0)
    assert judged(core, batches(core, sizes, all=log), reopened=True) == whole
    assert whole[0]


def test_what_is_said_of_a_log_does_not_depend_on_others(bundle: Path) -> None:
    """Two logs whose lines come together give what each gives alone, though they share sources."""
    core = core_of(bundle)
    logs = {"a": text_of("starved"), "b": later(text_of("starved"), 5)}
    both, _ = judged(core, batches(core, itertools.repeat(500), **logs), reopened=False)
    alone = [
        said
        for name, log in logs.items()
        for said in judged(core, batches(core, itertools.repeat(10**6), **{name: log}), reopened=False)[0]
    ]
    assert sorted(map(msgspec.json.encode, both)) == sorted(map(msgspec.json.encode, alone))


def later(log: bytes, seconds: int) -> bytes:
    """A log with all times moved."""
    moved = []
    for line in log.splitlines():
        fields = json.loads(line)
        at = datetime.fromisoformat(fields["@timestamp"]) + timedelta(seconds=seconds)
        moved.append(json.dumps(fields | {"@timestamp": at.isoformat()}).encode() + b"\n")
    return b"".join(moved)


@pytest.mark.parametrize("seed", range(2))
def test_a_watch_that_dies_says_what_a_replay_says(bundle: Path, tmp_path: Path, seed: int) -> None:
    """Alerts and their last revisions, wherever batches end and the process dies."""
    rng = random.Random(seed)
    sys.stdout.write(f"seed {seed}\n")
    log, state = tmp_path / "all.log", tmp_path / "state.db"
    log.write_bytes(text_of("starved"))
    core = core_of(bundle, log)
    at_end = False
    while not at_end:
        with opened(core, state, [log], Bounds(max_lines=rng.choice((200, 700, 3_000)))) as watch:
            for _ in range(rng.randrange(1, 4)):
                at_end = watch.step(final=True).at_end
    found = outcome_of(state)
    expected = replayed(core, {str(log): iter([records_of(log, log.read_bytes())])})
    assert found.alerts == expected.alerts
    assert "slow" in {msgspec.json.decode(payload, type=Alert).rule for payload in found.alerts.values()}


def test_an_alert_is_over_by_time_alone_and_survives_a_new_bundle(bundle: Path) -> None:
    """Two minutes after the last slow step, at a tick; another bundle's tokens are no use, its alerts are."""
    core, log = core_of(bundle), text_of("starved")
    hops, said = Hops(core, {}), list[Revision]()
    for batch in batches(core, itertools.repeat(100), all=log):
        said += hops.take(batch)
        if said:
            break
    other = msgspec.structs.replace(core, bundle=msgspec.structs.replace(core.bundle, id="another"))
    hops = Hops(other, hops.encoded())
    now_us = batch.clocks[-1]
    assert hops.pass_time(now_us + 60 * SECOND) == []
    [over] = hops.pass_time(now_us + 180 * SECOND)
    alert = msgspec.json.decode(over.payload, type=Alert)
    assert (over.alert_id, over.revision, alert.status) == (
        said[0].alert_id,
        said[-1].revision + 1,
        "resolved",
    )
    assert hops.keep_only(()) == []


def test_a_watch_with_a_newer_bundle_resolves_what_the_older_one_opened(bundle: Path, tmp_path: Path) -> None:
    """It starts in the midst of the incident, and later comes normal work."""
    log, state, newer = tmp_path / "all.log", tmp_path / "state.db", tmp_path / "newer"
    older = load(bundle)
    files = {name: (bundle / name).read_bytes() for name in older.manifest.files}
    calibration = msgspec.structs.replace(older.calibration, budget=2.0)
    write(newer, older.manifest, files | {"calibration.json": msgspec.json.encode(calibration)})
    lines = text_of("starved").splitlines(keepends=True)
    middle = len(lines) * 3 // 5
    with log.open("wb") as file:
        for path, part in (
            (bundle, lines[:middle]),
            (newer, [*lines[middle:], later(text_of("starved"), 900)]),
        ):
            file.writelines(part)
            file.flush()
            with opened(core_of(path, log), state, [log]) as watch:
                while not watch.step(final=True).at_end:
                    pass
            found = [msgspec.json.decode(one, type=Alert) for one in outcome_of(state).alerts.values()]
            slow = sorted((one.opened_at or "", one.status) for one in found if one.rule == "slow")
            assert slow
            assert slow[0][1] == ("firing" if path == bundle else "resolved")


def test_alerts_of_a_log_that_is_gone_are_resolved(bundle: Path) -> None:
    """Nothing more is heard of its traces; a bundle that learnt of none ends what is firing, too."""
    core, log = core_of(bundle), text_of("starved")
    [batch] = batches(core, itertools.repeat(10**6), all=log)
    cut = next(at for at in itertools.count(500, 500) if Hops(core, {}).take(first_of(batch, at)))
    for deaf in (False, True):
        hops = Hops(core, {})
        opened_ = {one.alert_id for one in hops.take(first_of(batch, cut))}
        if deaf:
            calibration = msgspec.structs.replace(core.policy.calibration, hops=None)
            policy = msgspec.structs.replace(core.policy, calibration=calibration)
            resolved = Hops(msgspec.structs.replace(core, policy=policy), hops.encoded()).take(
                first_of(batch, 0)
            )
        else:
            resolved = hops.keep_only({"another"})
        assert {one.alert_id for one in resolved} == opened_
        assert hops.encoded() == {} or deaf


def first_of(batch: Batch, size: int) -> Batch:
    """The first lines of a batch."""
    return Batch(batch.lines[:size], batch.tokens[:size], batch.clocks[:size], batch.clock_us)


@pytest.mark.parametrize(
    ("freedom", "spreads", "share"), [(4, 2.132, 0.05), (10, 2.764, 0.01), (300, 3.1, 1e-3)]
)
def test_a_tail_is_that_of_students_t(freedom: float, spreads: float, share: float) -> None:
    """As the tables of the distribution have it."""
    assert math.exp(-hop_times.tail_nats(spreads, freedom)) == pytest.approx(share, rel=0.1)
    assert hop_times.tail_nats(0.0, freedom) == 0.0
    assert math.isfinite(hop_times.tail_nats(1e9, freedom))


def test_a_kind_of_hop_that_is_new_between_two_sources_is_judged_by_what_it_is_elsewhere() -> None:
    """A new replica is judged from its first request on; a pair of messages never seen anywhere is not."""
    state = HopState("log")
    quick = [hop(state, f"a{n % 3}", f"b{n % 3}", 0.005, n) for n in range(60)]
    assert quick[0] is None
    assert all(one is not None and one.nats == 0.0 for one in quick[1:])
    slow = hop(state, "a9", "b9", 5.0, 61)
    assert slow is not None
    assert slow.nats > 3.0
    assert slow.usual_s == pytest.approx(0.005, rel=0.2)


def hop(state: HopState, sender: str, receiver: str, took_s: float, number: int) -> hop_sums.Hop | None:
    """A request that goes from one source to another."""
    began_us = START_US + number * 10 * SECOND
    hop_sums.measured(state, waiting(sender, 2, began_us, f"t{number}"), NOTHING)
    came = waiting(receiver, 3, began_us + round(took_s * SECOND), f"t{number}")
    return hop_sums.measured(state, came, NOTHING)


def waiting(source: str, token: int, time_us: int, trace: str) -> Waiting:
    """A line whose turn it is."""
    return Waiting(time_us, 0, -1, trace, source, token, "", "0", b"")


def test_an_incident_does_not_become_usual_soon() -> None:
    """Fifty slow requests in a row are all unlikely; a lasting change is learnt in the end."""
    state = HopState("log")
    for number in range(300):
        hop(state, "a", "b", 0.005, number)
    slow = [hop(state, "a", "b", 1.0, 300 + number) for number in range(2_000)]
    assert all(one is not None and one.nats > 3.0 for one in slow[:10])
    last = slow[-1]
    assert last is not None
    assert last.nats == 0.0


def test_a_line_that_is_late_in_its_trace_is_left_out() -> None:
    """What it was before cannot be told; the trace goes on from its newest line."""
    state = HopState("log")
    for source, later_us in (("a", 0), ("b", -SECOND), ("a", 10)):
        assert hop_sums.measured(state, waiting(source, 2, START_US + later_us, "t"), NOTHING) is None
    assert state.times == {}
    assert state.traces["t"].time_us == START_US + 10


def line_at(time_us: int | None, offset: int) -> Line:
    """A line of a trace."""
    return Line("log", offset, -1, "a", time_us, "", b"", b"", False, "", "t")


def test_lines_take_turns_by_their_times() -> None:
    """Within a second of their log's clock; one that is very late is left out, as is one without a time."""
    state, turns = HopState("log"), list[int]()
    times: list[int | None] = [
        0,
        900_000,
        300_000,
        600_000,
        1_400_000,
        None,
        2_500_000,
        -70 * SECOND,
        4_000_000,
    ]
    clock_us = 0
    for offset, at_us in enumerate(times):
        time_us = None if at_us is None else START_US + at_us
        turns += [one.offset for one in hop_sums.in_order(state, line_at(time_us, offset), 2, clock_us)]
        clock_us = max(clock_us, time_us or 0)
    assert turns == [0, 2, 3, 1, 4, 6]
    assert [one.offset for one in state.waiting] == [8]


def test_lines_that_wait_for_a_time_that_is_taken_back_are_dropped() -> None:
    """And however many come at once, so many wait and no more."""
    state = HopState("log")
    hop_sums.in_order(state, line_at(START_US + 7_200 * SECOND, 0), 2, 0)
    hop_sums.in_order(state, line_at(START_US, 1), 2, START_US)
    assert [one.offset for one in state.waiting] == [1]
    for offset in range(2, MAX_WAITING + 50):
        hop_sums.in_order(state, line_at(START_US, offset), 2, START_US)
    assert [one.offset for one in state.waiting] == list(range(50, MAX_WAITING + 50))


def test_an_id_that_is_of_no_request_teaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id with very many lines is that of a user or a tenant: how often they come is nobody's slowness."""
    monkeypatch.setattr(hop_sums, "MOST_LINES", 4)
    state = HopState("log")
    for number in range(20):
        one = waiting("ab"[number % 2], 2, START_US + number * SECOND, "tenant")
        hop_sums.measured(state, one, NOTHING)
    assert sorted(times.hops for times in state.times.values()) == [1.0, 2.0, 3.0]


def test_a_log_of_one_source_is_not_remembered(bundle: Path) -> None:
    """Its requests go nowhere that it would show, and there may be thousands of such logs."""
    core = core_of(bundle)
    alone = b"".join(line for line in text_of("normal").splitlines(keepends=True) if b'"orders"' in line)
    said, left = judged(core, batches(core, itertools.repeat(500), all=alone), reopened=False)
    assert said == []
    assert len(left["all"]) < 100


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces, kinds of hops and sources: those unseen for longest are forgotten."""
    for name in ("MAX_TRACES", "MAX_TIMES", "MAX_SOURCES"):
        monkeypatch.setattr(hop_sums, name, 5)
    state = HopState("log")
    for number in range(100):
        hop(state, f"a{number}", f"b{number}", 0.01, number)
        hop_sums.add(state, f"a{number}", 1.0, NOTHING)
        assert max(len(state.traces), len(state.times), len(state.sources)) <= 5
    assert list(state.sources) == [f"a{number}" for number in range(95, 100)]


def test_a_clock_that_is_set_back_begins_anew() -> None:
    """No sum and no trace of times that are yet to come holds the rule up."""
    state = HopState("log")
    hop(state, "a", "b", 0.01, 1_000)
    hop_sums.add(state, "a", 100.0, NOTHING)
    state.now_us -= 5_000 * SECOND
    slow = hop_sums.add(state, "a", 10.0, NOTHING)
    assert slow.nats == pytest.approx(9.0, abs=0.6)
    assert slow.at_us == state.now_us


def test_what_training_knew_is_changed_in_a_copy() -> None:
    """The bundle stays as it was read: other logs begin from it too."""
    learnt = HopCalibration(0, math.inf, {7: HopTimes(10.0, 1.0, 0.5)}, {})
    state = HopState("log")
    times = hop_sums.times_of(state, 7, learnt)
    times.mean = 2.0
    assert learnt.times[7].mean == 1.0
    assert hop_sums.times_of(state, 7, learnt).mean == 2.0


def learner_of(steps_s: list[float]) -> HopLearner:
    """What is learnt of requests from one source to another that take so long, one every two seconds."""
    learner = HopLearner()
    for number, took_s in enumerate(steps_s):
        began_us = START_US + 2 * number * SECOND
        lines = [
            Line("log", 2 * number + n, -1, source, time_us, "", b"", b"", False, "", f"t{number}")
            for n, (source, time_us) in enumerate((("a", began_us), ("b", began_us + round(took_s * SECOND))))
        ]
        learner.take(Batch(lines, [2, 3], [began_us - SECOND, began_us], None))
    return learner


def test_a_limit_is_beyond_what_training_showed() -> None:
    """Usual work leaves it where it is at least; an incident raises it, unless its share is declared."""
    usual = [0.01 * (1 + n % 7 / 10) for n in range(900)]
    incident = [*usual[:600], *([1.0] * 30), *usual[600:]]
    quiet, raised = learner_of(usual).learnt(0.0), learner_of(incident).learnt(0.0)
    declared = learner_of(incident).learnt(0.1)
    assert quiet is not None
    assert raised is not None
    assert declared is not None
    assert quiet.limit_nats == declared.limit_nats == 40.0
    assert raised.limit_nats > 100.0
    assert quiet.hops == quiet.usual["a"].hops == 898  # the last request's lines still wait


def test_training_remembers_no_more_of_a_year_than_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the sums that would raise the limit, and so many of them; the least then counts for the rest."""
    learner = learner_of([0.01] * 3_000)
    assert max(len(part) for part in vars(learner).values() if isinstance(part, list | dict)) < 5
    loud = [0.01] * 600 + ([1.0] * 15 + [0.01] * 600) * 4
    monkeypatch.setattr(training_hops, "MOST_LOUD", 3)
    learner = learner_of(loud)
    most, least = learner.learnt(0.0), learner.learnt(0.9)
    assert max(len(part) for part in vars(learner).values() if isinstance(part, list | dict)) <= 3
    assert most is not None
    assert least is not None
    assert most.limit_nats >= least.limit_nats > 40.0


def test_too_few_requests_teach_nothing() -> None:
    """A log in which hardly any line goes on elsewhere says nothing of how long that takes."""
    assert learner_of([0.01] * 150).learnt(0.0) is None


def test_it_is_said_how_many_slow_steps_a_minute_it_takes() -> None:
    """As many as add up to the limit; where no source has them, slow ones may never alert."""
    often = learner_of([0.01] * 600).pace(40.0)
    assert 4.0 < often.needed < 5.0
    assert often.most == pytest.approx(30.0, rel=0.1)
    assert (often.enough, often.sources) == (2, 2)
    assert learner_of([0.01] * 600).pace(160.0).needed > often.needed
    assert math.isinf(needed_a_minute(1_000.0))
    assert learner_of([0.01] * 600).pace(1_000.0).enough == 0
