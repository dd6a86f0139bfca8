"""`tailrace alerts`, and the schemas that its output is held to."""

import json
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclopts import CycloptsError
from jsonschema import Draft202012Validator, ValidationError

from detector.cli.alerts import app
from detector.errors import BadSetup, Unreadable
from detector.notify.console import RULES
from detector.records import Revision, Silence, SlowHop
from tests.delivery import SAMPLE, StateFile, revision
from tests.unprivileged import open_folder, unprivileged


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state file with two alerts."""
    path = tmp_path / "state #1?.db"
    StateFile(path, []).append(revision("bb", 1), revision("aa", 1), revision("bb", 2, "resolved"))
    return path


def _run(*words: str | Path) -> None:
    app([str(word) for word in words], exit_on_error=False, result_action="return_value")


def _schema(name: str) -> Any:
    schema = json.loads(files("detector").joinpath(f"schemas/{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_list_is_a_line_an_alert_the_newest_last(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is cut where no screen limits it."""
    _run("list", "--state", state)
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["STATUS", "SEVERITY", "OPENED", "SOURCE", "RULE", "SCORE", "ID"]
    row = f"resolved error {SAMPLE.opened_at} nova-compute stopped half-way 12.31 bb"
    assert first.split() == row.split()
    assert second.split()[-1] == "aa"


def test_the_list_as_json_is_one_object_a_line(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is the latest revision as it was committed, and fits the schema."""
    _run("list", "--state", state, "--format", "json")
    lines = capsys.readouterr().out.splitlines()
    assert [line.encode() for line in lines] == [
        revision("bb", 2, "resolved").payload,
        revision("aa", 1).payload,
    ]
    for line in lines:
        _schema("alert").validate(json.loads(line))


def test_a_silence_fits_the_schema_and_other_alerts_are_as_they_were(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its two times are there for that rule alone."""
    silence = Silence(longest_gap_s=20.0, silent_after_s=60.0)
    alert = msgspec.structs.replace(SAMPLE, alert_id="cc", rule="silence", silence=silence)
    StateFile(state, []).append(Revision("cc", 1, msgspec.json.encode(alert)))
    _run("show", "cc", "--state", state, "--format", "json")
    _run("show", "aa", "--state", state, "--format", "json")
    silent, other = map(json.loads, capsys.readouterr().out.splitlines())
    assert silent["silence"] == {"longest_gap_s": 20.0, "silent_after_s": 60.0}
    assert "silence" not in other
    _schema("alert").validate(silent)
    _run("show", "cc", "--state", state)
    assert "for more than 1 min; the longest gap before was 20 s" in capsys.readouterr().out


FOUND: dict[str, dict[str, Any]] = {  # by id
    "a1": {"severity": "warning", "source": "nova-compute", "rule": "silence", "opened_at": None},
    "a2": {"severity": "error", "status": "resolved", "opened_at": "2026-11-21T09:00:00.000000Z"},
    "b1": {"severity": "critical", "source": "nova-api", "opened_at": "2026-11-21T10:00:00.500000Z"},
}


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """A state file with an alert of each kind."""
    alerts = [msgspec.structs.replace(SAMPLE, alert_id=name, **changes) for name, changes in FOUND.items()]
    path = tmp_path / "found.db"
    StateFile(path, []).append(*(Revision(one.alert_id, 1, msgspec.json.encode(one)) for one in alerts))
    return path


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("", ["a1", "a2", "b1"]),
        ("--status firing", ["a1", "b1"]),
        ("--severity error", ["a2", "b1"]),
        ("--severity critical", ["b1"]),
        ("--rule silence", ["a1"]),
        ("--source compute", ["a1", "a2"]),
        ("--since 2026-11-21T12:00:00+03:00", ["a2", "b1"]),
        ("--since 2026-11-21T10:00:00.5Z", ["b1"]),
        ("--severity error --source compute", ["a2"]),
    ],
)
def test_the_list_can_be_narrowed(
    found: Path, capsys: pytest.CaptureFixture[str], words: str, ids: list[str]
) -> None:
    """All that is said must hold; a time before the first alert's leaves out those that have none."""
    _run("list", "--state", found, *words.split())
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]] == ids
    _run("list", "--state", found, "--format", "json", *words.split())
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert [row["alert_id"] for row in rows] == ids


