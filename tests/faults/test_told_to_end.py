"""A worker that is told to end is gone in time, whatever else hangs; and receivers that take nothing."""

import sys
from pathlib import Path

import pytest

from tests.faults.stage import Staged
from tests.servers.redis import serving as redis_serving


def test_told_to_end_under_load_it_is_gone_in_time(on_stage: Staged) -> None:
    """The batch in hand is committed, and the next worker goes on at once: it need not outwait anybody."""
    with on_stage("told-to-end") as stage:
        for _ in range(3):
            stage.come_on(100)
            stage.crew.let_go(stage.crew.workers[0])
            stage.crew.hire()
        stage.come_on(100)
        stage.finish()
    sys.stdout.write(f"seconds to the end: {stage.crew.ended_s}\n")


@pytest.mark.parametrize("hangs", ["redis", "receiver"])
def test_told_to_end_while_others_hang_it_is_gone_in_time(
    on_stage: Staged, hangs: str, tmp_path: Path
) -> None:
    """What is in hand is abandoned without a commit, or delivered again: exit within ten seconds."""
    with (
        redis_serving(tmp_path / "own") as server,
        on_stage(f"hangs-{hangs}", redis=server.url, timeout_s=30.0) as stage,
    ):
        stage.come_on(100)
        stage.notices.be_slow()
        asked = len(stage.notices.script.requests)
        stage.until(lambda: len(stage.notices.script.requests) > asked)
        if hangs == "redis":
            server.freeze()
            stage.notices.down()  # so that this is to be noted in the outbox
        stage.crew.let_go(stage.crew.workers[0])
        server.thaw()
        stage.notices.down()
        stage.notices.up()
        stage.crew.hire()
        stage.come_on(100)
        stage.finish()
    sys.stdout.write(f"seconds to the end: {stage.crew.ended_s}\n")


def test_a_receiver_that_is_down_slow_or_broken_gets_everything_once_it_is_back(on_stage: Staged) -> None:
    """And the lines do not wait for it."""
    with on_stage("receiver", session=False) as stage:
        stage.come_on(100)
        for fault in (stage.notices.down, stage.notices.be_slow, lambda: stage.notices.answer(500)):
            fault()
            asked = len(stage.notices.script.requests)
            stage.come_on(300)
            if fault != stage.notices.down:
                stage.until(lambda: len(stage.notices.script.requests) > asked)  # noqa: B023  (called here)
            stage.notices.down()
            stage.notices.up()
        stage.finish()
