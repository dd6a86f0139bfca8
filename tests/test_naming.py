"""What a person said about sources and events, and what the input does not bear out, is told."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detector.cli.__main__ import app
from detector.cli.run import run
from tests.small_bundle import WORDS, small_bundle
from tests.watching import lines_of
from training.cli.__main__ import app as training


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 200 lines, and bundles for both kinds of sources."""
    small_bundle(tmp_path / "streams", session=False)
    small_bundle(tmp_path / "sessions", session=True)
    path = tmp_path / "app.log"
    path.write_bytes(b"".join(lines_of(3, 200)))
    return path


def commands(log: Path, bundle: str, *more: str) -> list[list[str]]:
    """A replay and a watch of the log."""
    words = [str(log), "--bundle", str(log.parent / bundle), *more]
    return [["replay", *words], ["watch", *words, "--once", "--state", str(log.parent / f"{bundle}.db")]]


@pytest.mark.parametrize("bundle", ["streams", "sessions"])
def test_names_that_are_found_nowhere_are_told_once_with_an_example(
    log: Path, bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines count for their file, or for no session, and nobody would know why."""
    first = log.read_text().partition("\n")[0]
    options = ["--source-regex", "nowhere=(.*)"] + (["--source-field", "none"] if bundle == "streams" else [])
    for command in commands(log, bundle, *options):
        assert run(app, command) == 0
        said = capsys.readouterr().err
        assert said.count("find no name in any of 200 lines, such as ") == 1
        assert first in said


def test_names_that_some_lines_have_are_not_complained_of(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a regular expression names one source of many, that is meant so."""
    for command in commands(log, "streams", "--source-regex", "web-a"):
        assert run(app, command) == 0
        assert "find no name" not in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--trace-field", "trac.id"), ("--trace-regex", "request=([a-f0-9]+)")])
def test_a_trace_that_no_line_names_is_told_once(
    log: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    """In the words of the option: a misspelt field would be a rule that never alerts."""
    for command in commands(log, "streams", *option):
        assert run(app, command) == 0
        said = capsys.readouterr().err
        assert said.count(f"no trace in any of 200 lines with {option[0]} ") == 1
        assert option[1] in said
    for command in commands(log, "sessions", "--trace-regex", "web-a"):
        assert run(app, command) == 0
        assert "no trace" not in capsys.readouterr().err


def test_a_fit_on_few_requests_says_that_slow_ones_hardly_alert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One every half a minute is too rare; of a field that no line has, no step is known."""
    log = tmp_path / "app.log"
    begin = datetime(2026, 1, 2, tzinfo=UTC)
    rows = [
        {"@timestamp": (begin + timedelta(seconds=30 * at + step)).isoformat(), "service.name": name}
        | {"message": f"order is {name}", "trace_id": f"t{at}"}
        for at in range(300)
        for step, name in enumerate(("got", "paid"))
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["fit", str(log), "--out", str(tmp_path / "out"), "--hidden", "8", "--epochs", "1"]
    assert run(training, [*words, "--trace-field", "trace_id"]) == 0
    said = capsys.readouterr()
    assert "slow ones alert from about 5 a minute on: 0 of 2 sources had as many" in said.out
    assert "about 5 slow steps a minute of one source, and the busiest source had 2 a minute" in said.err
    assert run(training, [*words, "--trace-field", "trac.id"]) == 0
    said = capsys.readouterr()
    assert "traces" not in said.out
    assert "no trace in any of 600 lines with --trace-field trac.id, such as " in said.err


def test_an_event_field_without_the_exact_parser_is_refused(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would say nothing there."""
    for command in commands(log, "streams", "--event-field", "id"):
        assert run(app, command) == 2
        assert "--event-field id needs --parser exact" in capsys.readouterr().err
    words = ["fit", str(log), "--out", str(log.parent / "new"), "--event-field", "id"]
    assert run(training, words) == 2
    assert "--event-field id needs --parser exact" in capsys.readouterr().err


def other_log(path: Path, header: str) -> str:
    """A log of a program that no bundle here knows; gives its first line."""
    lines = [f"{header}{WORDS[at % 7]} went to {WORDS[at % 5]} by way of {at}" for at in range(200)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return lines[0]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("", "none of the first 200 lines begins with a header that the bundle knows, such as "),
        ("2026-01-02T03:04:05Z web-a ", "none of the first 200 messages matches a template of the bundle, "),
    ],
)
def test_a_log_that_was_not_learnt_is_told_once_with_an_example(
    log: Path, header: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No alert would otherwise be taken for good news."""
    first = other_log(log, header)
    parse = ["parse", str(log), "--bundle", str(log.parent / "streams")]
    for command in [*commands(log, "streams"), parse]:
        assert run(app, command) == 0
        said = capsys.readouterr().err
        assert said.count(told) == 1
        assert first in said
        assert "tailrace-train fit" in said


def test_a_few_unknown_lines_are_no_other_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said below 20 lines, nor where one line in a hundred is known."""
    known = log.read_text().splitlines(keepends=True)
    other_log(log, "2026-01-02T03:04:05Z web-a ")
    unknown = log.read_text().splitlines(keepends=True)
    for lines in (unknown[:19], [*known[:2], *unknown[:198]]):
        log.write_text("".join(lines))
        for command in commands(log, "streams")[:1]:
            assert run(app, command) == 0
            assert "bundle" not in capsys.readouterr().err


def test_a_fit_on_lines_of_one_time_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They do have times; nothing can be said of days all the same."""
    lines = (f"2026-01-02T03:04:05Z web step {'abcde'[at % 5]}x is done\n" for at in range(600))
    (tmp_path / "app.log").write_text("".join(lines))
    words = [str(tmp_path / "app.log"), "--out", str(tmp_path / "out"), "--hidden", "8", "--epochs", "1"]
    assert run(training, ["fit", *words]) == 0
    said = capsys.readouterr().err
    assert "The lines all have one and the same time, 2026-01-02T03:04:05" in said
    assert "no times" not in said
