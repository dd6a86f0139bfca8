"""What a watch sees of files that grow, go, come back, or cannot be read."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from backports import zstd

from detector.errors import Unreadable
from detector.inputs.batch import Fence, hold_back
from detector.inputs.follow import GONE_KEPT, Follower
from tests.unprivileged import open_folder, unprivileged


def drain(follower: Follower, *, final: bool = False) -> list[bytes]:
    """Everything that can be had now."""
    values: list[bytes] = []
    for _ in range(1000):
        batch = follower.poll(1000, 1 << 20, final=final)
        values += [record.value for record in batch.records]
        if batch.at_end:
            return values
    raise AssertionError("the end is never reached")


def again(fence: Fence, *patterns: Path, start: str = "start") -> Follower:
    """A follower after a restart."""
    return Follower([str(pattern) for pattern in patterns], json.loads(json.dumps(fence)), start=start)  # type: ignore[arg-type]


def pack(name: str, content: bytes) -> bytes:
    """The content as a file of that name holds it."""
    if name.endswith(".gz"):
        return gzip.compress(content)
    return zstd.compress(content) if name.endswith(".zst") else content


def test_a_line_without_its_end_waits(tmp_path: Path) -> None:
    """It comes once it has ended, or at once where the caller says that nothing follows."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntw")
    follower = Follower([str(log)])
    assert drain(follower) == [b"one"]
    with log.open("ab") as file:
        file.write(b"o\nthr")
    assert drain(follower) == [b"two"]
    assert drain(follower, final=True) == [b"thr"]
    assert drain(follower, final=True) == []


def test_from_end_begins_with_the_line_that_is_being_written(tmp_path: Path) -> None:
    """What is there is left out; files that come later are read from their start."""
    log = tmp_path / "a.log"
    log.write_bytes(b"old\nbegun")
    (tmp_path / "old.gz").write_bytes(gzip.compress(b"packed\n"))
    follower = Follower([str(tmp_path)], start="end")
    assert drain(follower) == []
    with log.open("ab") as file:
        file.write(b" and ended\n")
    (tmp_path / "b.log").write_bytes(b"new file\n")
    assert drain(follower) == [b"begun and ended", b"new file"]
    (tmp_path / "c.log").write_bytes(b"while down\n")
    assert drain(again(follower._fence, tmp_path, start="end")) == [b"while down"]


def test_truncation_begins_a_generation_and_counts_what_was_not_read(tmp_path: Path) -> None:
    """`> app.log` in the middle of reading."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\nthree\n")
    follower = Follower([str(log)])
    assert [record.value for record in follower.poll(1, 100).records] == [b"one"]
    log.write_bytes(b"new\n")
    batches = [follower.poll(10, 1000) for _ in range(3)]
    parts = [part for batch in batches for part in batch.parts]
    assert [(part.generation, part.records[0].value, part.records[0].offset) for part in parts] == [
        (1, b"new", 0)
    ]
    assert [loss.lost_bytes for batch in batches for loss in batch.losses] == [10]


def test_truncation_is_noticed_though_the_file_is_longer_again(tmp_path: Path) -> None:
    """The first bytes tell."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    follower = Follower([str(log)])
    assert drain(follower) == [b"one"]
    log.write_bytes(b"another\nand more\n")
    assert drain(follower) == [b"another", b"and more"]


def test_a_deleted_and_recreated_file_is_new(tmp_path: Path) -> None:
    """Even where the system gives it the same inode, and after a restart."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    follower = Follower([str(log)])
    assert drain(follower) == [b"one"]
    log.unlink()
    assert drain(follower) == []
    log.write_bytes(b"two\n")
    assert drain(again(follower.poll(0, 0).fence_before, log)) == [b"two"]
    assert drain(follower) == [b"two"]


def test_a_file_that_is_away_for_a_while_goes_on_where_it_was(tmp_path: Path) -> None:
    """Also when it was away at a restart."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    follower = Follower([str(log)])
    assert drain(follower) == [b"one"]
    (tmp_path / "away").mkdir()
    log.rename(tmp_path / "away" / "a.log")
    assert drain(follower) == []
    follower = again(follower.poll(1, 1).fence_after, log)
    batch = follower.poll(1, 1)
    assert [trouble.path for trouble in batch.troubles] == [str(log)]
    (tmp_path / "away" / "a.log").rename(log)
    with log.open("ab") as file:
        file.write(b"two\n")
    assert drain(follower) == [b"two"]


def test_a_file_replaced_by_a_longer_copy_of_itself_goes_on(tmp_path: Path) -> None:
    """What rsync does at every run."""
    log = tmp_path / "a.log"
    lines = [b"line %d of a file that is mirrored" % number for number in range(20)]
    log.write_bytes(b"\n".join(lines[:15]) + b"\n")
    follower = Follower([str(log)])
    assert drain(follower) == lines[:15]
    (tmp_path / ".a.log.new").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / ".a.log.new").replace(log)
    assert drain(follower) == lines[15:]


