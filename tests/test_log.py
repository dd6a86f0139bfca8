"""What a daemon says of itself: entries in one form, and no flood of them."""

import json
import logging
import threading
from pathlib import Path

import pytest

from detector.cli.repeats import AGAIN_S, MOST, Repeats
from detector.cli.start import read_settings
from detector.cli.working import threads_that_fail_are_logged


def said(repeats: Repeats, template: str, *values: object) -> str | None:
    """What a library's words become; None where they are kept back."""
    record = logging.LogRecord("aiokafka", logging.ERROR, "file", 1, template, values, None)
    return record.getMessage() if repeats.filter(record) else None


def test_what_is_said_again_and_again_is_said_now_and_then() -> None:
    """The first at once, then one in a while, with their number; what is filled in makes no difference."""
    now_s = 0.0
    repeats = Repeats(lambda: now_s)
    assert said(repeats, "no node %s", 1) == "no node 1"
    assert [said(repeats, "no node %s", node) for node in range(100)] == [None] * 100
    assert said(repeats, "100% of another kind") == "100% of another kind"
    now_s = AGAIN_S
    assert said(repeats, "no node %s", 2) == "no node 2 (and 100 more like it before)"
    assert said(repeats, "no node %s", 3) is None
    now_s = 2 * AGAIN_S
    assert said(repeats, "no node %s", 4) == "no node 4 (and 1 more like it before)"


def test_little_is_remembered_of_what_was_said() -> None:
    """Where a library fills in by itself, each is another."""
    repeats = Repeats(lambda: 0.0)
    assert all(said(repeats, f"number {number}") for number in range(MOST + 1))
    assert said(repeats, "number 0") == "number 0"
    assert said(repeats, f"number {MOST}") is None


def test_a_thread_that_fails_is_one_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a traceback of many lines, which no collector of JSON can read."""
    config = tmp_path / "tailrace.toml"
    config.write_text("")
    read_settings(config)
    with threads_that_fail_are_logged():
        thread = threading.Thread(target=int, args=("no number",))
        thread.start()
        thread.join()
    [line] = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["event"] == "a thread has failed"
    assert "ValueError: invalid literal for int()" in entry["exception"]
