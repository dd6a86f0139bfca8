"""Read an archive on, a bounded piece at a time. Reads files."""

from collections.abc import Iterator

from detector.errors import Unreadable
from detector.inputs.archives import content
from detector.inputs.lines import Lines
from detector.records import Record


class Unpacking:
    """An open archive: the lines of the piece in hand and what is still packed."""

    __slots__ = ("_ahead", "_chunks", "_lines", "fault", "is_over")

    def __init__(self, path: str, inode: int, lines: Lines) -> None:
        """Begin at the start of a line."""
        self._chunks: Iterator[bytes] = content(path, lines.offset, inode=inode)
        self._lines = lines
        self._ahead: list[Record] = []
        self.is_over = False  # everything was unpacked and taken
        self.fault = ""  # why it cannot be unpacked further, now

    def take(self, max_lines: int, max_bytes: int) -> list[Record]:
        """The next lines; a last line without an end is one, for an archive does not grow."""
        taken: list[Record] = []
        until = self._start() + max_bytes
        while len(taken) < max_lines and not self.is_over:
            if not self._ahead and (self._start() >= until or not self._load()):
                break
            room = max_lines - len(taken)
            taken += self._ahead[:room]
            self._ahead = self._ahead[room:]
        return taken

    def _start(self) -> int:
        return self._ahead[0].offset if self._ahead else self._lines.end

    def _load(self) -> bool:
        """Unpack a piece; False where that gives nothing now."""
        if self.fault:
            return False
        try:
            chunk = next(self._chunks, None)
        except Unreadable as error:
            self.fault = str(error)
            return False
        self._ahead = self._lines.finish() if chunk is None else self._lines.feed(chunk)
        self.is_over = chunk is None and not self._ahead
        if chunk is None:
            self._chunks = iter(())
        return True
