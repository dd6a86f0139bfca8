"""A worker that dies while it routes: each line is judged once."""

import random
import sys

import pytest

from tests.faults.dying import POINTS
from tests.faults.stage import Staged


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_dies_in_a_transaction_of_routing(
    on_stage: Staged, point: str, rng: random.Random
) -> None:
    """Kill -9 between sending lines and the commit of how far they were read: each is judged once."""
    transaction = rng.randrange(1, 6)
    sys.stdout.write(f"transaction {transaction}\n")
    with on_stage(f"dies-{point}", keyed=False, workers=0) as stage:
        stage.crew.bury(stage.crew.hire(dies=(point, transaction)))
        stage.crew.hire()
        stage.come_on(100)
        stage.finish()