def test_rotations_while_the_watch_was_down_are_read_in_order(tmp_path: Path) -> None:
    """Three days, the older ones packed, none of them matched by the pattern."""
    log = tmp_path / "a.log"
    log.write_bytes(b"day 0 early\n")
    follower = Follower([str(log)])
    assert drain(follower) == [b"day 0 early"]
    for day, name in enumerate(("a.log.3.gz", "a.log.2.zst", "a.log.1", "a.log")):
        content = b"day 0 early\nday 0 late\n" if day == 0 else b"day %d\n" % day
        if name == "a.log":
            log.unlink()
        (tmp_path / name).write_bytes(pack(name, content))
        os.utime(tmp_path / name, (2_000_000_000 + day, 2_000_000_000 + day))
    follower = again(follower._fence, log)
    batch = follower.poll(100, 10_000)
    parts = [
        (part.origin, part.generation, [record.value for record in part.records]) for part in batch.parts
    ]
    expected = [b"day 0 late", b"day 1", b"day 2", b"day 3"]
    assert parts == [(str(log), number, [value]) for number, value in enumerate(expected)]


def test_archives_are_read_once_and_a_cut_one_waits_for_its_rest(tmp_path: Path) -> None:
    """An archive that is being written is named, and gives its rest when it is whole."""
    content = b"".join(os.urandom(20).hex().encode() + b"\n" for _ in range(3000))
    packed = gzip.compress(content)
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])
    follower = Follower([str(tmp_path)])
    values = drain(follower)
    batch = follower.poll(10, 1000)
    assert batch.at_end
    assert "cut short" in batch.troubles[0].reason
    follower = again(batch.fence_after, tmp_path)
    (tmp_path / "a.gz").write_bytes(packed)
    values += drain(follower)
    assert b"".join(value + b"\n" for value in values) == content
    assert drain(again(follower._fence, tmp_path)) == []


def test_many_files_get_their_turns(tmp_path: Path) -> None:
    """No file is left behind while another one has much more."""
    (tmp_path / "big").write_bytes(b"big\n" * 100_000)
    for number in range(20):
        (tmp_path / f"small{number}").write_bytes(b"small\n")
    follower = Follower([str(tmp_path)])
    batch = follower.poll(2000, 1 << 20)
    assert len({part.origin for part in batch.parts}) >= 7
    seen = {record.origin for _ in range(4) for record in follower.poll(2000, 1 << 20).records}
    assert len(seen | {part.origin for part in batch.parts}) == 21


def test_a_huge_line_is_followed_with_bounded_memory(tmp_path: Path) -> None:
    """It comes cut once it has ended, and nothing before."""
    log = tmp_path / "a.log"
    follower_options = {"max_line_bytes": 1000}
    log.write_bytes(b"one\n")
    follower = Follower([str(log)], **follower_options)  # type: ignore[arg-type]
    for _ in range(10):
        with log.open("ab") as file:
            file.write(b"x" * 1_000_000)
        assert drain(follower) in ([b"one"], [])
    with log.open("ab") as file:
        file.write(b"\ntwo\n")
    assert [len(value) for value in drain(follower)] == [1001, 3]


def test_a_held_line_is_read_again_after_a_restart(tmp_path: Path) -> None:
    """A join that was open at the commit keeps the fence before it, also over a rotation."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")
    follower = Follower([str(log)])
    two = follower.poll(10, 1000).records[1]
    log.rename(tmp_path / "a.log.1")
    log.write_bytes(b"three\n")
    drain(follower)
    fence = hold_back(follower._fence, {(str(log), 0): two.offset})
    assert drain(again(fence, log)) == [b"two", b"three"]
    assert drain(again(follower._fence, log)) == []


def test_a_backup_copy_is_not_a_new_file(tmp_path: Path) -> None:
    """`cp a.log a.log.1` beside a followed file, plain and packed, whichever of the two is longer then."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    follower = Follower([str(tmp_path)])
    assert drain(follower) == [b"one"]
    shutil.copy(log, tmp_path / "a.log.1")
    (tmp_path / "a.log.2.gz").write_bytes(gzip.compress(b"one\n"))
    assert drain(follower) == []
    with log.open("ab") as file:
        file.write(b"two\n")
    assert drain(follower) == [b"two"]


def test_what_is_gone_is_forgotten_in_the_end(tmp_path: Path) -> None:
    """The fence does not grow with the files of the past."""
    follower = Follower([str(tmp_path)])
    for number in range(GONE_KEPT + 20):
        (tmp_path / f"{number:04}x").write_bytes(b"%d\n" % number)
    assert len(drain(follower)) == GONE_KEPT + 20
    for path in tmp_path.iterdir():
        path.unlink()
    drain(follower)
    assert len(follower.poll(1, 1).fence_after["files"]) == GONE_KEPT


