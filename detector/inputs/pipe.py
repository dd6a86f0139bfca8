"""Read standard input as far as it has come. Reads a descriptor; waits only as long as it is told."""

import os
import select

from detector.errors import Unreadable
from detector.inputs.archives import CHUNK_BYTES
from detector.inputs.lines import Lines
from detector.inputs.paths import STDIN
from detector.records import Record


class Pipe:
    """A stream that comes once: it cannot be taken up again after a restart."""

    def __init__(self, *, max_line_bytes: int, descriptor: int = 0) -> None:
        """Begin with what comes next."""
        self._descriptor = descriptor
        self._lines = Lines(STDIN, max_line_bytes=max_line_bytes)
        self._ahead: list[Record] = []
        self._is_open = True

    @property
    def is_open(self) -> bool:
        """Whether more may come."""
        return self._is_open or bool(self._ahead)

    @property
    def has_more(self) -> bool:
        """Whether something can be read at once."""
        return bool(self._ahead) or (self._is_open and self._is_ready(0))

    def take(self, max_lines: int, max_bytes: int, *, wait_s: float) -> list[Record]:
        """The next lines; the last one need not have an end once the stream has ended.

        Raises:
            Unreadable: the stream fails.
        """
        until = self._lines.end + max_bytes
        while len(self._ahead) < max_lines and self._lines.end < until and self._is_open:
            if not self._is_ready(wait_s):
                break
            wait_s = 0
            self._load()
        taken, self._ahead = self._ahead[:max_lines], self._ahead[max_lines:]
        return taken

    def _is_ready(self, wait_s: float) -> bool:
        return bool(select.select([self._descriptor], [], [], wait_s)[0])

    def _load(self) -> None:
        try:
            chunk = os.read(self._descriptor, CHUNK_BYTES)
        except OSError as error:
            raise Unreadable(
                f"standard input cannot be read ({error.strerror}); check what feeds it."
            ) from error
        self._is_open = bool(chunk)
        self._ahead += self._lines.feed(chunk) if chunk else self._lines.finish()
