"""`tailrace replay` as people run it: where it writes, and what it says at its end."""

import gzip
import json
import random
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from detector.bundle import load, write
from detector.cli.__main__ import app
from detector.cli.run import run
from detector.cli.spool import Spool
from detector.records import Revision
from tests.small_bundle import log_line, small_bundle
from tests.unprivileged import open_folder, unprivileged
from tests.watching import START_S, lines_of


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line that replays 300 lines of long-lived sources."""
    small_bundle(tmp_path / "bundle", session=False)
    (tmp_path / "app.log").write_bytes(b"".join(lines_of(7, 300)))
    return ["replay", str(tmp_path / "app.log"), "--bundle", str(tmp_path / "bundle")]


@pytest.mark.parametrize("option", ["--scores", "--rejects"])
def test_an_output_in_a_folder_that_is_not_there_is_refused(
    words: list[str], tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt folder is said before hours of work; nothing is created."""
    file = tmp_path / "ot" / "rows.csv"
    assert run(app, [*words, option, str(file)]) == 2
    told = f"tailrace: {option} {file}: there is no folder {file.parent}; create it or correct the path\n"
    assert capsys.readouterr() == ("", told)
    assert not file.parent.exists()
    file.parent.mkdir()
    assert run(app, [*words, option, str(file)]) == 0
    assert file.exists()


def test_an_output_that_may_not_be_written_is_the_same_error_for_every_option(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The scores, the rejects and the state of a watch: exit 2, and the file is named."""
    with open_folder() as folder:
        shutil.copytree(words[3], folder / "bundle")
        log = folder / "app.log"
        log.write_bytes(Path(words[1]).read_bytes())
        common = [str(log), "--bundle", str(folder / "bundle")]
        file = str(folder / "file.csv")
        # What the commands import may lie where nobody may read.
        assert run(app, ["watch", *common, "--once", "--state", f"{words[3]}.db"]) == 0
        assert run(app, ["replay", *common, "--scores", f"{words[3]}.csv"]) == 0
        capsys.readouterr()
        with unprivileged():
            codes = [
                run(app, ["replay", *common, "--scores", file]),
                run(app, ["replay", *common, "--rejects", file]),
                run(app, ["watch", *common, "--once", "--state", file]),
            ]
        assert codes == [2, 2, 2]
        said = capsys.readouterr().err.splitlines()
        assert [line.startswith(f"tailrace: {file} cannot be ") for line in said] == [True] * 3


def test_a_clock_that_jumps_back_is_named_where_no_days_can_be_counted(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The budget allows nothing there, which would else look like a measurement."""
    days = [START_S + (at if at < 100 else at - 86_400.0) for at in range(200)]
    Path(words[1]).write_bytes(b"".join(log_line(at_s, "web-a", 1, job=1) for at_s in days))
    assert run(app, words) == 0
    assert "allows 0 in this input: the last time is not after the first" in capsys.readouterr().out


def test_the_last_lines_tell_what_was_found_from_what_was_asked_for(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The budget is what somebody asked for, and is not taken for a measurement."""
    assert run(app, [*words, "--budget", "2"]) == 0
    counts, budget = capsys.readouterr().out.splitlines()[-2:]
    assert counts.startswith("300 lines, 300 events, 3 sources, 0 rejects: ")
    assert budget.startswith("budget: at most 2 false alerts a day, which allows 0.")
    assert budget.endswith(" in this input")


@pytest.mark.parametrize("trained", [True, False])
def test_new_messages_alert_as_the_configuration_says_whatever_the_bundle_does(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: bool
) -> None:
    """What training decided can be turned round; while nobody says anything, it holds."""
    bundle = load(Path(words[3]))
    calibration = msgspec.structs.replace(bundle.calibration, new_template_alerts=trained)
    kept = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    write(bundle.path, bundle.manifest, kept | {"calibration.json": msgspec.json.encode(calibration)})
    config, told = tmp_path / "tailrace.toml", []
    for alerts in ("", "[alerts]\nnew_messages = true\n", "[alerts]\nnew_messages = false\n"):
        config.write_text(alerts)
        assert run(app, [*words, "--config", str(config), "--format", "json"]) == 0
        told.append('"rule":"new-template"' in capsys.readouterr().out)
    assert told == [trained, True, False]


def test_what_is_one_is_counted_as_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Neither `1 lines` nor `1 false alerts`; without times no days can be counted."""
    Path(words[1]).write_bytes(log_line(START_S, "web-a", 1, job=1))
    assert run(app, words) == 0
    no_span = ": the last time is not after the first"
    assert capsys.readouterr().out.splitlines() == [
        "1 line, 1 event, 1 source, 0 rejects: 0 alerts",
        f"budget: at most 1 false alert a day, which allows 0 in this input{no_span}",
    ]
    Path(words[1]).write_bytes(b"no time here\n")
    assert run(app, words) == 0
    assert "no times were found in the lines to count days by" in capsys.readouterr().out


@pytest.mark.parametrize("shown", ["text", "json"])
def test_what_a_damaged_file_holds_is_judged_to_its_end(
    tmp_path: Path, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sessions are closed, other files are read on, the summary is printed; the exit code is 3."""
    small_bundle(tmp_path / "bundle", session=True)
    cut, whole, scores = tmp_path / "cut.log.gz", tmp_path / "whole.log", tmp_path / "scores.jsonl"
    packed = gzip.compress(b"".join(lines_of(1, 3000)))
    cut.write_bytes(packed[: len(packed) // 2])
    whole.write_bytes(b"".join(lines_of(2, 500, "d", 5000)))
    words = ["replay", str(cut), str(whole), "--bundle", str(tmp_path / "bundle"), "--format", shown]
    assert run(app, [*words, "--scores", str(scores)]) == 3
    out, err = capsys.readouterr()
    assert f"{cut}: cut short after byte " in err
    rows = [json.loads(line) for line in scores.read_text().splitlines()]
    assert sum(row["events"] for row in rows if int(row["source"][4:]) >= 5000) == 500
    assert sum(row["events"] for row in rows) > 1500
    if shown == "json":
        *alerts, summary = [json.loads(line) for line in out.splitlines()]
        assert summary["events"] == sum(row["events"] for row in rows)
        last = {one["alert_id"]: one["status"] for one in alerts}
        assert set(last.values()) == {"resolved"}
    else:
        assert out.splitlines()[-2].startswith(f"{sum(row['events'] for row in rows)} lines, ")


def test_alerts_beyond_what_memory_holds_are_shown_in_the_same_order() -> None:
    """Each as it ended, in the order of opening, whether they lie in memory or in a file."""
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    last: dict[str, bytes] = {}
    count = dict.fromkeys((f"a{number}" for number in range(50)), 0)
    with Spool(memory_bytes=100) as small, Spool() as large:
        while count:
            name = rng.choice(list(count))
            count[name] += 1
            status = "resolved" if rng.random() < 0.3 else "firing"
            last[name] = b'{"status":"%s","x":"%s"}' % (status.encode(), b"x" * rng.randrange(100))
            for spool in (small, large):
                spool.add(Revision(name, count[name], last[name]))
            if status == "resolved" or count[name] == 6:
                del count[name]
        for spool in (small, large):
            assert [payload.rstrip() for payload in spool.payloads()] == list(last.values())
