"""A broker that dies or hangs is waited for, and nobody who is told to end waits with it."""

import sys
from collections.abc import Iterator

import pytest

from tests.faults.stage import Staged
from tests.servers.kafka import Broker, listens
from tests.watching import until
from tests.workers import said


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that no other file uses."""
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def own(lone: Broker) -> Iterator[Broker]:
    """That broker, which serves again whatever a test did to it and failed."""
    yield lone
    lone.thaw()
    if not listens(lone.port):
        lone.start()


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
def test_a_broker_that_dies_is_outwaited(on_stage: Staged, own: Broker, keyed: bool) -> None:
    """Killed and started, with lines on their way to it."""
    with on_stage(f"broker-dies-{keyed:d}", broker=own.address, keyed=keyed) as stage:
        for _ in range(2):
            stage.come_on(100)
            own.kill()
            own.start()
        stage.come_on(100)
        stage.finish()


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "routed"])
@pytest.mark.parametrize("fault", ["dies", "hangs"])
def test_told_to_end_while_kafka_is_away_it_is_gone_in_time(
    on_stage: Staged, own: Broker, fault: str, keyed: bool
) -> None:
    """There is nobody to say goodbye to, and nobody to end what was begun to be routed."""
    with on_stage(f"kafka-{fault}-{keyed:d}", broker=own.address, keyed=keyed) as stage:
        stage.come_on(100)
        if fault == "dies":
            own.kill()
        else:
            own.freeze()
        stage.crew.let_go(stage.crew.workers[0])
        stage.crew.hire()  # waits for it
        if fault == "dies":
            own.start()
        else:
            own.thaw()
        stage.come_on(100)
        stage.finish()
    sys.stdout.write(f"seconds to the end: {stage.crew.ended_s}\n")


def test_a_broker_that_hangs_for_longer_is_waited_for(on_stage: Staged, own: Broker) -> None:
    """Nobody gets an answer then, whoever asks, so that a new start would be of no use."""
    with on_stage("kafka-hangs-long", broker=own.address, stall_timeout_s=2.0) as stage:
        stage.come_on(100)
        before, exits = len(said(stage.crew.errors, "waiting for Kafka")), list(stage.crew.exits)
        own.freeze()
        # Two of them ask the worker's client; then it is seen whether another one gets an answer.
        until(lambda: len(said(stage.crew.errors, "waiting for Kafka")) > before + 4)
        assert stage.crew.workers[0].exitcode is None
        assert stage.crew.exits == exits
        own.thaw()
        stage.come_on(100)
        stage.finish()
