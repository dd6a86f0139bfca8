"""A worker that is killed again and again comes to what a replay of the lines comes to."""

import random
import sys
import threading

import pytest

from tests.faults.stage import Staged

KILLS, FEWER_KILLS = 9, 4  # of each kind of sources
ENOUGH = 1000  # lines, for some alerts whatever lines they are


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
@pytest.mark.parametrize("session", [True, False], ids=["sessions", "streams"])
def test_kill_9_at_random_instants(on_stage: Staged, session: bool, keyed: bool, rng: random.Random) -> None:
    """While it starts, joins, works and delivers, again and again: nothing is lost, doubled or different."""
    with on_stage(f"kill-9-{session:d}{keyed:d}", session=session, keyed=keyed) as stage:
        instant = threading.Event()
        for _ in range(KILLS if keyed else FEWER_KILLS):
            if rng.random() < 0.5:
                stage.come_on(rng.choice([1, 100, 300]))
                instant.wait(rng.uniform(0.0, 0.05))
            else:
                instant.wait(rng.uniform(0.0, 1.0))
            stage.crew.kill(stage.crew.workers[0])
            stage.crew.hire()
        stage.come_on(ENOUGH)  # however the dice fell
        revisions = stage.finish()
    assert len(revisions) > 5
    sys.stdout.write(f"{len(stage.load.lines)} lines, {len(revisions)} revisions\n")
