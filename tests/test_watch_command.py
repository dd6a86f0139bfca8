"""`tailrace watch` and `tailrace bundle verify` as people and service managers run them."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from detector.cli.__main__ import app
from detector.cli.run import run
from tests.receiver import Script, serving
from tests.small_bundle import log_line, small_bundle
from tests.test_watch_kill import assert_told_all, revisions_of
from tests.watching import (
    COMMAND,
    CONFIG,
    START_S,
    commits_of,
    core_of,
    lines_of,
    outcome_of,
    records_of,
    replayed,
    tailrace,
    until,
)

README = Path(__file__).parent.parent / "README.md"
Rotate = Callable[[Path], None]


class Folder:
    """A folder with a bundle, a configuration, a log and the state of a watch."""

    def __init__(self, path: Path) -> None:
        """Make the bundle, for long-lived sources, and a log of 300 lines."""
        self.path = path
        self.bundle, self.state, self.config = path / "bundle", path / "state.db", path / "tailrace.toml"
        small_bundle(self.bundle, session=False)
        self.config.write_text(CONFIG)
        (path / "logs").mkdir()
        self.log = path / "logs" / "app.log"
        self.log.write_bytes(b"".join(lines_of(7, 300)))

    def words(self, *more: str | Path) -> list[str]:
        """A command line that watches the log."""
        common = ["--bundle", self.bundle, "--config", self.config, "--state", self.state]
        return [str(word) for word in (*(more or ("watch", self.log)), *common)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder of one test."""
    return Folder(tmp_path)


def said(capfd: pytest.CaptureFixture[str]) -> str:
    """The sentence that an error ends with."""
    return capfd.readouterr().err.splitlines()[-1]


