"""`fit --second-reader`, end to end: sessions in the wrong order alert, and the lines at fault are marked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from detector.bundle import load
from tests.session_log import OPTIONS, QUICK, write_log
from tests.test_train_commands import tailrace

EVERY = 6  # sessions of which one has two steps in the wrong order


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a second reader, what `fit` said, and a log of other normal jobs."""
    where = tmp_path_factory.mktemp("second")
    write_log(where / "normal.log", jobs=100)
    fitted = ("fit", where / "normal.log", "--out", where / "bundle", "--second-reader", *OPTIONS, *QUICK)
    (where / "said").write_text(tailrace("training", *fitted).stdout, encoding="utf-8")
    write_log(where / "new.log", jobs=48, seed=8)
    return where


def wrong_order(log: Path) -> dict[str, set[str]]:
    """Let one job of so many write its last rows before it checks them; positions of both lines by job."""
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    of_job: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        of_job.setdefault(line.split("job=")[1].split()[0], []).append(number)
    chosen = {job: at[-3:-1] for job, at in list(of_job.items())[::EVERY]}
    for job, (checked, wrote) in chosen.items():
        (head, one), (tail, other) = (lines[at].split(f"{job} ", 1) for at in (checked, wrote))
        assert one.startswith("checked")
        assert other.startswith("wrote")
        lines[checked], lines[wrote] = f"{head}{job} {other}", f"{tail}{job} {one}"
    log.write_text("".join(lines), encoding="utf-8")
    starts = [sum(map(len, lines[:at])) for at in range(len(lines))]
    return {job: {str(starts[at]) for at in places} for job, places in chosen.items()}


def alerts_of(log: Path, bundle: Path) -> list[dict[str, Any]]:
    """What a replay opens."""
    said = tailrace("detector", "replay", log, "--bundle", bundle, "--format", "json").stdout
    found = [json.loads(line) for line in said.splitlines()]
    return [one for one in found if one["schema"] == "tailrace.alert/1" and one["revision"] == 1]


def test_steps_in_the_wrong_order_alert_and_are_marked(folder: Path, tmp_path: Path) -> None:
    """Each session that was read again names what attention pointed at: a line that changed places."""
    log = tmp_path / "new.log"
    shutil.copy(folder / "new.log", log)
    wrong = wrong_order(log)
    found = alerts_of(log, folder / "bundle")
    assert {alert["source"] for alert in found} == set(wrong)
    read = [alert for alert in found if "reading" in alert]
    assert len(read) >= len(wrong) / 2
    for alert in read:
        marked = {line["position"]: line["weight"] for line in alert["lines"] if "weight" in line}
        assert max(marked, key=marked.__getitem__) in wrong[alert["source"]]


def test_normal_sessions_stay_below_the_threshold(folder: Path) -> None:
    """With the second reader as without."""
    assert alerts_of(folder / "new.log", folder / "bundle") == []


def test_the_gain_is_said_and_reported(folder: Path) -> None:
    """What the bundle holds, what `fit` says at its end, and a table in the report."""
    bundle = load(folder / "bundle")
    assert bundle.reader is not None
    assert {"reader.onnx", "reader.json"} <= bundle.manifest.files.keys()
    assert "alert with the second reader" in (folder / "said").read_text(encoding="utf-8")
    assert "The second reader" in (folder / "bundle" / "report.html").read_text(encoding="utf-8")


def test_only_sessions_can_be_read_again(folder: Path, tmp_path: Path) -> None:
    """A source that does not end is never closed."""
    done = tailrace(
        "training", "fit", folder / "normal.log", "--out", tmp_path, "--second-reader", *QUICK, code=2
    )
    assert "give --session" in done.stderr
