"""What every test shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka_rights import guarded_with_users
from tests.recordings import SYSTEMS, Fits
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


@pytest.fixture(scope="session", autouse=True)
def fits(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fits:
    """Begin at once with the bundles that tests will ask for: they are there by then."""
    found = Fits(tmp_path_factory.mktemp("fits"))
    asked = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in (
        *(SYSTEMS if "bundles" in asked else ()),
        *(["sessions"] if "session_bundle" in asked else []),
    ):
        found.start(name)
    return found


@pytest.fixture(scope="session")
def bundles(fits: Fits) -> dict[str, Path]:
    """One bundle for each recorded server, fitted at one false alert a day."""
    return {system: fits.start(system).result() for system in SYSTEMS}


@pytest.fixture(scope="session")
def session_bundle(fits: Fits) -> Path:
    """A bundle that knows PostgreSQL's sessions."""
    return fits.start("sessions").result()
