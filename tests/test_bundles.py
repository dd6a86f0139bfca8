"""Which bundle is in use: a newer one is found where the one before was, and a bad one is refused."""

import shutil
from pathlib import Path

import pytest

from detector.errors import BadSetup
from detector.shard.bundles import Bundles, check_succession
from detector.shard.core import Core
from tests.small_bundle import small_bundle
from tests.watching import core_of

POLL_S = 10.0


class Shelf:
    """A link to a bundle, and a clock."""

    def __init__(self, folder: Path) -> None:
        """Begin with the first bundle."""
        self.folder, self.link, self.now_s = folder, folder / "bundle", 0.0
        self.told: list[str] = []
        for number in range(3):
            small_bundle(folder / str(number), session=False, seed=number)
        self.link.symlink_to(folder / "0")
        self.bundles = Bundles(core_of(self.link), poll_s=POLL_S, clock=lambda: self.now_s, told=self._told)

    def lay(self, name: str) -> None:
        """Set the link in one step, as people do with `ln -sfn` and `mv -T`."""
        (self.folder / "next").symlink_to(self.folder / name)
        (self.folder / "next").rename(self.link)

    def pass_time(self) -> Core:
        """The newest core once it is time to look again."""
        self.now_s += POLL_S
        return self.bundles.newest()

    def _told(self, core: Core) -> None:
        self.told.append(core.where.name)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Three bundles, the first in use."""
    return Shelf(tmp_path)


def test_a_bundle_that_the_link_is_set_to_is_taken(shelf: Shelf) -> None:
    """Not before it is time to look, and it is said once."""
    shelf.lay("1")
    assert shelf.bundles.newest().where.name == "0"
    assert shelf.pass_time().where.name == "1"
    assert shelf.pass_time().where.name == "1"
    assert shelf.told == ["1"]


def test_a_damaged_bundle_is_refused_and_said_once(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """The one before goes on, until the damage is mended."""
    model = shelf.folder / "1" / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])
    shelf.lay("1")
    for _ in range(3):
        assert shelf.pass_time().where.name == "0"
    said = "".join(capsys.readouterr())
    assert said.count("bundle refused") == 1
    assert "model.onnx does not match" in said
    model.write_bytes(whole)
    assert shelf.pass_time().where.name == "1"
    assert shelf.told == ["1"]


def test_a_bundle_that_is_not_there_is_refused(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Between the removal of one and the copy of the next, the one in memory goes on."""
    shelf.link.unlink()
    assert shelf.pass_time().where.name == "0"
    assert "bundle refused" in "".join(capsys.readouterr())
    shutil.copytree(shelf.folder / "2", shelf.link)
    assert shelf.pass_time().bundle.id == core_of(shelf.folder / "2").bundle.id


def test_a_bundle_of_other_sources_is_refused(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Sessions cannot take over what long-lived sources have learnt, nor sources with other names."""
    small_bundle(shelf.folder / "sessions", session=True)
    shelf.lay("sessions")
    assert shelf.pass_time().where.name == "0"
    assert "its sources are others" in "".join(capsys.readouterr())
    with pytest.raises(BadSetup, match=r"input.source_fields \['service'\]"):
        check_succession(core_of(shelf.folder / "0"), core_of(shelf.folder / "1", source_fields=["service"]))
