"""What every test shares."""

import os
from collections.abc import Iterator

import pytest

from tests.kafka_rights import guarded_with_users
from tests.servers.kafka import Broker
from tests.servers.kafka_guarded import Guarded

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


@pytest.fixture(scope="session")
def kafka_guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One broker with logins and rights for all tests that need them."""
    with guarded_with_users(tmp_path_factory.mktemp("kafka-guarded")) as broker:
        yield broker