def test_a_list_that_was_narrowed_to_nothing_says_so(found: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There are alerts, and none of these."""
    _run("list", "--state", found, "--source", "cinder")
    assert capsys.readouterr() == ("", "no such alerts\n")


@pytest.mark.parametrize("since", ["yesterday", "2026-11-21T10:00:00"])
def test_a_time_without_a_zone_is_refused(found: Path, since: str) -> None:
    """Whose noon it was nobody can know."""
    with pytest.raises(BadSetup, match="--since is no time with its zone"):
        _run("list", "--state", found, "--since", since)


def test_a_rule_that_is_none_is_answered_with_what_there_is(found: Path) -> None:
    """The list shows rules in other words, which people then type: both stand side by side."""
    with pytest.raises(CycloptsError) as refused:
        _run("list", "--state", found, "--rule", "new message")
    told = (
        "there is no rule 'new message'. Choose from: sequence (listed as 'unusual sequence'), new-template"
    )
    assert told in str(refused.value)
    for rule in RULES:
        _run("list", "--state", found, "--rule", rule)
        assert f"{rule} (listed as '{RULES[rule]}')" in str(refused.value)


def test_the_beginning_of_an_id_is_enough(found: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no other begins so; a whole id is meant though it begins another."""
    _run("show", "b", "--state", found, "--format", "json")
    assert json.loads(capsys.readouterr().out)["alert_id"] == "b1"
    with pytest.raises(BadSetup, match=r"2 alerts in .* begin with a: a1, a2; give more of the one"):
        _run("show", "a", "--state", found)
    StateFile(found, []).append(revision("a11", 1))
    _run("show", "a1", "--state", found, "--format", "json")
    assert json.loads(capsys.readouterr().out)["alert_id"] == "a1"


def test_a_slow_step_fits_the_schema(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is there for that rule alone."""
    hop = SlowHop(sender="orders", receiver="pricing", trace="4bf9", took_s=1.25, usual_s=0.006)
    alert = msgspec.structs.replace(SAMPLE, alert_id="dd", rule="slow", hop=hop)
    StateFile(state, []).append(Revision("dd", 1, msgspec.json.encode(alert)))
    _run("show", "dd", "--state", state, "--format", "json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["hop"]["took_s"] == 1.25
    _schema("alert").validate(shown)


def test_one_alert_is_shown_with_its_evidence(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As text for people, as JSON for programs."""
    _run("show", "aa", "--state", state)
    assert "> 1300  Terminating instance i-17" in capsys.readouterr().out
    _run("show", "aa", "--state", state, "--format", "json")
    assert capsys.readouterr().out.encode() == revision("aa", 1).payload + b"\n"


def test_an_unknown_id_is_named(state: Path) -> None:
    """The error says which id is not there, without what a terminal would obey."""
    with pytest.raises(BadSetup, match=r"no alert \\x1bzz in"):
        _run("show", "\x1bzz", "--state", state)


def test_a_missing_or_foreign_file_is_unreadable(tmp_path: Path) -> None:
    """Nothing is created by reading."""
    missing, foreign = tmp_path / "missing.db", tmp_path / "foreign.db"
    foreign.write_text("not a database, and long enough to be looked at as one" * 99)
    for path in (missing, foreign):
        with pytest.raises(Unreadable, match=path.name):
            _run("list", "--state", path)
    assert not missing.exists()


def test_reading_goes_on_beside_a_writer(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A commit in progress neither blocks the reader nor is seen by it."""
    with closing(sqlite3.connect(state, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM alert")
        _run("list", "--state", state, "--format", "json")
        connection.execute("ROLLBACK")
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("left", ["closed", "open", "killed"])
def test_a_reader_needs_no_right_to_write(left: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither to the file nor to its folder, whether a watch has it open, has ended or was killed."""
    with open_folder() as folder:
        path = folder / "state.db"
        file = StateFile(path, [])
        file.append(revision("aa", 1))
        with closing(sqlite3.connect(path)) as writer:
            if left != "closed":
                writer.execute("SELECT count(*) FROM alert").fetchone()
                file.append(revision("bb", 1))
            if left == "killed":
                copy = folder / "copy.db"
                for end in ("", "-wal", "-shm"):
                    copy.with_name(copy.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
                path = copy
            elif left == "closed":
                writer.close()
            before = sorted(folder.iterdir())
            with unprivileged():
                _run("list", "--state", path, "--format", "json")
            assert sorted(folder.iterdir()) == before
    told = [json.loads(line)["alert_id"] for line in capsys.readouterr().out.splitlines()]
    assert len(told) == (1 if left == "closed" else 2)


def test_a_state_file_of_others_is_named_with_what_to_allow(capsys: pytest.CaptureFixture[str]) -> None:
    """What keeps this user from it is a permission, not what is in the file."""
    with open_folder() as folder:
        path = folder / "state.db"
        StateFile(path, []).append(revision("aa", 1))
        path.chmod(0o600)
        with unprivileged(), pytest.raises(Unreadable, match="permission denied; let this user read it"):
            _run("list", "--state", path)
    assert capsys.readouterr().out == ""


def test_an_empty_list_prints_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is said to people goes to standard error."""
    StateFile(tmp_path / "state.db", [])
    _run("list", "--state", tmp_path / "state.db")
    assert capsys.readouterr() == ("", "no alerts\n")


def test_markup_in_a_source_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log names its source as it likes."""
    alert = msgspec.structs.replace(SAMPLE, source="[red]a\x1b[2J[/]:smile:")
    path = tmp_path / "state.db"
    StateFile(path, []).append(msgspec.structs.replace(revision("a", 1), payload=msgspec.json.encode(alert)))
    _run("list", "--state", path)
    assert "[red]a\\x1b[2J[/]:smile:" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["list", "show"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command shows one line that works as typed."""
    _run(command, "--help")
    assert f"Example: tailrace alerts {command}" in capsys.readouterr().out


def test_the_alert_schema_allows_nothing_else() -> None:
    """A field more or less is a break of the format."""
    alert = json.loads(msgspec.json.encode(SAMPLE))
    _schema("alert").validate(alert)
    for broken in (alert | {"more": 1}, {name: alert[name] for name in alert if name != "rule"}):
        with pytest.raises(ValidationError):
            _schema("alert").validate(broken)


def test_the_summary_schema_allows_nothing_else() -> None:
    """The last object of a run in JSON."""
    counts = dict.fromkeys(("lines", "events", "sources", "rejects", "alerts"), 1)
    summary = {"schema": "tailrace.summary/1", **counts, "expected_alerts": 0.5, "bundle": "b-7d1f"}
    _schema("summary").validate(summary)
    with pytest.raises(ValidationError):
        _schema("summary").validate(summary | {"more": 1})
