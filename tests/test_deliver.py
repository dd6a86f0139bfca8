"""The deliverer as a thread and as one pass: at its own pace, at least once, whole after a crash."""

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from structlog.testing import capture_logs

from detector.errors import BadSetup, Unavailable
from detector.notify.deliver import Deliverer
from detector.notify.jsonl import append_line
from detector.notify.lane import TOO_OLD, Habits
from detector.notify.receivers import (
    STDOUT,
    ConsoleReceiver,
    JsonLinesReceiver,
    Receiver,
    Schedule,
    WebhookReceiver,
)
from detector.records import Revision
from detector.store.deliveries import Deliveries, open_deliveries
from tests.delivery import Clock, StateFile, revision, webhook
from tests.receiver import SECRET, SLOW, Script, free_port, serving
from tests.watching import until

DEADLINE_S = 20.0  # only a failing test waits as long


def test_an_alert_is_sent_as_soon_as_it_is_committed(tmp_path: Path) -> None:
    """The thread sleeps until it is told, and sends at once."""
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        deliverer = state.deliverer()
        deliverer.start()
        state.append(revision("a", 1))
        deliverer.wake()
        assert server.arrived.wait(DEADLINE_S)
        deliverer.stop(DEADLINE_S)
    assert state.states() == {"delivered": 1}


def test_retries_follow_their_schedule_without_being_told(tmp_path: Path) -> None:
    """The thread wakes by itself when the next attempt is due."""
    with serving(Script([500, 502, 200])) as server:
        schedule = Schedule((0.0, 0.01, 0.01))
        receiver = WebhookReceiver(
            "ops", server.url, (SECRET,), allow_private=True, schedule=schedule, slow_down_s=0.01
        )
        state = StateFile(tmp_path / "state.db", [receiver])
        state.append(revision("a", 1))
        deliverer = state.deliverer()
        with capture_logs() as logs:
            deliverer.start()
            assert server.last_asked.wait(DEADLINE_S)
            deliverer.stop(DEADLINE_S)
    assert server.ids == ["a.1"] * 3
    assert [log["event"] for log in logs] == ["receiver failing", "receiver answers again"]


def test_a_slow_receiver_holds_up_no_other(tmp_path: Path) -> None:
    """Every receiver has its own pace."""
    with serving(Script([SLOW])) as slow, serving(Script()) as fast:
        receivers = [webhook(slow, name="slow"), webhook(fast, name="fast")]
        state = StateFile(tmp_path / "state.db", receivers)
        state.append(revision("a", 1))
        deliverer = state.deliverer()
        deliverer.start()
        assert slow.arrived.wait(DEADLINE_S)
        assert fast.arrived.wait(DEADLINE_S)
        deliverer.stop(0.05)
    assert state.states("slow") == {"pending": 1}


def test_stopping_finishes_the_requests_in_hand(tmp_path: Path) -> None:
    """An answer that comes within the deadline is noted."""
    script = Script([SLOW])
    with serving(script) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        deliverer = state.deliverer()
        deliverer.start()
        assert server.arrived.wait(DEADLINE_S)
        server.closing.set()  # the server hangs up, which is an answer too
        deliverer.stop(DEADLINE_S)
    assert state.errors() == ["closed the connection without an answer"]


def test_revisions_of_an_alert_arrive_in_order(tmp_path: Path) -> None:
    """One pass sends all of them, the lower first."""
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(*(revision(name, number) for number in (1, 2, 3) for name in ("a", "b")))
        state.deliverer().drain()
    for name in ("a", "b"):
        assert [sent for sent in server.ids if sent.startswith(name)] == [f"{name}.{n}" for n in (1, 2, 3)]


def test_after_a_kill_the_same_id_and_body_are_sent_again(tmp_path: Path) -> None:
    """A process that dies before an answer was noted sends the same message after its restart."""
    with serving(Script([SLOW, 200])) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server, timeout_s=60)])
        state.append(revision("a", 1))
        with _delivering(state.path, server.url):
            assert server.arrived.wait(DEADLINE_S)
        state.deliverer().drain()
        first, second = server.requests
    assert (first.webhook_id, first.body) == (second.webhook_id, second.body)
    assert first.verify() == second.verify()
    assert state.states() == {"delivered": 1}


def test_after_a_kill_between_attempts_the_retry_keeps_id_and_body(tmp_path: Path) -> None:
    """What a dead process had failed to send is sent by the next one, when it is due."""
    clock = Clock()
    with serving(Script([500, 200])) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        with _delivering(state.path, server.url) as process:
            assert process.stderr is not None
            assert "receiver failing" in process.stderr.readline()
        state.deliverer(clock).drain()
        assert len(server.requests) == 1
        clock.now_s += 100
        state.deliverer(clock).drain()
        first, second = server.requests
    assert (first.webhook_id, first.body) == (second.webhook_id, second.body)


