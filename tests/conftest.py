"""What every test shares."""

import os
from collections.abc import Iterator

import pytest

from tests.servers.kafka import Broker

# Before numpy and torch are imported: several threads on small matrices only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all tests: a test names its topics after itself, and leaves the broker running."""
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
