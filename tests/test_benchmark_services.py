"""Alerts held against injected faults and counted by run, small enough to check by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from detector.cli.run import run
from detector.errors import BadSetup
from tests.recordings import FIXTURES
from tests.small_sets import describe
from training.benchmark.data.description import FaultFile, Runs, read_description
from training.benchmark.data.faults import faults_of
from training.benchmark.data.ordered import ordered
from training.benchmark.measures.notices import Fault, Log, Notice, fault_point, run_point
from training.cli.__main__ import app

RUNS = """
title = "Runs"
kind = "runs"
normal = ["good_*"]
faulty = ["bad_*"]
"""
RECORDED = """
title = "A disk that runs full"
kind = "faults"
normal = ["redis/normal-b/master.log.gz"]
logs = ["redis/disk-full/master.log.gz"]
faults = { file = "redis/disk-full.json", time = "begin", source = "source", type = "fault" }
window_s = 3600.0
"""
LOG = Log(0.0, 7_200.0, np.arange(0.0, 7_200.0))
FAULTS = [Fault(1_000.0, "cart", "delay"), Fault(2_000.0, "pay", "cpu"), Fault(9_000.0, "pay", "cpu")]


def test_faults_are_found_and_named_within_their_window() -> None:
    """The cart is named second but strongest, by its pod; nobody sees the other; one alert is false."""
    notices = [
        Notice(1_010.0, "pay-1", 1.0),
        Notice(1_020.0, "cart-7f", 3.0),
        Notice(1_999.0, "cart-7f", 9.0, "silence"),
    ]
    point = fault_point(None, FAULTS, notices, LOG, 300.0)
    assert (point.faults, point.found, point.named) == (2, 1, 1)
    assert (point.named_first, point.named_strongest) == (0, 1)
    assert point.by_type == {"cpu": (1, 0, 0), "delay": (1, 1, 1)}
    assert (point.alerts, point.false) == (3, 1)
    assert point.by_rule == {"silence": (1, 1)}
    assert point.alerts_per_hour == pytest.approx(1.5)
    assert point.false_per_hour.rate == pytest.approx(3_600 / (7_200 - 600))
    assert (point.seconds_to_detection, point.lines_to_detection) == (20.0, 20.0)


def test_windows_that_overlap_are_taken_off_once() -> None:
    """The time outside faults is what false alerts are counted by."""
    close = [Fault(1_000.0, "a", "x"), Fault(1_100.0, "b", "x")]
    point = fault_point(None, close, [Notice(0.0, "a", 1.0)], LOG, 300.0)
    assert point.false_per_hour.rate == pytest.approx(3_600 / (7_200 - 400))


def test_runs_are_told_apart_by_alerts_a_line() -> None:
    """More alerts in a longer normal run are no more a line."""
    lines = {"good": 10_000, "bad": 1_000}
    apart = run_point(5.0, {"good": 4, "bad": 3}, lines, lambda run: run == "bad")
    assert apart.separated
    assert (apart.normal_per_10000.rate, apart.faulty_per_10000.rate) == pytest.approx((4.0, 30.0))
    assert not run_point(5.0, {"good": 40, "bad": 3}, lines, lambda run: run == "bad").separated


def test_faults_are_read_from_json_at_any_depth_and_from_csv(tmp_path: Path) -> None:
    """Times without a zone are in UTC; seconds since 1970 are times too; a shift is added."""
    entry = {"at": "1970-01-01 00:01:00", "pod": "cart", "what": "delay"}
    (tmp_path / "faults.json").write_text(json.dumps({"12": [entry], "13": [{"note": "none"}]}))
    (tmp_path / "faults.csv").write_text("pod,at,what\npay,30,cpu\n")
    nested = FaultFile(file="faults.json", time="at", source="pod", type="what")
    assert faults_of(nested, tmp_path) == [Fault(60.0, "cart", "delay")]
    shifted = FaultFile(file="faults.csv", time="at", source="pod", type="what", shift_s=-10.0)
    assert faults_of(shifted, tmp_path) == [Fault(20.0, "pay", "cpu")]
    with pytest.raises(BadSetup, match=r"faults\.csv: no entry has the keys.*when"):
        faults_of(FaultFile(file="faults.csv", time="when", source="pod", type="what"), tmp_path)


def test_exports_are_put_in_the_order_of_time(tmp_path: Path) -> None:
    """By a field, also within another; a line without it is named."""
    lines = [{"t": {"at": "2"}, "n": 1}, {"t": {"at": "1"}, "n": 2}, {"t": {"at": "2"}, "n": 3}]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    out = Path(ordered([str(path)], "t.at", tmp_path / "work" / "out.log"))
    assert [json.loads(line)["n"] for line in out.read_text().splitlines()] == [2, 1, 3]
    path.write_text('{"x": 1}\n')
    with pytest.raises(BadSetup, match=r"log\.jsonl: order_by.*'t\.at'"):
        ordered([str(path)], "t.at", out)


def test_runs_are_folders(tmp_path: Path) -> None:
    """Their description needs no more than that."""
    assert isinstance(read_description(describe(tmp_path, "runs", RUNS)).description, Runs)


def test_recorded_faults_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk of a recorded Redis is found, and its own source is named."""
    where = describe(tmp_path, "disk", RECORDED)
    asked = ("--data", str(FIXTURES), "--out", str(tmp_path / "out"), "--seeds", "1", "--epochs", "1")
    detectors = ("--detectors", "tailrace", "simple", "--budgets", "5", "--hidden", "8", "--device", "cpu")
    assert run(app, ["benchmark", str(where), *asked, *detectors]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    shipped = {row["detector"]: row for row in rows if "budget" not in row}
    assert {"tailrace", "new event, once a source", "new 2-gram, once a source"} == shipped.keys()
    for row in shipped.values():
        assert (row["faults"], row["found"], row["named"]) == (1, 1, 1)
        assert row["by_type"] == {"disk full": [1, 1, 1]}
        assert row["seconds_to_detection"] < 3_600


def test_recorded_runs_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run with the fault has more alerts a line than the normal one that was held out."""
    where = describe(
        tmp_path, "runs", RUNS.replace("good_*", "redis/normal-*").replace("bad_*", "redis/disk-full")
    )
    asked = ("--data", str(FIXTURES), "--out", str(tmp_path / "out"), "--seeds", "1", "--budgets", "5")
    assert run(app, ["benchmark", str(where), *asked, "--detectors", "simple"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = next(row for row in rows if row["detector"] == "new event, once a source")
    assert events["separated"] == 1
    assert events["alerts"][0].keys() == {"redis/normal-a", "redis/disk-full"}