@contextmanager
def _delivering(path: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that delivers, and kill it where it stands."""
    script = dedent(
        """
        import random, signal, sys, time
        from functools import partial
        from pathlib import Path
        import structlog
        from detector.notify.deliver import Deliverer
        from detector.notify.receivers import Schedule, WebhookReceiver
        from detector.store.deliveries import open_deliveries

        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        path, url, secret = sys.argv[1:]
        receiver = WebhookReceiver(
            "ops", url, (secret,), allow_private=True, schedule=Schedule((0.0, 60.0), jitter=0)
        )
        deliverer = Deliverer(
            [receiver],
            partial(open_deliveries, Path(path)),
            stdout=sys.stdout,
            clock=time.time,
            random=random.random,
        )
        deliverer.start()
        signal.pause()
        """
    )
    command = [sys.executable, "-c", script, str(path), url, SECRET]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def test_a_file_gets_every_revision_in_order(tmp_path: Path) -> None:
    """Each line is the alert as it was committed; lines of others stay, whole."""
    file = tmp_path / "alerts.jsonl"
    file.write_bytes(b"a line that was cut off")
    state = StateFile(tmp_path / "state.db", [JsonLinesReceiver("file", str(file))])
    revisions = [revision("a", 1), revision("a", 2), revision("b", 1), revision("a", 3, "resolved")]
    state.append(*revisions)
    state.deliverer().drain()
    assert file.read_bytes().splitlines() == [
        b"a line that was cut off",
        *(item.payload for item in revisions),
    ]


def test_a_file_that_cannot_be_written_misses_nothing(tmp_path: Path) -> None:
    """A file is tried for ever, and gets every revision once it can be written."""
    clock, folder = Clock(), tmp_path / "missing"
    state = StateFile(tmp_path / "state.db", [JsonLinesReceiver("file", str(folder / "alerts.jsonl"))])
    state.append(revision("a", 1), revision("a", 2))
    for _ in range(20):
        state.deliverer(clock).drain()
        clock.now_s += 100
    folder.mkdir()
    state.deliverer(clock).drain()
    lines = (folder / "alerts.jsonl").read_text().splitlines()
    assert [json.loads(line)["revision"] for line in lines] == [1, 2]


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    """A full disk leaves no half line behind."""
    with pytest.raises(OSError, match="No space left"):
        append_line(Path("/dev/full"), b"{}")
    file = tmp_path / "a.jsonl"
    append_line(file, b"{}")
    assert file.read_bytes() == b"{}\n"


def test_standard_output_gets_json_lines_or_text(tmp_path: Path) -> None:
    """Both are receivers with a delivery state of their own."""
    stdout = io.StringIO()
    state = StateFile(tmp_path / "state.db", [JsonLinesReceiver("json", STDOUT), ConsoleReceiver()])
    state.append(revision("a", 1))
    state.deliverer(stdout=stdout).drain()
    assert revision("a", 1).payload.decode() + "\n" in stdout.getvalue()
    assert "stopped half-way" in stdout.getvalue()
    assert state.states("json") == state.states("tailrace:console") == {"delivered": 1}


def test_a_closed_standard_output_ends_delivery(tmp_path: Path) -> None:
    """Nobody reads any more: the shell learns it at the next wake, and the alert still waits."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        state = StateFile(tmp_path / "state.db", [JsonLinesReceiver("json", STDOUT)])
        state.append(revision("a", 1))
        deliverer = state.deliverer(stdout=stdout)  # type: ignore[arg-type]
        deliverer.start()
        with pytest.raises(BrokenPipeError):
            deliverer.stop(DEADLINE_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
    assert state.states("json") == {"pending": 1}


def test_every_receiver_that_cannot_work_is_named_at_once(tmp_path: Path) -> None:
    """One start shows every fault."""
    receivers: list[Receiver] = [
        WebhookReceiver("one", "nowhere", ()),
        ConsoleReceiver("two", schedule=Schedule(())),
    ]
    state = StateFile(tmp_path / "state.db", receivers)
    with pytest.raises(BadSetup, match=r"one.*two"):
        state.deliverer()


def test_stopping_what_never_started_is_harmless(tmp_path: Path) -> None:
    """The shell stops what it has, whatever happened before."""
    state = StateFile(tmp_path / "state.db", [webhook(Script(port=free_port()))])
    deliverer = state.deliverer()
    deliverer.stop(DEADLINE_S)
    deliverer.wake()


def test_an_outbox_that_cannot_be_opened_is_said_at_start(tmp_path: Path) -> None:
    """The thread does not die quietly."""
    state = StateFile(tmp_path / "state.db", [webhook(Script(port=free_port()))])
    state.path = tmp_path / "missing" / "state.db"
    with pytest.raises(sqlite3.OperationalError):
        state.deliverer().start()


def test_without_receivers_nothing_runs(tmp_path: Path) -> None:
    """The shell need not ask whether anybody listens."""
    deliverer = StateFile(tmp_path / "state.db", []).deliverer()
    for _ in range(2):
        deliverer.start()
        deliverer.wake()
        deliverer.stop(DEADLINE_S)
    deliverer.drain()


def test_an_alert_of_long_ago_is_kept_and_not_sent(tmp_path: Path) -> None:
    """Whoever starts on a year of logs is not woken by last winter, nor told that it is over."""
    alert = revision("a", 1)
    clock = at_s(alert, 60.0)
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(alert, revision("a", 2), revision("a", 3, "resolved"))
        state.deliverer(clock, habits=Habits(max_age_s=59.0)).drain()
    assert server.ids == []
    assert state.states() == {"dead": 3}
    assert state.errors() == [TOO_OLD] * 3


def test_a_start_knows_which_alerts_were_too_old_to_be_sent(tmp_path: Path) -> None:
    """Nobody is told that something is over of which he never heard, whoever left it out."""
    alert = revision("a", 1)
    clock = at_s(alert, 60.0)
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        for one in (alert, revision("a", 2), revision("a", 3, "resolved")):
            state.append(one)
            state.deliverer(clock, habits=Habits(max_age_s=59.0)).drain()
    assert server.ids == []
    assert state.errors() == [TOO_OLD] * 3


def test_what_changes_of_an_alert_that_was_sent_is_told_however_old_it_is(tmp_path: Path) -> None:
    """It may fire for longer than alerts may be late."""
    alert = revision("a", 1)
    clock = at_s(alert, 1.0)
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        for one in (alert, revision("a", 2)):
            state.append(one)
            state.deliverer(clock, habits=Habits(max_age_s=59.0)).drain()
            clock.now_s += 10_000.0
    assert server.ids == ["a.1", "a.2"]


def test_what_was_read_before_a_standstill_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped for a while sends nothing that another one has sent since."""
    times = iter([0.0, 2.0, *[3.0] * 9])

    def standing_still() -> float:
        now_s = next(times)
        if now_s == 2.0:
            with open_deliveries(state.path) as other:
                other.delivered("ops", 1)
        return now_s

    monkeypatch.setattr("detector.notify.lane.monotonic", standing_still)
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer().drain()
    assert server.ids == []
    assert state.states() == {"delivered": 1}


def test_an_alert_that_was_sent_is_resolved_however_late(tmp_path: Path) -> None:
    """It must not fire for ever at the receiver because we were away for a while."""
    alert = revision("a", 1)
    clock = at_s(alert, 1.0)
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        for one in (alert, revision("a", 2, "resolved")):
            state.append(one)
            state.deliverer(clock, habits=Habits(max_age_s=59.0)).drain()
            clock.now_s += 10_000.0
    assert server.ids == ["a.1", "a.2"]


def test_what_was_new_is_sent_however_long_the_receiver_is_away(tmp_path: Path) -> None:
    """Age counts at the first attempt."""
    alert = revision("a", 1)
    clock = at_s(alert, 60.0)
    with serving(Script([500, 204])) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server, delays_s=(0.0, 10.0))])
        state.append(alert)
        for _ in range(2):
            state.deliverer(clock, habits=Habits(max_age_s=61.0)).drain()
            clock.now_s += 10.0
    assert server.ids == ["a.1", "a.1"]
    assert state.states() == {"delivered": 1}


def at_s(alert: Revision, later_s: float) -> Clock:
    """A clock that long after what the alert tells."""
    told, clock = json.loads(alert.payload), Clock()
    clock.now_s = datetime.fromisoformat(told["resolved_at"] or told["opened_at"]).timestamp() + later_s
    return clock


class Away:
    """An outbox that cannot be reached for a while."""

    def __init__(self, deliveries: Deliveries, failures: list[str]) -> None:
        """Fail the named calls, each once, in any order."""
        self._deliveries, self._failures = deliveries, failures

    def __getattr__(self, name: str) -> Any:
        """The call of the real outbox, after its failure."""
        if name in self._failures:
            self._failures.remove(name)
            raise Unavailable("redis at 127.0.0.1:1 gave no answer")
        return getattr(self._deliveries, name)


@pytest.mark.parametrize("failing", ["due", "delivered", "next_due_s", "supersede"])
def test_an_outbox_that_is_away_is_waited_for(tmp_path: Path, failing: str) -> None:
    """The thread goes on; what was sent and could not be noted is sent again, with the same id and body."""
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])

        @contextmanager
        def opened() -> Iterator[Any]:
            with open_deliveries(state.path) as deliveries:
                yield Away(deliveries, [failing])

        deliverer = Deliverer(
            state.receivers,
            opened,
            stdout=io.StringIO(),
            clock=time.time,
            random=lambda: 0.0,
            habits=Habits(waits_for_outbox=True),
        )
        state.append(revision("a", 1))
        with capture_logs() as logs:
            deliverer.start()
            until(lambda: state.states() == {"delivered": 1})
            deliverer.stop(DEADLINE_S)
    assert server.ids == ["a.1"] * (2 if failing == "delivered" else 1)
    assert [log["event"] for log in logs] == ["deliveries wait for the outbox"]
