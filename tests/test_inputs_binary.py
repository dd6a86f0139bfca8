"""What is no log is left out of folders and globs, and refused where it is named; logs with NULs are read."""

import bz2
import gzip
import io
import lzma
import os
import random
import sqlite3
import struct
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from detector.cli.__main__ import app
from detector.cli.run import run
from detector.errors import Unreadable
from detector.inputs.binary import Told
from detector.inputs.follow import Follower
from detector.inputs.paths import find
from detector.inputs.read import read
from detector.stages.decode.decode import Decoder
from detector.stages.decode.memory import DecodeMemory
from detector.stages.decode.settings import DecodeSettings
from detector.stages.header.header import Headers
from tests.small_bundle import log_line, small_bundle

CHINESE = "连接失败 正在重试\n"
LOG = b"".join(log_line(1_767_225_600 + at, "web", at % 5, 1) for at in range(100))


def database(path: Path) -> bytes:
    """A small database, most of it text and NULs."""
    with closing(sqlite3.connect(path / "some.db")) as connection:
        connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, said TEXT)")
        connection.executemany("INSERT INTO jobs (said) VALUES (?)", [("done for now",)] * 200)
        connection.commit()
    content = (path / "some.db").read_bytes()
    (path / "some.db").unlink()
    return content


def archive() -> bytes:
    """A tar archive of a log."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("app.log")
        entry.size = len(LOG)
        tar.addfile(entry, io.BytesIO(LOG))
    return packed.getvalue()


def binaries(path: Path) -> dict[str, bytes]:
    """What lies beside logs."""
    rng = random.Random(5)
    sys.stdout.write("seed 5\n")
    login = struct.pack("<hi32s4s32s256s", 7, 4242, b"pts/0", b"ts/0", b"root", b"10.0.0.1") + b"\0" * 54
    return {
        "some.db": database(path),
        "journal": b"LPKSHHRH" + b"\0" * 300,
        "picture.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0",
        "wtmp": login * 20,
        "app.log.bz2": bz2.compress(LOG),
        "app.log.xz": lzma.compress(LOG),
        "app.log.1.gzip": gzip.compress(LOG),
        "logs.tar": archive(),
        "logs.tar.gz": gzip.compress(archive()),
        "random": rng.randbytes(20_000),
        "random.gz": gzip.compress(rng.randbytes(20_000)),
        "other.log": ("\ufeff" + CHINESE).encode("utf-16-le") * 50,
    }


def texts() -> dict[str, bytes]:
    """Logs with odd bytes in them."""
    return {
        "plain": LOG,
        "crashed": LOG[:300] + b"\0" * 4096 + LOG[300:],
        "hole": b"\0" * 300_000 + LOG,
        "torn": b"\0" * 100 + LOG[:30],
        "all-nul": b"\0" * 5000,
        "empty": b"",
        "latin": "Grüße für Händler, façade\n".encode("latin-1") * 100,
        "fix": b"8=FIX.4.4\x019=65\x0135=A\x0149=SERVER\x0156=CLIENT\x01\n" * 100,
        "colours": b"\x1b[32mINFO\x1b[0m ready\n" * 100,
        "windows": "\ufeff".encode("utf-16-le") + LOG.decode().replace("\n", "\r\n").encode("utf-16-le"),
        "no-mark": LOG.decode().encode("utf-16-be"),
        "chinese": CHINESE.encode() * 100,
    }


def test_binary_files_are_left_out_of_a_folder_with_a_word_on_each(tmp_path: Path) -> None:
    """Every log stays, every other file is named with a reason."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, content in (binaries(tmp_path) | texts()).items():
        (folder / name).write_bytes(content)
    told: list[str] = []
    found = find([str(folder)], told.append)
    assert [Path(path).name for path in found] == sorted(texts())
    assert sorted(Path(sentence.partition(":")[0]).name for sentence in told) == sorted(binaries(tmp_path))
    assert any("journalctl -o json" in sentence for sentence in told)
    assert any("iconv" in sentence for sentence in told)
    assert find([f"{folder}/*"]) == found


