"""The benchmark that says where the time of a watch goes still finds every stage."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_bundle import small_bundle
from tests.watching import lines_of

STAGES = {"read", "decode", "parse", "score", "judge", "states", "commit"}


@pytest.mark.parametrize("session", [False, True])
def test_every_stage_has_a_share(tmp_path: Path, session: bool) -> None:
    """All of them take time, and together with the rest they are the whole."""
    bundle, log = tmp_path / "bundle", tmp_path / "app.log"
    small_bundle(bundle, session=session)
    log.write_bytes(b"".join(lines_of(1, 500)))
    where = (str(log), str(bundle), str(tmp_path / "state.db"))
    command = [sys.executable, "-m", "benchmarks.watch_shares", *where]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert found.keys() == STAGES | {"rest"}
    assert all(found[name] > 0 for name in STAGES)
    assert sum(found.values()) == pytest.approx(1.0, abs=0.01)
