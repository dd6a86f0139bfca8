"""The commands beside `fit`, through the real command line: parse, evaluate, inspect and export."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from detector.bundle import load
from detector.errors import BadSetup
from tests.session_log import OPTIONS, QUICK, write_log
from training.evaluate.evaluate import read_labels


def tailrace(
    program: str, *arguments: str | Path, code: int = 0, piped: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command that must end with this code."""
    command = [sys.executable, "-m", f"{program}.cli.__main__", *map(str, arguments)]
    done = subprocess.run(command, input=piped, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def rows(text: str) -> list[dict[str, Any]]:
    """JSON objects, one a line."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def folder(jobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, what it was fitted on, and a log with labels."""
    where = shutil.copytree(jobs, tmp_path_factory.mktemp("commands") / "jobs")
    truth = write_log(where / "new.log", jobs=42, broken_every=8, seed=8)
    labels = "".join(f"{name},{'Anomaly' if bad else 'normal'}\n" for name, bad in truth.items())
    (where / "labels.csv").write_text(f"job,what\n{labels}other,1\n", encoding="utf-8")
    return where


def evaluate(folder: Path, *arguments: str | Path, labels: str = "labels.csv") -> Sequence[str | Path]:
    """A command line of `evaluate`."""
    return (
        "evaluate",
        folder / "new.log",
        "--bundle",
        folder / "bundle",
        "--labels",
        folder / labels,
        *arguments,
    )


def test_evaluate_compares_with_the_simple_detectors(folder: Path) -> None:
    """Ours comes first and finds all; the others are judged on the same 42 sources."""
    done = tailrace(
        "training",
        *evaluate(
            folder, "--train", folder / "normal.log", "--format", "json", "--prevalence", "0.03", *OPTIONS
        ),
    )
    found = rows(done.stdout)
    assert found[0]["detector"] == "tailrace"
    assert len(found) == 8
    assert {(row["normal"], row["anomalous"]) for row in found} == {(37, 5)}
    assert (found[0]["f1"], found[0]["recall"], found[0]["matthews"]) == (1.0, 1.0, 1.0)
    assert found[0]["f1_at_prevalence"] == 1.0
    assert found[0]["false_positive_rate_low"] == 0 < found[0]["false_positive_rate_high"] < 0.12
    assert "42 of 42 sources with a label; 1 label without a source" in done.stderr


def test_evaluate_prints_a_table_for_people(folder: Path) -> None:
    """Without training logs there is one row, ours."""
    text = tailrace("training", *evaluate(folder)).stdout
    assert [line.split()[0] for line in text.splitlines()] == ["detector", "tailrace", "37"]


def test_labels_are_words_in_any_case(tmp_path: Path) -> None:
    """A header is optional and blank lines count for nothing."""
    (tmp_path / "l.csv").write_text("a,ANOMALOUS\n\nb,False\nc,1\nd, abnormal\n", encoding="utf-8")
    assert read_labels(tmp_path / "l.csv") == {"a": True, "b": False, "c": True, "d": True}


def test_an_odd_label_is_named_with_its_line(tmp_path: Path) -> None:
    """Only the first line may be a header."""
    (tmp_path / "l.csv").write_text("source,label\na,normal\nb,perhaps\n", encoding="utf-8")
    with pytest.raises(BadSetup, match=r"l\.csv:3: 'b,perhaps'"):
        read_labels(tmp_path / "l.csv")


def test_labels_of_other_sources_are_refused(folder: Path, tmp_path: Path) -> None:
    """Where no label fits, the message shows what a source is called."""
    (tmp_path / "labels.csv").write_text("x,1\n", encoding="utf-8")
    words = evaluate(folder)[:-1]
    done = tailrace("training", *words, tmp_path / "labels.csv", code=2)
    assert "no label names a source that was read, such as 'j8x" in done.stderr


def test_parse_prints_the_rows_of_tailrace_parse(folder: Path) -> None:
    """Templates learnt from the same lines give the same rows, in the order of the lines."""
    learnt = rows(tailrace("training", "parse", folder / "normal.log", *OPTIONS).stdout)
    served = rows(tailrace("detector", "parse", folder / "normal.log", "--bundle", folder / "bundle").stdout)
    assert learnt == served
    assert [int(row["position"]) for row in learnt] == sorted(int(row["position"]) for row in learnt)
    assert len(learnt) == len((folder / "normal.log").read_text().splitlines())
    assert len({row["template_id"] for row in learnt}) == 5


def test_parse_counts_what_it_cannot_read_and_shows_the_first(folder: Path, tmp_path: Path) -> None:
    """However many there are; both commands say it alike."""
    log = tmp_path / "new.log"
    log.write_bytes(
        b"x" * 2_000_000 + b"\n" + (folder / "normal.log").read_bytes() + (b"y" * 1_100_000 + b"\n") * 8
    )
    for words in (
        ["training", "parse", log, *OPTIONS],
        ["detector", "parse", log, "--bundle", folder / "bundle"],
    ):
        done = tailrace(*map(str, words))
        said = done.stderr.splitlines()
        first = next(line for line in said if line.startswith(f"{log}:0: "))
        assert sum(line.startswith(f"{log}:") for line in said) == 5
        assert said[-1] == f"warning: 9 records could not be read; the first: {first}"
        assert len(rows(done.stdout)) == len((folder / "normal.log").read_bytes().splitlines())


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_parse_reads_standard_input_as_a_file(folder: Path, name: str) -> None:
    """It is read twice, as a file is, and gives the same rows."""
    expected = tailrace("training", "parse", folder / "normal.log", *OPTIONS).stdout
    piped = (folder / "normal.log").read_text(encoding="utf-8")
    assert tailrace("training", "parse", name, *OPTIONS, piped=piped).stdout == expected


def test_fit_learns_the_same_from_standard_input(folder: Path, tmp_path: Path) -> None:
    """Every pass reads it from its beginning."""
    piped = (folder / "normal.log").read_text(encoding="utf-8")
    tailrace("training", "fit", "-", *OPTIONS, *QUICK, "--out", tmp_path / "bundle", piped=piped)
    for file in ("model.onnx", "ending.onnx", "templates.json", "calibration.json"):
        assert (tmp_path / "bundle" / file).read_bytes() == (folder / "bundle" / file).read_bytes()


def test_evaluate_reads_standard_input_as_a_file(folder: Path) -> None:
    """Also where the simple detectors read it once more."""
    words = [*evaluate(folder, "--train", folder / "normal.log", "--format", "json", *OPTIONS)]
    expected = tailrace("training", *words).stdout
    words[1] = "-"
    piped = (folder / "new.log").read_text(encoding="utf-8")
    assert tailrace("training", *words, piped=piped).stdout == expected


def test_a_pipe_with_a_name_is_refused(tmp_path: Path) -> None:
    """It can be read once; the message says that standard input can stand for it."""
    os.mkfifo(tmp_path / "pipe")
    done = tailrace("training", "parse", tmp_path / "pipe", code=2)
    assert "give it as standard input, -" in done.stderr


def test_inspect_says_what_a_bundle_holds(folder: Path) -> None:
    """Data, templates with their ids, and a threshold for every budget."""
    [found] = rows(tailrace("training", "inspect", folder / "bundle", "--format", "json").stdout)
    assert found["bundle"] == load(folder / "bundle").id
    assert (found["data"]["sources"], len(found["templates"])) == (100, 5)
    thresholds = [row["threshold"] for row in found["budgets"]]
    assert thresholds == sorted(thresholds, reverse=True)
    text = tailrace("training", "inspect", "--bundle", folder / "bundle").stdout
    assert found["templates"][0]["id"] in text
    assert "per 10,000 sessions" in text


def test_export_writes_the_graph_again_where_it_differs(folder: Path, tmp_path: Path) -> None:
    """An altered network gives another graph, and the bundle still loads; the second time nothing changes."""
    bundle = folder / "bundle"
    assert "up to date" in tailrace("training", "export", bundle).stdout
    network = bundle / "training" / "model.pt"
    kept, before = network.read_bytes(), load(bundle).id
    saved = torch.load(network, weights_only=True)
    saved["weights"]["output.bias"] += 0.1 * torch.arange(len(saved["weights"]["output.bias"]))
    torch.save(saved, network)
    assert "wrote" in tailrace("training", "export", "--bundle", bundle).stdout
    assert load(bundle).id != before
    network.write_bytes(kept)
    assert "wrote" in tailrace("training", "export", bundle).stdout
    assert load(bundle).id == before
    assert "no saved network" in _without_network(bundle, tmp_path)


def _without_network(bundle: Path, other: Path) -> str:
    """What `export` says of a bundle that was copied without its training folder."""
    for file in bundle.iterdir():
        if file.is_file():
            (other / file.name).write_bytes(file.read_bytes())
    return tailrace("training", "export", other, code=2).stderr


@pytest.mark.parametrize("command", ["inspect", "export"])
def test_a_bundle_must_be_named_once(command: str) -> None:
    """None, or both ways at once, is a usage error that shows both ways."""
    assert "--bundle DIR" in tailrace("training", command, code=2).stderr
    assert "--bundle DIR" in tailrace("training", command, "a", "--bundle", "b", code=2).stderr


@pytest.mark.parametrize("command", ["fit", "parse", "evaluate", "inspect", "export"])
def test_help_is_quick_and_shows_an_example(command: str) -> None:
    """Nothing heavy is imported for it."""
    code = (
        "import sys\nfrom training.cli.__main__ import app\n"
        f"app(['{command}', '--help'], result_action='return_value')\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'drain3', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Example: tailrace-train {command}" in done.stdout
