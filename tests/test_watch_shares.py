"""The benchmark that says where the time of a watch goes still finds every stage."""

from pathlib import Path

import pytest

from benchmarks.watch_shares import STAGES, shares
from tests.small_bundle import small_bundle
from tests.watching import lines_of


@pytest.mark.parametrize("session", [False, True])
def test_every_stage_has_a_share(tmp_path: Path, session: bool) -> None:
    """All of them take time, and together with the rest they are the whole."""
    small_bundle(tmp_path / "bundle", session=session)
    log = tmp_path / "app.log"
    log.write_bytes(b"".join(lines_of(1, 500)))
    found = shares(log, tmp_path / "bundle", tmp_path / "state.db")
    assert found.keys() == {name for name, _, _ in STAGES} | {"rest"}
    assert all(found[name] > 0 for name, _, _ in STAGES)
    assert sum(found.values()) == pytest.approx(1.0, abs=0.01)
