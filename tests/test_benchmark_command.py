"""`tailrace-train benchmark` from description files to the table, on small data of our own."""

import json
from pathlib import Path
from typing import Any

import pytest

from detector.bundle import SessionCalibration, load
from detector.cli.run import run
from tests.small_sets import JOBS, SEQUENCES, STREAM, describe, write_jobs, write_sequences, write_stream
from training.benchmark.detectors.ablated import TERMS
from training.calibrate.calibrate import NEUTRAL
from training.cli.__main__ import app

QUICK = ("--seeds", "1", "--epochs", "1", "--hidden", "8", "--device", "cpu")


def bench(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> tuple[list[Any], str]:
    """Run the command in this process; gives the rows that it printed, and what it said."""
    assert run(app, ["benchmark", *map(str, arguments)]) == code
    said = capsys.readouterr()
    return [json.loads(line) for line in said.out.splitlines() if line.startswith("{")], said.err


def test_sequences_from_end_to_end_and_again_without_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time everything is there already, and the table is the same."""
    write_sequences(tmp_path)
    mine = describe(tmp_path, "mine", SEQUENCES)
    asked = (mine, "--data", tmp_path, "--out", tmp_path / "out", *QUICK)
    rows, said = bench(capsys, *asked, "--variants", "plain", "lost", "--detectors", "tailrace", "simple")
    assert said.count("seed 0") == 4
    ours = [row for row in rows if row["detector"] == "tailrace" and row["variant"] == "plain"]
    assert [row["budget"] for row in ours] == [2, 5, 10]
    assert all(0.9 < row["recall"] <= 1 and row["normals"] == 65 for row in ours)
    assert {row["detector"] for row in rows} > {"new event", "new 2-gram", "edit distance", "length"}
    again, said = bench(capsys, *asked, "--variants", "plain", "lost", "--detectors", "tailrace", "simple")
    assert said == ""
    assert again == rows
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    assert table["rows"] == rows
    page = (tmp_path / "out" / "table.html").read_text()
    assert page.count("<svg") == 2
    assert "Small sequences" in page
    assert "<script" not in page


def test_each_term_of_the_score_is_left_out_in_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one fit: nothing is rare in what is left out, the rest is as it was, the threshold is its own."""
    write_sequences(tmp_path)
    mine = describe(tmp_path, "mine", SEQUENCES)
    asked = (mine, "--data", tmp_path, "--out", tmp_path / "out", *QUICK)
    rows, _ = bench(capsys, *asked, "--variants", "plain", "--detectors", "tailrace", "ablations")
    whole, *others = [row for row in rows if row["budget"] == 5]
    assert [row["detector"] for row in others] == [f"tailrace without {term}" for term in TERMS]
    assert {row["train_cpu_s"] for row in others} == {whole["train_cpu_s"]}
    gru = tmp_path / "out" / "bundles" / "mine" / "seed-0" / "gru"
    before = of_sessions(gru)
    for term, tails in TERMS.items():
        after = of_sessions(gru.with_name(f"gru-without-{term.replace(' ', '-')}"))
        for name in ("order", "density", "density_max", "distance", "pair"):
            assert getattr(after, name) == (NEUTRAL if name in tails else getattr(before, name))
        assert 0 < after.totals[0] < before.totals[0]
    assert NEUTRAL.z(1e9) == 0


def of_sessions(bundle: Path) -> SessionCalibration:
    """A bundle's calibration for sessions."""
    found = load(bundle).calibration.session
    assert found is not None
    return found


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is missing, broken or of other options is measured."""
    write_sequences(tmp_path)
    mine = describe(tmp_path, "mine", SEQUENCES)
    asked = (mine, "--data", tmp_path, "--out", tmp_path / "out", "--detectors", "simple", *QUICK)
    rows, _ = bench(capsys, *asked, "--variants", "plain", "swapped")
    [result] = (tmp_path / "out" / "results" / "mine" / "swapped").rglob("*.json")
    result.write_text(result.read_text()[:500])
    again, said = bench(capsys, *asked, "--variants", "plain", "swapped")
    assert said.splitlines() == ["mine: reading", "mine: swapped, seed 0, simple"]
    assert [row["f1"] for row in again] == [row["f1"] for row in rows]
    _, said = bench(capsys, *asked, "--variants", "plain", "--budgets", "3")
    assert "plain, seed 0, simple" in said
    data = tmp_path / "small" / "anomalous.csv"
    data.write_text(data.read_text().replace("9", "8"))  # as long as before
    _, said = bench(capsys, *asked, "--variants", "plain")
    assert "plain, seed 0, simple" in said


def test_raw_lines_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The product's own parser reads them; broken jobs are found, and before their last line is over."""
    truth = write_jobs(tmp_path)
    mine = describe(tmp_path, "jobs", JOBS)
    rows, _ = bench(
        capsys, mine, "--data", tmp_path, "--out", tmp_path / "out", *QUICK,
        "--detectors", "tailrace", "simple", "--variants", "plain", "reworded",
    )  # fmt: skip
    ours = next(row for row in rows if row["detector"] == "tailrace" and row["budget"] == 10)
    assert ours["average_precision"] > 0.9
    assert ours["normals"] < len(truth)
    assert "per_day" in ours
    changed = next(row for row in rows if row["detector"] == "tailrace" and row["variant"] == "reworded")
    assert changed["unknown"] > 0.02 > ours["unknown"]


def test_a_stream_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three bursts of new ids are three incidents, found by whatever knows new events."""
    write_stream(tmp_path)
    mine = describe(tmp_path, "ids", STREAM)
    asked = (mine, "--data", tmp_path, "--out", tmp_path / "out", *QUICK)
    rows, _ = bench(capsys, *asked, "--detectors", "tailrace", "simple")
    shipped = {row["detector"]: row for row in rows if "budget" not in row and row["part"] == "all"}
    assert shipped["new event, once"]["incidents"] == 3
    assert shipped["new event, once"]["found"] == 1.0
    assert shipped["new event, once"]["outside_per_million"]["rate"] == 0
    assert shipped["tailrace"]["found"] == 1.0
    assert {row["part"] for row in rows} == {"all", "first half", "second half"}


def test_what_cannot_be_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad key, a bad budget and an unknown name exit 2; a data set that is not there is left out."""
    bad = describe(tmp_path, "bad", SEQUENCES.replace("folds = 2", "folds = 'two'"))
    _, said = bench(capsys, bad, "--data", tmp_path, code=2)
    assert "bad.toml" in said
    assert "split.folds" in said
    _, said = bench(capsys, "--data", tmp_path, "--budgets", "5,none", code=2)
    assert "--budgets 5,none" in said
    _, said = bench(capsys, "--data", tmp_path, "--only", "hdfs", "--out", tmp_path / "out", *QUICK)
    assert "hdfs: left out" in said
    assert "hdfs/labels.csv" in said
