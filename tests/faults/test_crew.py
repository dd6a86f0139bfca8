"""Workers that come, go, die and sleep while others work on."""

import pytest

from tests.faults.crew import pause, wake
from tests.faults.stage import Staged


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
def test_workers_join_leave_and_die_in_the_middle_of_batches(on_stage: Staged, keyed: bool) -> None:
    """Shards go to and fro; one that leaves is gone at once, one that died is outwaited."""
    with on_stage(f"join-leave-die-{keyed:d}", keyed=keyed) as stage:
        stage.come_on()
        second = stage.crew.hire()
        stage.until(lambda: stage.members() == 2)
        stage.come_on(200)
        stage.crew.let_go(second)
        stage.come_on(200)
        third = stage.crew.hire()
        stage.until(lambda: stage.members() == 2)
        stage.come_on(200)
        stage.crew.kill(third)
        stage.come_on(200)
        stage.finish()


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
def test_a_worker_that_slept_through_its_session_changes_nothing_when_it_wakes(
    on_stage: Staged, keyed: bool
) -> None:
    """Others have its shards by then: what it still had in hand is refused, by Redis and by Kafka."""
    with on_stage(f"zombie-{keyed:d}", workers=2, session=False, keyed=keyed) as stage:
        stage.notices.in_order = False  # it may be stopped within a request, and end it as it wakes
        stage.until(lambda: stage.members() == 2)
        stage.come_on()
        sleeper = stage.crew.workers[0]
        pause(sleeper)
        stage.until(lambda: stage.members() == 1)
        stage.come_on(300)
        wake(sleeper)
        stage.until(lambda: stage.members() == 2)
        stage.come_on(300)
        stage.finish()