@pytest.mark.parametrize("name", ["some.db", "journal", "random.gz", "other.log"])
def test_a_binary_file_that_is_named_is_refused(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 3 and a sentence that names it, for reading once and for following."""
    path = tmp_path / name
    path.write_bytes(binaries(tmp_path)[name])
    small_bundle(tmp_path / "bundle", session=False)
    words = [str(path), "--bundle", str(tmp_path / "bundle")]
    assert run(app, ["replay", *words]) == 3
    assert run(app, ["watch", *words, "--state", str(tmp_path / "state.db"), "--once"]) == 3
    said = capsys.readouterr().err
    assert said.count(f"{path}: no log (") == 2


def test_a_folder_without_any_log_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For `watch --once` too, which otherwise waits for a first file."""
    folder = tmp_path / "logs"
    folder.mkdir()
    small_bundle(tmp_path / "bundle", session=False)
    words = [str(folder), "--bundle", str(tmp_path / "bundle")]
    watch = ["watch", *words, "--state", str(tmp_path / "state.db"), "--once"]
    assert run(app, watch) == 3
    assert f"tailrace: {folder}: this folder holds no files" in capsys.readouterr().err
    (folder / "some.db").write_bytes(database(tmp_path))
    for command in (["replay", *words], watch):
        assert run(app, command) == 3
        said = capsys.readouterr().err
        assert f"tailrace: {folder}: none of the" in said
        assert f"{folder / 'some.db'}: no log (a database of SQLite)" in said
    (folder / "app.log").write_bytes(LOG)
    for command in (["replay", *words], watch):
        assert run(app, command) == 0


def test_a_watch_leaves_binary_files_out_and_looks_again_when_they_change(tmp_path: Path) -> None:
    """The logs beside them are read, and a file that becomes a log is read from then on."""
    for name, content in {"some.db": database(tmp_path), "app.log": LOG}.items():
        (tmp_path / name).write_bytes(content)
    follower = Follower([str(tmp_path)])
    for _ in range(3):
        batch = follower.poll(1000, 1 << 20)
        assert [trouble.is_skipped for trouble in batch.troubles] == [True]
        assert {part.origin for part in batch.parts} <= {str(tmp_path / "app.log")}
    (tmp_path / "some.db").write_bytes(LOG)
    os.utime(tmp_path / "some.db", ns=(1, 1))
    parts = [part for _ in range(3) for part in follower.poll(1000, 1 << 20).parts]
    assert [(part.origin, len(part.records)) for part in parts] == [(str(tmp_path / "some.db"), 100)]


def test_a_file_is_looked_into_once_while_it_is_asked_for(tmp_path: Path) -> None:
    """A look that does not ask for it ends that."""
    path, told = tmp_path / "some", Told()
    path.write_bytes(binaries(tmp_path)["picture.png"])
    assert told.why(str(path), file=1, stamp=1) == "a picture"
    path.write_bytes(LOG)
    for _ in range(3):
        told.begin_look()
        assert told.why(str(path), file=1, stamp=1) == "a picture"
    told.begin_look()
    told.begin_look()
    assert told.why(str(path), file=1, stamp=1) == ""


def test_a_watch_forgets_the_files_that_went_away(tmp_path: Path) -> None:
    """A folder of jobs sees thousands, and most of them are logs, which are followed."""
    follower = Follower([str(tmp_path)])
    for number in range(20):
        job = tmp_path / f"job-{number}.log"
        job.write_bytes(LOG)
        follower.poll(1000, 1 << 20)
        job.unlink()
        follower.poll(1000, 1 << 20)
    told = follower._binaries
    assert len(told._files) + len(told._asked) <= 2


@pytest.mark.parametrize("name", ["crashed", "hole", "windows", "no-mark"])
def test_a_log_with_nuls_gives_its_lines(tmp_path: Path, name: str) -> None:
    """Pages of NULs are no part of a message, and neither is the other half of UTF-16."""
    (tmp_path / "app.log").write_bytes(texts()[name])
    (path,) = find([str(tmp_path)])
    records = [record for batch in read(path) for record in batch]
    decoded = Decoder(DecodeSettings(), Headers(())).decode(records, DecodeMemory())
    assert [line.message for line in decoded.lines] == LOG.splitlines()
    assert not decoded.rejects


def test_a_pipe_is_not_looked_into(tmp_path: Path) -> None:
    """What a pipe holds can be read once."""
    os.mkfifo(tmp_path / "pipe")
    assert find([str(tmp_path / "pipe")]) == [str(tmp_path / "pipe")]
    with pytest.raises(Unreadable, match="no files"):
        find([str(tmp_path)])
