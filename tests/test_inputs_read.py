"""Files, folders, globs, archives and standard input become the records that they hold."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import Unreadable
from detector.inputs.lines import Lines
from detector.inputs.merge import merge
from detector.inputs.paths import find
from detector.inputs.read import read
from detector.records import Record
from tests.unprivileged import open_folder, unprivileged

CONTENT = b"".join(b"line %d\n" % number for number in range(5000))


def values(path: Path) -> list[bytes]:
    """Every line of a file."""
    return [record.value for batch in read(str(path)) for record in batch]


@given(content=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_how_a_stream_is_cut(content: bytes, cuts: list[int]) -> None:
    """Any chunks give the same records, and the records cover the stream without a gap."""
    content = content.replace(b"\x01", b"\n").replace(b"\x02", b"\r\n")
    whole = Lines("a")
    expected = whole.feed(content) + whole.finish()
    bounds = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    lines = Lines("a")
    records = [record for start, end in pairwise(bounds) for record in lines.feed(content[start:end])]
    records += lines.finish()
    assert records == expected
    assert [record.end for record in records] == [record.offset for record in records[1:]] + [
        len(content)
    ] * bool(content)
    ended = content.removesuffix(b"\n").split(b"\n") if content else []
    assert [record.value for record in records[:-1]] == [line.removesuffix(b"\r") for line in ended[:-1]]


@given(content=st.lists(st.integers(0, 12), max_size=12), cut=st.integers(1, 9))
def test_a_line_over_the_bound_is_cut_one_byte_above_it(content: list[int], cut: int) -> None:
    """What is too long can be told from its value, and its end is still right."""
    body = b"".join(b"x" * length + b"\n" for length in content)
    lines = Lines("a", max_line_bytes=5)
    records = [
        record for start in range(0, len(body), cut) for record in lines.feed(body[start : start + cut])
    ]
    assert [len(record.value) for record in records] == [min(length, 6) for length in content]
    assert [record.end - record.offset for record in records] == [length + 1 for length in content]


def test_a_line_end_is_not_part_of_the_bound() -> None:
    """A line of exactly the bound stays whole with LF and with CRLF."""
    assert [record.value for record in Lines("a", max_line_bytes=3).feed(b"abc\r\nabc\n")] == [b"abc", b"abc"]


def test_a_line_of_ten_megabytes_costs_no_more_than_its_bound(tmp_path: Path) -> None:
    """A huge line comes cut, and the line after it comes whole."""
    (tmp_path / "a").write_bytes(b"x" * 10_000_000 + b"\nnext\n")
    records = [record for batch in read(str(tmp_path / "a"), max_line_bytes=1000) for record in batch]
    assert [(len(record.value), record.end) for record in records] == [(1001, 10_000_001), (4, 10_000_006)]


def test_nul_bytes_and_an_unterminated_last_line_are_kept(tmp_path: Path) -> None:
    """Nothing in a line is special, and a file need not end in LF."""
    (tmp_path / "a").write_bytes(b"a\0b\r\n\0\n\nlast")
    assert values(tmp_path / "a") == [b"a\0b", b"\0", b"", b"last"]


def gz(content: bytes) -> bytes:
    """Two members with padding, as `cat a.gz b.gz` makes them."""
    return gzip.compress(content[:1000]) + gzip.compress(content[1000:]) + b"\0" * 10


def zst(content: bytes) -> bytes:
    """Two frames."""
    return zstd.compress(content[:1000]) + zstd.compress(content[1000:])


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gz), (".zst", zst)])
def test_every_packing_gives_the_same_records(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    """Offsets count the unpacked content, and reading may begin at any line."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(pack(CONTENT))
    batches = list(read(str(path), max_lines=100, max_bytes=3000))
    records = [record for batch in batches for record in batch]
    assert b"".join(record.value + b"\n" for record in records) == CONTENT
    assert max(len(batch) for batch in batches) <= 100
    middle = records[2345]
    again = [record for batch in read(str(path), offset=middle.offset) for record in batch]
    assert again == records[2345:]


