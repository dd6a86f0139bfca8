"""What the tests under faults share: a drawn seed, two small bundles, and the stage of one topic."""

import random
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import Stage, Staged, staged
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.small_bundle import small_bundle


@pytest.fixture
def rng() -> random.Random:
    """Drawn anew in every run, and printed."""
    seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)


@pytest.fixture(scope="module")
def small_bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A bundle of sessions, and one of long-lived sources."""
    paths = {session: tmp_path_factory.mktemp("bundle") for session in (True, False)}
    for session, path in paths.items():
        small_bundle(path, session=session)
    return paths


@pytest.fixture
def on_stage(
    kafka: Broker, redis: Server, small_bundles: dict[bool, Path], rng: random.Random, tmp_path: Path
) -> Staged:
    """Makes the stage of one topic, on the shared servers unless others are named."""

    def make(topic: str, *, session: bool = True, **options: Any) -> AbstractContextManager[Stage]:
        servers = {"broker": kafka.address, "redis": redis.url}
        return staged(
            tmp_path,
            topic=topic,
            bundle=small_bundles[session],
            session=session,
            rng=rng,
            **servers | options,
        )

    return make
