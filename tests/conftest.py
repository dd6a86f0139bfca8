"""What every test shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fits import JOBS, Fits
from tests.kafka_rights import guarded_with_users
from tests.recordings import SYSTEMS
from tests.servers.kafka import Broker
from tests.servers.kafka_guarded import Guarded
from tests.servers.redis import Server, serving

# Before numpy and torch are imported: several threads on small matrices only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test that fails because the machine is busy says nothing.
settings.register_profile("tailrace", deadline=None)
settings.load_profile("tailrace")

FITTED = {"jobs": (JOBS,), "bundles": SYSTEMS, "session_bundle": ("sessions",)}  # what fixtures ask for

# Begun first, so that no process is left with one of them when the others have nothing to do any more.
LONG = (
    "test_kill",
    "test_redis_away",
    "test_kafka_away",
    "test_sessions",
    "test_kafka_group",
    "test_crew",
    "test_routing",
    "test_told_to_end",
    "test_second_reader",
    "test_fit_topic",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests into the order in which processes take them."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def folder_of_run(factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same one for every process that shares its tests."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


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
def fits(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fits]:
    """Begin at once with the bundles that tests will ask for: they are there by then."""
    found = Fits(folder_of_run(tmp_path_factory) / "fits")
    asked = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for fixture, names in FITTED.items():
        for name in names if fixture in asked else ():
            found.start(name)
    yield found
    found.close()


@pytest.fixture(scope="session")
def bundles(fits: Fits) -> dict[str, Path]:
    """One bundle for each recorded server, fitted at one false alert a day."""
    return {system: fits.start(system).result() / "bundle" for system in SYSTEMS}


@pytest.fixture(scope="session")
def session_bundle(fits: Fits) -> Path:
    """A bundle that knows PostgreSQL's sessions."""
    return fits.start("sessions").result() / "bundle"


@pytest.fixture(scope="session")
def jobs(fits: Fits) -> Path:
    """A folder with `normal.log`, our own jobs; the `bundle` that was fitted on it, and what that `said`."""
    return fits.start(JOBS).result()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis for the tests of one file, which leave it running."""
    with serving(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of long-lived sources, untrained."""
    return _untrained(tmp_path_factory.mktemp("bundle"), session=False)


@pytest.fixture(scope="module", params=[True, False], ids=["sessions", "streams"])
def session(request: pytest.FixtureRequest) -> bool:
    """Both kinds of sources."""
    return bool(request.param)


@pytest.fixture(scope="module")
def bundle_of_kind(session: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of that kind, untrained."""
    return _untrained(tmp_path_factory.mktemp("bundle"), session=session)


def _untrained(path: Path, *, session: bool) -> Path:
    from tests.small_bundle import small_bundle  # noqa: PLC0415  (imports torch: not every test needs it)

    small_bundle(path, session=session)
    return path
