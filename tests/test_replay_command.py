"""`tailrace replay` as people run it: where it writes, and what it says at its end."""

from pathlib import Path

import pytest

from detector.cli.__main__ import app
from detector.cli.run import run
from tests.small_bundle import log_line, small_bundle
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


def test_the_last_lines_tell_what_was_found_from_what_was_asked_for(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The budget is what somebody asked for, and is not taken for a measurement."""
    assert run(app, [*words, "--budget", "2"]) == 0
    counts, budget = capsys.readouterr().out.splitlines()[-2:]
    assert counts.startswith("300 lines, 300 events, 3 sources, 0 rejects: ")
    assert budget.startswith("budget: at most 2 false alerts a day, which allows 0.")
    assert budget.endswith(" in this input")


def test_what_is_one_is_counted_as_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Neither `1 lines` nor `1 false alerts`; without times no days can be counted."""
    Path(words[1]).write_bytes(log_line(START_S, "web-a", 1, job=1))
    assert run(app, words) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 line, 1 event, 1 source, 0 rejects: 0 alerts",
        "budget: at most 1 false alert a day, which allows 0 in this input",
    ]
    Path(words[1]).write_bytes(b"no time here\n")
    assert run(app, words) == 0
    assert "the lines have no times to count days by" in capsys.readouterr().out