def zst_checked(content: bytes) -> bytes:
    """One frame with a checksum, as the command line tool writes it."""
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zst_checked)])
@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_a_damaged_archive_gives_what_it_holds_and_is_named(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], harm: str
) -> None:
    """The lines before the damage come first, then the error with file and position."""
    noise = b"".join(os.urandom(40).hex().encode() + b"\n" for _ in range(20_000))
    packed = bytearray(pack(noise))
    middle = len(packed) // 2
    if harm == "cut":
        del packed[middle:]
    else:
        packed[middle : middle + 40] = bytes(40)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(packed)
    seen: list[Record] = []
    with pytest.raises(Unreadable, match=rf"a{suffix}: (cut short|damaged) after byte \d+") as raised:
        seen.extend(record for batch in read(str(path)) for record in batch)
    assert len(seen) > 1000
    assert str(raised.value).count(". ") == 0
    if harm == "cut":
        assert b"".join(record.value + b"\n" for record in seen) == noise[: seen[-1].end]


def test_standard_input_is_read_to_its_end() -> None:
    """A pipe gives its lines as they are, the last one without an end too."""
    script = "from detector.inputs.read import read; print([r.value for b in read('-') for r in b])"
    result = subprocess.run(
        [sys.executable, "-c", script], input=b"a\nb\r\nc", capture_output=True, check=True
    )
    assert result.stdout == b"[b'a', b'b', b'c']\n"


def test_a_named_pipe_is_read_like_a_file() -> None:
    """`<(command)` of a shell is such a path."""
    script = (
        "import sys; from detector.inputs.read import read; print([r.value for r in next(read(sys.argv[1]))])"
    )
    command = f"{sys.executable} -c '{script}' <(printf 'a\\nb\\n')"
    result = subprocess.run(["/bin/bash", "-c", command], capture_output=True, check=True)
    assert result.stdout == b"[b'a', b'b']\n"


def test_inputs_name_files_folders_and_globs_once_each(tmp_path: Path) -> None:
    """A file named twice is read once, and what begins with a dot is left out of folders."""
    for name in ("b.log", "a.log", ".hidden", "sub/c.log", ".git/d.log", "[x].log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    named = [str(tmp_path), str(tmp_path / "*.log"), str(tmp_path / "[x].log"), "-"]
    assert find(named) == ["-"] + [
        str(tmp_path / name) for name in ("[x].log", "a.log", "b.log", "sub/c.log")
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none", "no such file or folder"), ("*.none", "no file matches"), ("empty", "holds no files")],
)
def test_an_input_that_names_nothing_is_an_error(tmp_path: Path, name: str, reason: str) -> None:
    """The sentence names the argument."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(Unreadable, match=reason) as raised:
        find([str(tmp_path / name)])
    assert str(tmp_path / name) in str(raised.value)


def test_a_file_that_must_not_be_read_is_an_error() -> None:
    """It is found out before anything is read."""
    with open_folder() as folder:
        (folder / "a").touch(mode=0)
        with unprivileged(), pytest.raises(Unreadable, match="permission denied"):
            find([str(folder / "a")])


Timed = tuple[int | None, str]


@given(
    feeds=st.lists(st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=20), max_size=5),
    size=st.integers(1, 7),
)
def test_a_merge_is_stable_and_never_reorders_a_feed(feeds: list[list[int | None]], size: int) -> None:
    """The result is what a stable sort by each feed's largest time so far gives, however feeds are cut."""
    items = [
        [(number, position, at) for position, at in enumerate(feed)] for number, feed in enumerate(feeds)
    ]
    keyed = []
    for feed in items:
        latest = -1
        for item in feed:
            latest = max(latest, -1 if item[2] is None else item[2])
            keyed.append((latest, item))
    batches = [[feed[start : start + size] for start in range(0, len(feed), size)] for feed in items]
    merged = [item for batch in merge(batches, lambda item: item[2], max_items=size) for item in batch]
    assert merged == [item for _, item in sorted(keyed, key=lambda pair: pair[0])]


def test_a_merge_gives_what_came_before_a_damage() -> None:
    """An archive that ends in an error loses nothing that was read of it."""

    def feed() -> Iterator[list[int]]:
        yield [1, 2]
        raise Unreadable("a.gz: cut short")

    seen: list[int] = []
    with pytest.raises(Unreadable):
        seen.extend(item for batch in merge([feed()], int) for item in batch)
    assert seen == [1, 2]
