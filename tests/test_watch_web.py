"""`tailrace watch` with `[web]`: what a process of its own says of itself while it runs."""

import json
import re
import signal
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.bundle import load
from detector.cli.__main__ import app
from detector.cli.run import run
from tests.receiver import Script, serving
from tests.scraping import Labels, ask, scraped
from tests.small_bundle import small_bundle
from tests.test_watch_command import Folder, said
from tests.watching import CONFIG, commits_of, lines_of, tailrace, until

WEB = '[web]\nlisten = "127.0.0.1:{port}"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A log of 300 lines and three that are longer than the configuration allows."""
    folder = Folder(tmp_path)
    with folder.log.open("ab") as file:
        file.writelines([b"x" * 5_000 + b"\n"] * 3)
    folder.config.write_text(CONFIG.replace("[input]", "[input]\nmax_line_bytes = 4000") + WEB.format(port=0))
    return folder


@contextmanager
def watching(folder: Folder) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A watch that follows the log, and the port that it has chosen."""
    words = [*folder.words(), "--from", "start"]
    with tailrace(*words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        told = json.loads(process.stderr.readline())
        assert told["event"] == "serving"
        yield process, told["port"]


def counted(folder: Folder) -> dict[tuple[str, Labels], float]:
    """What the state file has: alerts by rule and severity, rejects, sources."""
    with closing(sqlite3.connect(folder.state, timeout=30.0)) as connection:
        payloads = [payload for (payload,) in connection.execute("SELECT payload FROM alert")]
        [rejects] = connection.execute("SELECT count(*) FROM reject").fetchone()
        [sources] = connection.execute("SELECT count(*) FROM source").fetchone()
    alerts: list[Any] = [msgspec.json.decode(payload) for payload in payloads]
    kinds = Counter((("rule", one["rule"]), ("severity", one["severity"])) for one in alerts)
    found: dict[tuple[str, Labels], float] = {("tailrace_alerts_total", kind): kinds[kind] for kind in kinds}
    found["tailrace_dead_letters_total", (("reason", "too-long"),)] = rejects
    found["tailrace_records_total", (("result", "rejected"),)] = rejects
    found["tailrace_sources", ()] = sources
    return found


def test_its_numbers_are_those_of_the_state_file_and_of_the_closing_words(folder: Folder) -> None:
    """Records, rejects, alerts by rule and severity, sources and deliveries."""
    with watching(folder) as (process, port):
        decoded = ("tailrace_records_total", (("result", "decoded"),))
        until(lambda: scraped(port)[decoded] == 300 and counted(folder).items() <= scraped(port).items())
        shown = scraped(port)
        assert ask(port, "/livez") == (200, b'{"status":"live"}\n')
        assert ask(port, "/readyz") == (200, b'{"status":"ready"}\n')
        assert ask(port, "/")[0] == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        assert process.stderr is not None
        closing_words = json.loads(process.stderr.read().splitlines()[-1])
    assert shown["tailrace_records_total", (("result", "rejected"),)] == closing_words["rejects"] == 3
    assert closing_words["lines"] == 303
    by_rule = sum(value for (name, _), value in shown.items() if name == "tailrace_alerts_total")
    assert 0 < by_rule <= closing_words["alerts"]  # a tick since then may have found one more
    assert closing_words["alerts"] == sum(v for (name, _), v in counted(folder).items() if "alerts" in name)


def test_deliveries_are_counted_by_receiver(folder: Folder) -> None:
    """Those of the state file, and what waits while a server is down."""
    script = Script([500])
    with serving(script):
        url = script.url
    jsonl = f'[[receivers.jsonl]]\nname = "file"\npath = "{folder.path / "told.jsonl"}"\n'
    webhook = f'[[receivers.webhook]]\nname = "down"\nurl = "{url}"\nallow_private = true\n'
    folder.config.write_text(CONFIG + WEB.format(port=0) + jsonl + webhook)

    def of(receiver: str, outcome: str) -> float:
        return scraped(port)["tailrace_deliveries_total", (("outcome", outcome), ("receiver", receiver))]

    with watching(folder) as (_, port):
        until(lambda: of("file", "delivered") == revisions(folder) > 0)
        until(lambda: of("down", "failed") > 0)
        assert of("file", "failed") == of("down", "delivered") == 0
        assert len((folder.path / "told.jsonl").read_bytes().splitlines()) == revisions(folder)
        until(lambda: scraped(port).get(("tailrace_deliveries_waiting", (("receiver", "down"),)), 0) > 0)
        assert scraped(port)["tailrace_deliveries_dead", (("receiver", "down"),)] == 0


def revisions(folder: Folder) -> int:
    """How many revisions are in the outbox."""
    with closing(sqlite3.connect(folder.state, timeout=30.0)) as connection:
        return int(connection.execute("SELECT count(*) FROM outbox").fetchone()[0])


def test_a_restart_knows_the_sources_that_there_are(folder: Folder) -> None:
    """Counters begin anew, as Prometheus expects; what is there is there."""
    sources = ("tailrace_sources", ())
    with watching(folder) as (process, port):
        until(lambda: scraped(port)[sources] == counted(folder)[sources] == 3)
        process.send_signal(signal.SIGTERM)
        process.wait()
    with folder.log.open("ab") as file:
        file.writelines(lines_of(7, 301)[300:])
    with watching(folder) as (_, port):
        until(lambda: scraped(port)["tailrace_records_total", (("result", "decoded"),)] >= 1)
        assert scraped(port)[sources] == 3


def test_a_port_that_is_taken_is_said_with_its_key(folder: Folder, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 2; nothing has been read by then."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        folder.config.write_text(CONFIG + WEB.format(port=other.getsockname()[1]))
        assert run(app, [*folder.words(), "--once"]) == 2
    assert re.search(r"web\.listen: cannot listen on 127.0.0.1:\d+ \(Address already in use\)", said(capfd))
    assert counted(folder)["tailrace_sources", ()] == 0


def listeners(pid: int) -> set[str]:
    """The sockets of a process that listen for TCP, as Linux numbers them."""
    own = set[str]()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            own.add(str(link.readlink()))
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()]
    return {row[9] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own}


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc")
def test_without_the_option_nothing_listens(folder: Folder) -> None:
    """It is off unless somebody asks for it."""
    with watching(folder) as (process, _):
        assert len(listeners(process.pid)) == 1
    folder.config.write_text(CONFIG)
    with tailrace(*folder.words(), "--from", "start", stdout=subprocess.DEVNULL) as process:
        before = commits_of(folder.state)
        with folder.log.open("ab") as file:
            file.writelines(lines_of(7, 310)[300:])
        until(lambda: commits_of(folder.state) > before)
        assert listeners(process.pid) == set()


def test_a_session_bundle_is_served_alike(folder: Folder) -> None:
    """Expected alerts go by sessions there."""
    small_bundle(folder.bundle, session=True)
    with watching(folder) as (_, port):
        until(lambda: scraped(port)["tailrace_expected_alerts_total", ()] > 0)
        assert scraped(port)["tailrace_alert_budget", ()] == 200.0


def test_a_new_bundle_is_taken_up_while_it_watches(folder: Folder) -> None:
    """The metric names it at once, and the state file once the last source has changed over to it."""
    first = folder.bundle.rename(folder.path / "first")
    folder.bundle.symlink_to(first)
    second = small_bundle(folder.path / "second", session=False, seed=1)
    folder.config.write_text(folder.config.read_text() + "[bundle]\npoll_s = 0.05\n")
    names = {load(first).id, second.id}

    def shown(port: int) -> set[str]:
        found = {labels[0][1] for name, labels in scraped(port) if name == "tailrace_bundle_info"}
        assert found <= names
        return found

    def named() -> str:
        with closing(sqlite3.connect(folder.state, timeout=30.0)) as connection:
            return str(connection.execute("SELECT bundle FROM shard").fetchone()[0])

    with watching(folder) as (process, port):
        until(lambda: commits_of(folder.state) > 0)
        assert shown(port) == names - {second.id}
        (folder.path / "next").symlink_to(second.path)
        (folder.path / "next").rename(folder.bundle)
        until(lambda: shown(port) == {second.id})
        with folder.log.open("ab") as file:
            file.writelines(lines_of(7, 900)[300:])
        until(lambda: named() == second.id)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
