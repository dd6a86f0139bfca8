"""Follow files as they grow, through rotation, truncation and restart. Reads files; never waits.

Guarantees, as long as a file or its copy exists in its folder: no line twice, none lost, and the lines of
one origin in order. What went away before it was read is counted.
"""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from detector.errors import Unreadable
from detector.inputs.batch import Batch, Fence, Part, Trouble
from detector.inputs.binary import Told
from detector.inputs.copies import Copies
from detector.inputs.life import Life
from detector.inputs.lines import MAX_LINE_BYTES
from detector.inputs.mark import Mark
from detector.inputs.paths import STDIN, covers, find
from detector.inputs.pipe import Pipe
from detector.inputs.rotation import Lives, Rotation
from detector.inputs.sighting import look
from detector.inputs.tail import Room
from detector.inputs.turns import take_turns

FENCE_VERSION = 1
GONE_KEPT = 100  # contents that went away and are remembered, in case they come back


class Follower:
    """The files that a watch reads, and how far it has read each of them."""

    def __init__(
        self,
        patterns: Sequence[str],
        fence: Fence | None = None,
        *,
        start: Literal["start", "end"] = "start",
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        """Go on from a fence, or begin at the start or end of the files that are there now.

        Raises:
            Unreadable: a named file does not exist and has never been read.
        """
        self._patterns = [pattern for pattern in patterns if pattern != STDIN]
        self._pipe = Pipe(max_line_bytes=max_line_bytes) if STDIN in patterns else None
        marks = (fence or {}).get("files", {}).values()
        lives = [Life(mark) for mark in msgspec.convert(list(marks), list[Mark])]
        self._lives: Lives = {life.mark.name: life for life in lives if self._asks_for(life.mark.origin)}
        self._copies, self._binaries = Copies(), Told()
        self._fence: Fence = fence or {}
        self._earlier: list[str] = self._fence.get("patterns", [])
        self._from_end = start == "end"
        self._max_line_bytes = max_line_bytes
        self._turn = 0
        _check(self._patterns, {life.mark.origin for life in self._lives.values()})

    def poll(self, max_lines: int, max_bytes: int, *, final: bool = False, wait_s: float = 0.0) -> Batch:
        """What has come since the last poll; `final` delivers last lines that have no end yet.

        `wait_s` is how long to wait for standard input where there is nothing else to read.
        """
        fence_before = self._fence
        rotation = self._look()
        room = Room(max_lines, max_bytes, self._max_line_bytes)
        turns = take_turns(self._lives.values(), room, first=self._turn, final=final)
        parts = turns.parts
        self._turn = self._turn + turns.served if turns.served else 0
        if self._pipe and (records := self._pipe.take(max_lines, max_bytes, wait_s=0 if parts else wait_s)):
            parts.append(Part(STDIN, 0, records))
        unread = turns.unread | {STDIN} if self._pipe and self._pipe.has_more else turns.unread
        self._forget()
        self._fence = self._as_fence()
        return Batch(
            parts,
            fence_before,
            self._fence,
            unread=unread,
            at_end=not unread and not rotation.unsettled,
            stdin_open=self._pipe is not None and self._pipe.is_open,
            losses=rotation.losses,
            troubles=rotation.sighting.troubles + _troubles(self._lives),
        )

    def _look(self) -> Rotation:
        rotation = Rotation(self._lives, look(self._patterns), self._copies, self._binaries)
        rotation.find_all()
        rotation.take_new(lambda path: not covers(self._earlier, path), from_end=self._from_end)
        self._earlier = self._patterns
        return rotation

    def _asks_for(self, origin: str) -> bool:
        """Whether what was followed before is still asked for."""
        return covers(self._patterns, origin)

    def _forget(self) -> None:
        gone = [name for name, life in self._lives.items() if life.is_gone]
        for name in gone[: max(0, len(gone) - GONE_KEPT)]:
            del self._lives[name]

    def _as_fence(self) -> Fence:
        files = {name: msgspec.to_builtins(life.mark) for name, life in self._lives.items()}
        return {"version": FENCE_VERSION, "patterns": self._patterns, "files": files}


def _check(patterns: Iterable[str], known: set[str]) -> None:
    """A folder or a pattern may wait for its first file; a name that nothing has is most likely wrong."""
    for pattern in patterns:
        if pattern not in known and not glob.has_magic(pattern) and not Path(pattern).is_dir():
            for path in find([pattern]):
                if not Path(path).is_file():
                    raise Unreadable(
                        f"{path}: only a file can be followed; give a stream to standard input (-)."
                    )


def _troubles(lives: Lives) -> list[Trouble]:
    return [Trouble(life.mark.path, life.trouble) for life in lives.values() if life.trouble]
