"""Whatever is done to a followed file, every line of it arrives once and in order."""

import gzip
import json
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from detector.inputs.follow import Follower
from detector.records import Record


class Rotated(RuleBasedStateMachine):
    """A writer, a rotation and a watch that may stop at any moment, in any order."""

    pattern = "app.log"
    banner = b""

    def __init__(self) -> None:
        """Begin with a file that has been looked at once."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / "app.log"
        self.written: list[bytes] = []
        self.delivered: list[bytes] = []
        self.lost = 0
        self.open_line = False
        self.begin_file()
        self.follower = Follower([str(self.folder / self.pattern)])
        self.poll(0, 1)

    def begin_file(self) -> None:
        """Write what every new file begins with, and one line."""
        if self.banner:
            self.write(self.banner + b"\n")
        self.append(1)

    def write(self, text: bytes) -> None:
        """Append, keeping count of the lines."""
        with self.log.open("ab") as file:
            file.write(text)
        for line in text.splitlines():
            if self.open_line:
                self.written[-1] += line
            else:
                self.written.append(line)
            self.open_line = False
        self.open_line = not text.endswith(b"\n")

    @rule(lines=st.integers(1, 40))
    def append(self, lines: int) -> None:
        """Write whole lines, each unlike all others."""
        count = len(self.written)
        self.write(b"".join(b"line %d of the log\n" % (count + number) for number in range(lines)))

    @rule()
    def append_half(self) -> None:
        """Write the beginning of a line, or more of one."""
        self.write(b"half %d" % len(self.written))

    def shift(self) -> None:
        """Make room for a new app.log.1."""
        for number in range(60, 0, -1):
            for suffix in ("", ".gz"):
                old = self.folder / f"app.log.{number}{suffix}"
                if old.exists():
                    old.rename(self.folder / f"app.log.{number + 1}{suffix}")

    @rule()
    def rename(self) -> None:
        """Rotate by renaming; the last line of the old file needs no end."""
        self.shift()
        self.log.rename(self.folder / "app.log.1")
        self.open_line = False
        self.begin_file()

    @rule(more=st.booleans())
    def copy_and_truncate(self, more: bool) -> None:
        """Rotate by copying, with or without a look between the copying and the truncation."""
        self.shift()
        shutil.copy(self.log, self.folder / "app.log.1")
        if more:
            self.poll(5, 100)
        self.log.write_bytes(b"")
        self.open_line = False
        self.begin_file()

    @rule(number=st.integers(1, 4))
    def compress(self, number: int) -> None:
        """Pack a rotated file, which stays until its archive is whole."""
        old = self.folder / f"app.log.{number}"
        if old.exists():
            packed = gzip.compress(old.read_bytes())
            archive = self.folder / f"app.log.{number}.gz"
            archive.write_bytes(packed[: len(packed) // 2])
            self.poll(3, 50)
            archive.write_bytes(packed)
            shutil.copystat(old, archive)
            old.unlink()

    @rule(lines=st.integers(1, 50), size=st.integers(1, 2000))
    def poll(self, lines: int, size: int) -> None:
        """Take what is there, bounded."""
        batch = self.follower.poll(lines, size)
        self.take(batch.records)
        self.lost += sum(loss.lost_bytes for loss in batch.losses)
        assert len(batch.records) <= max(lines, 1)
        assert all(part.origin == str(self.log) for part in batch.parts)

    def take(self, records: list[Record]) -> None:
        """Note what was delivered."""
        self.delivered += [record.value for record in records]

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        """Go on from the fence; after a crash from the one before a poll whose results are gone."""
        fence = self.follower._fence
        if crash:
            self.follower.poll(20, 1000)
        self.follower = Follower([str(self.folder / self.pattern)], json.loads(json.dumps(fence)))

    @invariant()
    def order(self) -> None:
        """What has been delivered is the beginning of what was written."""
        assert self.delivered == self.written[: len(self.delivered)]

    def teardown(self) -> None:
        """At the end nothing is missing."""
        for _ in range(2000):
            batch = self.follower.poll(1000, 1 << 20, final=True)
            self.take(batch.records)
            if batch.at_end:
                break
        try:
            assert self.delivered == self.written
            assert self.lost == 0
        finally:
            shutil.rmtree(self.folder)


class RotatedGlob(Rotated):
    """The pattern matches the rotated files too."""

    pattern = "app.log*"


class RotatedFolder(Rotated):
    """The whole folder is followed, and all files begin alike."""

    pattern = ""
    banner = b"#" * 300


_SETTINGS = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
for _case in (Rotated, RotatedGlob, RotatedFolder):
    _case.TestCase.settings = _SETTINGS
TestRotated = Rotated.TestCase
TestRotatedGlob = RotatedGlob.TestCase
TestRotatedFolder = RotatedFolder.TestCase
