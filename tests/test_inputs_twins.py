"""A content with several names is read once: links, and archives beside what they were packed from."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from detector.inputs.follow import Follower
from detector.inputs.paths import find
from detector.inputs.siblings import feeds_of

OLD, NEW = b"".join(b"2026-01-01 10:00:%02d old\n" % at for at in range(60)), b"2026-01-02 10:00:00 new\n"


def found_in(folder: Path) -> tuple[list[str], list[str]]:
    """The names that are read, and what was said of others."""
    told: list[str] = []
    return [Path(path).name for path in find([str(folder)], told.append)], told


def followed(follower: Follower) -> list[tuple[str, bytes]]:
    """What there is to read now, with the names of its files."""
    parts = [part for _ in range(4) for part in follower.poll(1000, 1 << 20).parts]
    return sorted((Path(part.origin).name, record.value) for part in parts for record in part.records)


@pytest.mark.parametrize("rotated", ["app-2026-01-02.log", "app.log.1767312000", "app.log-20260102"])
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_to_the_newest_rotation_is_read_as_the_live_file(
    tmp_path: Path, rotated: str, link: Callable[[Path, Path], None]
) -> None:
    """`rotatelogs -L` and its like: once, under the live name, in a replay and in a watch."""
    (tmp_path / rotated).write_bytes(NEW)
    link(tmp_path / rotated, tmp_path / "app.log")
    assert found_in(tmp_path) == (["app.log"], [])
    assert followed(Follower([str(tmp_path)])) == [("app.log", NEW.rstrip())]
    assert find([str(tmp_path / rotated), str(tmp_path)]) == [str(tmp_path / rotated)]
    assert followed(Follower([str(tmp_path), str(tmp_path / rotated)])) == [(rotated, NEW.rstrip())]


def test_a_link_from_elsewhere_is_read_under_the_files_own_name(tmp_path: Path) -> None:
    """Where neither name is a rotation's."""
    (tmp_path / "web.log").write_bytes(NEW)
    (tmp_path / "all").symlink_to("web.log")
    assert found_in(tmp_path) == (["web.log"], [])
    assert find([str(tmp_path / "all")]) == [str(tmp_path / "all")]


def test_a_watch_goes_on_behind_a_link_that_moves(tmp_path: Path) -> None:
    """Each day's file is read under the live name, and none again once the link has left it."""
    live = tmp_path / "app.log"
    follower, found = Follower([str(tmp_path)]), []
    for day in range(1, 4):
        (tmp_path / f"app-2026-01-0{day}.log").write_bytes(b"day %d\n" % day)
        live.unlink(missing_ok=True)
        live.symlink_to(f"app-2026-01-0{day}.log")
        found += followed(follower)
    assert found == [("app.log", b"day 1"), ("app.log", b"day 2"), ("app.log", b"day 3")]
    (feed,) = feeds_of(find([str(tmp_path)]))
    assert [Path(path).name for path in feed.files] == ["app-2026-01-01.log", "app-2026-01-02.log", "app.log"]


@pytest.mark.parametrize("held", [OLD, OLD[: len(OLD) // 2]])
@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd.compress)])
@pytest.mark.parametrize("plain", ["app.log", "app.log.1"])
def test_an_archive_beside_its_plain_file_is_left_out(
    tmp_path: Path, plain: str, suffix: str, pack: Callable[[bytes], bytes], held: bytes
) -> None:
    """Packing that keeps its input, or is not done; the warning names the archive."""
    (tmp_path / plain).write_bytes(OLD)
    (tmp_path / (plain + suffix)).write_bytes(pack(held))
    names, told = found_in(tmp_path)
    assert names == [plain]
    assert told == [f"{tmp_path / plain}{suffix}: holds what {tmp_path / plain} holds; it is left out"]
    expected = [(plain, line) for line in OLD.splitlines()]
    assert followed(Follower([str(tmp_path)])) == expected
    follower = Follower([str(tmp_path / (plain + suffix)), str(tmp_path / plain)])
    assert followed(follower) == expected
    (tmp_path / plain).unlink()
    assert followed(follower) == []


def test_an_archive_with_other_content_is_read_too(tmp_path: Path) -> None:
    """A log that is packed no longer leaves older archives behind."""
    (tmp_path / "app.log.1").write_bytes(NEW)
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(OLD))
    assert found_in(tmp_path) == (["app.log.1", "app.log.1.gz"], [])
    assert len(followed(Follower([str(tmp_path)]))) == 61
    (tmp_path / "app.log.1").write_bytes(OLD[:-1])
    assert found_in(tmp_path) == (["app.log.1", "app.log.1.gz"], [])


def test_files_that_begin_alike_are_each_read_at_first(tmp_path: Path) -> None:
    """Two plain files with one header may be two logs."""
    for name in ("app.log", "app.log.1"):
        (tmp_path / name).write_bytes(NEW)
    assert found_in(tmp_path) == (["app.log", "app.log.1"], [])
    assert len(followed(Follower([str(tmp_path)]))) == 2
