"""Recorded incidents of real servers alert in their windows; recorded normal work does not.

What is expected comes from the time line that each fault script wrote by its own clock
(tests/fixtures/README.md). Event time in the recordings runs 360 times faster than the wall.
"""

import gzip
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.recordings import FIXTURES, SESSION_ID, run

GRACE = timedelta(minutes=1)  # a sixth of a second when it was recorded
PAYMENT = re.compile(rb"statement: (INSERT INTO payments|UPDATE orders SET state = 'paid')")

REDIS = ["kill-9", "disk-full", "link-cut", "out-of-memory", "corrupt-aof", "bad-reload"]
POSTGRES = ["kill-9", "backend-killed", "disk-full", "wrong-password", "corrupt-page", "bad-reload", "lock"]


def alerts_of(recording: Path, bundle: Path) -> list[dict[str, Any]]:
    """The last revision of every alert that a replay gives."""
    rows = [
        msgspec.json.decode(line)
        for line in run(
            "detector.cli", "replay", str(recording), "--bundle", str(bundle), "--format", "json"
        ).splitlines()
    ]
    last = {row["alert_id"]: row for row in rows if row["schema"] == "tailrace.alert/1"}
    return list(last.values())


def is_evidence(alert: dict[str, Any], expressions: list[str]) -> bool:
    """Whether an alert shows what the fault script says can be seen."""
    if alert["rule"] == "silence" and "silence" in expressions:
        return True
    return any(re.search(expression, line["text"]) for expression in expressions for line in alert["lines"])


@pytest.mark.parametrize(
    ("system", "name"), [("redis", name) for name in REDIS] + [("postgres", name) for name in POSTGRES]
)
def test_an_incident_alerts_in_its_window_with_its_evidence(
    bundles: dict[str, Path], system: str, name: str
) -> None:
    """From the right source, inside the fault's window, showing the lines that tell of it; none before."""
    recording = FIXTURES / system / name
    fault = msgspec.json.decode(recording.with_suffix(".json").read_bytes())
    begin, end = (datetime.fromisoformat(fault[key]) for key in ("begin", "end"))
    alerts = alerts_of(recording, bundles[system])
    opened = [datetime.fromisoformat(alert["opened_at"]) for alert in alerts]
    inside = [a for a, at in zip(alerts, opened, strict=True) if begin - GRACE <= at <= end + GRACE]
    right = [a for a in inside if Path(a["source"]).name.startswith(fault["source"])]
    assert any(is_evidence(alert, fault["evidence"]) for alert in right)
    assert all(at >= begin - GRACE for at in opened)


@pytest.mark.parametrize("system", ["redis", "postgres"])
@pytest.mark.parametrize("name", ["normal-a", "normal-b"])
def test_normal_work_that_was_never_fitted_gives_no_alert(
    bundles: dict[str, Path], system: str, name: str
) -> None:
    """Another seed and another load, more than 20,000 lines: still none at one false alert a day."""
    alerts = alerts_of(FIXTURES / system / name, bundles[system])
    assert [(a["rule"], a["source"], a["position"]) for a in alerts] == []


def test_sessions_that_stop_half_way_are_found(session_bundle: Path) -> None:
    """No line of theirs is odd: what is missing is found when they end."""
    recording = FIXTURES / "postgres" / "half-done"
    fault = msgspec.json.decode(recording.with_suffix(".json").read_bytes())
    found = {alert["source"] for alert in alerts_of(recording, session_bundle)}
    hit = {source for source in found if any(re.search(one, source) for one in fault["sessions"])}
    assert len(hit) >= 0.8 * len(fault["sessions"])
    assert len(found - hit) <= 1


def test_two_steps_in_the_wrong_order_are_found(session_bundle: Path, tmp_path: Path) -> None:
    """Every tenth checkout marks its order paid before it pays: each step is there, at the other's place."""
    log, hit = _paid_before_payment(FIXTURES / "postgres" / "normal-a" / "postgres.log.gz", every=10)
    (tmp_path / "postgres.log").write_bytes(log)
    found = {alert["source"] for alert in alerts_of(tmp_path, session_bundle)}
    assert len(hit) > 10
    assert len(hit & found) >= 0.9 * len(hit)
    assert len(found - hit) <= 3


def _paid_before_payment(recording: Path, every: int) -> tuple[bytes, set[str]]:
    """The lines with both statements exchanged in one checkout of so many, and the sessions that it hit."""
    lines = gzip.decompress(recording.read_bytes()).splitlines()
    steps: dict[str, dict[bytes, int]] = {}
    for number, line in enumerate(lines):
        if (named := re.match(SESSION_ID, line.decode())) and (step := PAYMENT.search(line)):
            steps.setdefault(named[1], {})[step[1]] = number
    paid = [session for session, found in steps.items() if len(found) == 2][::every]
    for session in paid:
        one, other = steps[session].values()
        (head, first), (tail, second) = (lines[at].split(b"  statement: ") for at in (one, other))
        lines[one], lines[other] = head + b"  statement: " + second, tail + b"  statement: " + first
    return b"\n".join(lines) + b"\n", set(paid)


@pytest.mark.parametrize("name", ["normal-a", "normal-b"])
def test_normal_sessions_keep_to_their_budget(session_bundle: Path, name: str) -> None:
    """At five false alerts per 10,000 sessions, two thousand normal ones give at most a few."""
    alerts = alerts_of(FIXTURES / "postgres" / name, session_bundle)
    assert len(alerts) <= 3