def test_a_file_that_must_not_be_read_is_named_and_taken_up_later() -> None:
    """Lost permission is a state, not an end."""
    with open_folder() as folder:
        log = folder / "a.log"
        log.write_bytes(b"one\n")
        follower = Follower([str(log)])
        drain(follower)
        with log.open("ab") as file:
            file.write(b"two\n")
        log.chmod(0)
        with unprivileged():
            batch = follower.poll(10, 1000)
        assert batch.at_end
        assert "permission denied" in batch.troubles[0].reason
        log.chmod(0o600)
        assert drain(follower) == [b"two"]


def test_a_folder_that_cannot_be_looked_at_loses_nothing(tmp_path: Path) -> None:
    """Here a link that leads in a circle; a dead mount or a lost permission is the same."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.log").write_bytes(b"one\ntwo\n")
    follower = Follower([str(folder / "a.log")])
    follower.poll(1, 100)
    folder.rename(tmp_path / "away")
    folder.symlink_to(folder)
    for _ in range(3):
        batch = follower.poll(10, 1000)
        assert batch.losses == []
        assert str(folder / "a.log") in [trouble.path for trouble in batch.troubles]
    folder.unlink()
    (tmp_path / "away").rename(folder)
    assert drain(follower) == [b"two"]


def test_a_name_that_nothing_has_is_an_error_and_a_pattern_waits(tmp_path: Path) -> None:
    """A typing mistake is told at once; a folder may be empty yet."""
    with pytest.raises(Unreadable, match="no such file"):
        Follower([str(tmp_path / "none.log")])
    follower = Follower([str(tmp_path / "*.log")])
    assert len(follower.poll(1, 1).troubles) == 1
    (tmp_path / "a.log").write_bytes(b"one\n")
    assert drain(follower) == [b"one"]


def test_standard_input_is_followed_until_it_ends() -> None:
    """A pipe gives its lines as they come, and says when no more can come."""
    script = """
from detector.inputs.follow import Follower
follower = Follower(["-"])
while True:
    batch = follower.poll(2, 100, wait_s=60)
    print([record.value for record in batch.records], batch.stdin_open, flush=True)
    if not batch.stdin_open:
        break
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"[b'one'] True\n"
        process.stdin.write(b"two")
        process.stdin.close()
        rest = process.stdout.read().splitlines()
        assert rest[-1] in (b"[b'two'] False", b"[] False")
        assert b"[b'two']" in b"".join(rest)


def test_a_link_is_followed_to_the_next_file(tmp_path: Path) -> None:
    """How Kubernetes names the logs of containers: rotation happens where the link leads."""
    (tmp_path / "pod").mkdir()
    target, link = tmp_path / "pod" / "0.log", tmp_path / "web.log"
    target.write_bytes(b"one\n")
    link.symlink_to(target)
    follower = Follower([str(link)])
    assert drain(follower) == [b"one"]
    with target.open("ab") as file:
        file.write(b"two\n")
    target.rename(tmp_path / "pod" / "0.log.20260131-120000")
    target.write_bytes(b"three\n")
    records = follower.poll(10, 1000).records
    assert [(record.origin, record.value) for record in records] == [
        (str(link), b"two"),
        (str(link), b"three"),
    ]
    (tmp_path / "pod" / "1.log").write_bytes(b"four\n")
    link.unlink()
    link.symlink_to(tmp_path / "pod" / "1.log")
    assert drain(follower) == [b"four"]


def test_a_pattern_added_later_begins_where_it_is_told_to(tmp_path: Path) -> None:
    """The files of the earlier patterns go on; one that is no longer asked for is left alone."""
    for name in ("a.log", "b.log", "c.log"):
        (tmp_path / name).write_bytes(b"old\n")
    follower = Follower([str(tmp_path / "a.log"), str(tmp_path / "b.log")])
    assert drain(follower) == [b"old", b"old"]
    for name in ("a.log", "b.log"):
        with (tmp_path / name).open("ab") as file:
            file.write(name.encode() + b"\n")
    follower = again(follower._fence, tmp_path / "b.log", tmp_path / "c.*", start="end")
    assert drain(follower) == [b"b.log"]
    with (tmp_path / "c.log").open("ab") as file:
        file.write(b"new\n")
    assert drain(follower) == [b"new"]


def test_a_stream_cannot_be_followed_by_name(tmp_path: Path) -> None:
    """It would be read as nothing for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="only a file can be followed"):
        Follower([str(tmp_path / "pipe")])


def test_a_batch_never_holds_more_lines_than_asked_for(tmp_path: Path) -> None:
    """Also where the last one has no end."""
    (tmp_path / "a.log").write_bytes(b"one\ntwo\nthree")
    follower = Follower([str(tmp_path / "a.log")])
    taken = [[record.value for record in follower.poll(2, 1000, final=True).records] for _ in range(3)]
    assert taken == [[b"one", b"two"], [b"three"], []]