def test_once_reads_what_is_there_and_goes_on_from_there(
    folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second run reads only what has come since; alerts are printed once."""
    counts = []
    for _ in range(2):
        assert run(app, [*folder.words(), "--once", "--format", "json"]) == 0
        out, err = capfd.readouterr()
        counts.append((json.loads(err.splitlines()[-1])["lines"], len(out.splitlines())))
        with folder.log.open("ab") as file:
            file.writelines(lines_of(8, 20)[:1])
    assert counts[0][0] == 300
    assert counts[0][1] == len(revisions_of(folder.state)) > 0
    assert counts[1] == (1, 0)


def test_alerts_are_read_back_with_the_command_that_replays_them(
    folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    """What `watch` printed is what `alerts` shows, and the command in it finds the same alert again."""
    assert run(app, [*folder.words(), "--once", "--format", "json"]) == 0
    last = {json.loads(line)["alert_id"]: line for line in capfd.readouterr().out.splitlines()}
    assert run(app, ["alerts", "list", "--state", str(folder.state), "--format", "json"]) == 0
    listed = capfd.readouterr().out.splitlines()
    assert listed == sorted(last.values(), key=lambda line: str(json.loads(line)["opened_at"]))
    alert = json.loads(list(last.values())[-1])
    assert run(app, ["alerts", "show", alert["alert_id"], "--state", str(folder.state)]) == 0
    assert alert["replay"] in capfd.readouterr().out
    program, *words = alert["replay"].split()
    assert program == "tailrace"
    assert words[-2:] == ["--budget", "200.0"]
    assert run(app, [*words, "--format", "json", "--keep-open"]) == 0
    again = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    found = {one["alert_id"]: one for one in again if "alert_id" in one}
    assert found[alert["alert_id"]]["lines"] == alert["lines"]


def test_the_readme_s_command_shows_the_line_of_an_alert(
    folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    """A position is an offset in bytes, from 0; `tail` counts from 1."""
    assert run(app, [*folder.words(), "--once", "--format", "json"]) == 0
    alerts = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    [line] = [line for line in alerts[-1]["lines"] if line["role"] == "event"]
    assert int(line["position"]) > 0
    [shown] = re.findall(r"`(tail -c [^`]*)`", README.read_text(encoding="utf-8"))
    command = shown.replace("OFFSET", line["position"]).replace("FILE", str(folder.log))
    found = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert found.stdout.endswith(f"{line['text']}\n")


def test_a_second_watch_on_the_same_state_is_refused(
    folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    """It exits 5 and names the process that has it; SIGTERM ends the first with 0 and all committed."""
    with tailrace(*folder.words(), "--from", "start", stdout=subprocess.DEVNULL) as first:
        until(lambda: commits_of(folder.state) >= 6)
        assert run(app, folder.words()) == 5
        assert f"is in use by process {first.pid}" in said(capfd)
        first.send_signal(signal.SIGTERM)
        assert first.wait() == 0
    assert outcome_of(folder.state) == replayed(
        core_of(folder.bundle, folder.log),
        {str(folder.log): [records_of(folder.log, folder.log.read_bytes())]},
    )


def test_a_state_file_that_is_none_is_refused(folder: Folder, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 2, whoever finds it; the file stays as it is."""
    folder.state.write_bytes(b"these are the notes of somebody else\n" * 200)
    before = folder.state.read_bytes()
    assert run(app, [*folder.words(), "--once"]) == 2
    assert f"{folder.state} is no state file" in said(capfd)
    assert folder.state.read_bytes() == before


def test_ctrl_c_ends_as_one_interrupted(folder: Folder) -> None:
    """The exit code says so; the batch in hand is committed."""
    with tailrace(*folder.words(), "--from", "start", stdout=subprocess.DEVNULL) as process:
        until(lambda: commits_of(folder.state) >= 1)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


def rename(log: Path) -> None:
    """As logrotate does."""
    log.rename(log.with_name("app.log.1"))


def copytruncate(log: Path) -> None:
    """As logrotate does for programs that keep their file open."""
    shutil.copy(log, log.with_name("app.log.1"))
    log.write_bytes(b"")


@pytest.mark.parametrize("rotate", [rename, copytruncate])
@pytest.mark.parametrize("running", [True, False])
def test_rotation_while_it_runs_and_while_it_is_down(folder: Folder, rotate: Rotate, running: bool) -> None:
    """No line is lost or read twice, with a restart in between."""
    words, log = [*folder.words(), "--from", "start"], folder.log
    contents = [log.read_bytes(), b"".join(lines_of(9, 300)[150:])]
    begun = contents[0][: len(contents[0]) // 2]
    log.write_bytes(begun)
    with tailrace(*words, stdout=subprocess.DEVNULL) as process:
        until(lambda: commits_of(folder.state) >= 3)
        if not running:
            process.kill()
            process.wait()
        with log.open("ab") as file:
            file.write(contents[0][len(begun) :])
        rotate(log)
        with log.open("ab") as file:
            file.write(contents[1])
        if running:
            until(lambda: commits_of(folder.state) >= 7)
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
    assert run(app, [*words, "--once"]) == 0
    feeds = {str(log): [records_of(log, content) for content in contents]}
    assert outcome_of(folder.state) == replayed(core_of(folder.bundle, log), feeds)


def test_standard_input_is_watched_to_its_end(folder: Folder) -> None:
    """`-` may stand anywhere; the end of the stream ends the watch, and everything is delivered."""
    with folder.log.open("rb") as log:
        command = ["watch", "--bundle", str(folder.bundle), "--format", "json", "--state", str(folder.state)]
        done = subprocess.run(
            [*COMMAND, *command, "--config", str(folder.config), "-"],
            stdin=log,
            capture_output=True,
            check=True,
        )
    assert len(done.stdout.splitlines()) == len(revisions_of(folder.state)) > 0
    assert json.loads(done.stderr.splitlines()[-1])["lines"] == 300


def test_a_reader_that_has_gone_ends_it_quietly(folder: Folder) -> None:
    """`tailrace watch … | head -1` says nothing about it; progress is kept."""
    command = [*COMMAND, *folder.words(), "--once", "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait() in {0, 128 + signal.SIGPIPE}
    assert "Traceback" not in said
    assert "bug" not in said


@pytest.mark.parametrize("format_", ["text", "json"])
def test_webhooks_get_every_alert_though_the_process_is_killed(folder: Folder, format_: str) -> None:
    """What was on its way is sent again with the same id and body; each alert's last revision arrives."""
    script = Script()
    with serving(script):
        webhook = f'[[receivers.webhook]]\nname = "ops"\nurl = "{script.url}"\nallow_private = true\n'
        jsonl = f'[[receivers.jsonl]]\nname = "told"\npath = "{folder.path / "told.jsonl"}"\n'
        folder.config.write_text(CONFIG + webhook + jsonl)
        words = [*folder.words(), "--from", "start", "--format", format_]
        with tailrace(*words, stdout=subprocess.DEVNULL) as process:
            until(lambda: len(script.requests) >= 3)
            process.kill()
        assert run(app, [*words, "--once"]) == 0
    bodies: dict[str, set[bytes]] = {}
    for request in script.requests:
        bodies.setdefault(request.webhook_id, set()).add(request.body)
    assert all(len(variants) == 1 for variants in bodies.values())
    newest: dict[str, int] = {}
    for alert_id, number in revisions_of(folder.state):
        newest[alert_id] = max(number, newest.get(alert_id, 0))
    assert {f"{alert_id}.{number}" for alert_id, number in newest.items()} <= bodies.keys()
    assert_told_all(folder.path / "told.jsonl", folder.state)


def test_the_closing_words_name_what_waits(folder: Folder, capfd: pytest.CaptureFixture[str]) -> None:
    """A receiver that cannot be reached is no failure of the run; the next start sends what waits for it."""
    script = Script()
    with serving(script):
        url = script.url
    webhook = f'[[receivers.webhook]]\nname = "ops"\nurl = "{url}"\nallow_private = true\n'
    folder.config.write_text(CONFIG + webhook)
    assert run(app, [*folder.words(), "--once"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    [waits] = [event for event in told if event["event"] == "deliveries wait"]
    assert waits["hint"].startswith("the next start with --once tries them at once")
    assert told[-1]["undelivered"] == waits["receivers"]["ops"] > 0
    folder.config.write_text(CONFIG)
    assert run(app, [*folder.words(), "--once"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [event["event"] for event in told] == ["watching", "stopped"]
    assert told[-1]["undelivered"] == 0
    assert "open_sessions" not in told[-1]


def test_a_start_with_once_tries_what_waits_though_it_is_not_due(folder: Folder) -> None:
    """Whoever starts it now and then need not come when a delivery is due, and uses up no attempts by it."""
    down, up = Script([500]), Script()
    words = [*folder.words(), "--once"]
    for script in (down, up):
        with serving(script):
            webhook = f'[[receivers.webhook]]\nname = "ops"\nurl = "{script.url}"\nallow_private = true\n'
            folder.config.write_text(CONFIG + webhook)
            assert run(app, words) == 0
            with closing(sqlite3.connect(folder.state, isolation_level=None)) as connection:
                connection.execute("UPDATE delivery SET due_s = due_s + 3600")
            before, asked = attempts_of(folder.state), len(script.requests)
            if script is down:
                assert run(app, words) == 0
                assert asked < len(script.requests)
                assert attempts_of(folder.state) == before > 0
    assert set(up.ids) <= set(down.ids)
    assert attempts_of(folder.state) == 0


def attempts_of(state: Path) -> int:
    """How often deliveries that wait were tried."""
    with closing(sqlite3.connect(state)) as connection:
        [attempts] = connection.execute(
            "SELECT coalesce(sum(attempts), 0) FROM delivery WHERE state = 'pending' AND receiver = 'ops'"
        ).fetchone()
    return int(attempts)


def test_the_closing_words_count_the_sessions_that_are_open(
    folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    """What --once leaves open is not judged yet, and whoever runs it is told so."""
    shutil.rmtree(folder.bundle)
    small_bundle(folder.bundle, session=True)
    folder.log.write_bytes(b"".join(log_line(START_S + at, "web-a", 1, job=at) for at in range(5)))
    assert run(app, [*folder.words(), "--once"]) == 0
    assert json.loads(said(capfd))["open_sessions"] == 5
    with folder.log.open("ab") as file:
        file.write(log_line(START_S + 3_000, "web-a", 1, job=9))
    assert run(app, [*folder.words(), "--once"]) == 0
    assert json.loads(said(capfd))["open_sessions"] == 1


FAULTS: list[tuple[dict[str, Any], int, str]] = [
    ({"log": "nope.log"}, 3, "no such file or folder"),
    ({"log": "nope-*.log"}, 3, "no file matches"),
    ({"bundle": "logs"}, 2, "is no bundle"),
    ({"state": "logs/state.db", "log": "logs"}, 2, "is among its inputs"),
    ({"state": "logs/state.db", "log": "logs/*"}, 2, "is among its inputs"),
    ({"state": "logs/app.log"}, 2, "is among its inputs"),
    ({"state": "bundle/model.onnx"}, 2, "is no state file"),
    ({"state": "stat/state.db"}, 2, "/stat; create it or correct the path"),
    ({"state": "logs"}, 2, "/logs: this is a folder; name a file"),
]


@pytest.mark.parametrize(("changes", "code", "sentence"), FAULTS)
def test_what_cannot_work_is_said_at_once(
    folder: Folder, changes: dict[str, str], code: int, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The exit code says what kind of fault it is, one sentence what to do."""
    for name, value in changes.items():
        setattr(folder, name, folder.path / value)
    assert run(app, [*folder.words(), "--once"]) == code
    assert sentence in said(capfd)


def test_a_receiver_s_file_needs_its_folder(folder: Folder, capfd: pytest.CaptureFixture[str]) -> None:
    """A misspelt folder is said at the start, not at the first alert; nothing is created."""
    folder.config.write_text(
        f'{CONFIG}[[receivers.jsonl]]\nname = "told"\npath = "{folder.path}/tld/a.jsonl"\n'
    )
    assert run(app, [*folder.words(), "--once"]) == 2
    assert f"file of the receiver told {folder.path}/tld/a.jsonl: there is no folder" in said(capfd)
    assert not folder.state.exists()


def test_inputs_and_state_may_stand_in_the_configuration(
    folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without them the error says both ways to name them."""
    assert run(app, ["watch", "--bundle", str(folder.bundle)]) == 2
    assert "input.paths" in said(capfd)
    assert run(app, ["watch", str(folder.log), "--bundle", str(folder.bundle)]) == 2
    assert "--state FILE" in said(capfd)
    paths = CONFIG.replace("[input]", f'[input]\npaths = ["{folder.log}"]')
    folder.config.write_text(f'{paths}[state]\npath = "{folder.state}"\n[bundle]\npath = "{folder.bundle}"\n')
    assert run(app, ["watch", "--once", "--config", str(folder.config)]) == 0
    assert json.loads(said(capfd))["lines"] == 300


def test_a_bundle_is_verified(folder: Folder, capfd: pytest.CaptureFixture[str]) -> None:
    """Every file is named with its digest; an altered one is named, and the code is 2."""
    assert run(app, ["bundle", "verify", str(folder.bundle)]) == 0
    shown = capfd.readouterr().out
    assert all(f"{name}" in shown for name in ("model.onnx", "templates.json", "calibration.json"))
    assert "long-lived sources" in shown
    model = folder.bundle / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    assert run(app, ["bundle", "verify", str(folder.bundle)]) == 2
    assert said(capfd).startswith(f"tailrace: {model} does not match its SHA-256")


DAMAGE: list[tuple[str, bytes | None, str]] = [
    ("manifest.json", b"not JSON", "manifest.json is damaged (JSON is malformed"),
    ("manifest.json", b"[]", "manifest.json is damaged (Expected `object`"),
    ("manifest.json", b"{}", "schema_version is None"),
    ("manifest.json", None, "is no bundle: manifest.json cannot be read"),
    ("templates.json", b"{}", "templates.json does not match its SHA-256"),
    ("model.onnx", None, "model.onnx cannot be read"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), DAMAGE)
def test_a_damaged_bundle_is_refused_with_what_to_do(
    folder: Folder, name: str, content: bytes | None, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with a file, the message names it and the way out."""
    (folder.bundle / name).unlink()
    if content is not None:
        (folder.bundle / name).write_bytes(content)
    assert run(app, ["bundle", "verify", str(folder.bundle)]) == 2
    message = said(capfd)
    assert sentence in message
    assert re.search(
        r"train (the bundle|it) again|name the directory that tailrace-train fit wrote$", message
    )
