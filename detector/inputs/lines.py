"""Cut a stream of bytes into records, one a line. No I/O.

Lines end in LF or CRLF. A line longer than `max_line_bytes` is delivered as its first
`max_line_bytes + 1` bytes, so that decode sees that it is too long, and with its true end.
"""

from collections.abc import Iterable
from itertools import accumulate, repeat

from detector.records import Record

MAX_LINE_BYTES = 1 << 20
_END_BYTES = 2  # CRLF: what a line may hold beyond its bound and still be whole


class Lines:
    """The lines of one origin, fed in chunks of any size; keeps one unfinished line, cut."""

    __slots__ = ("_dropped", "_kept", "_max_line_bytes", "offset", "origin")

    def __init__(self, origin: str, offset: int = 0, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        """Begin at `offset`, which is the start of a line."""
        self.origin = origin
        self.offset = offset  # where the unfinished line begins
        self._max_line_bytes = max_line_bytes
        self._kept = b""
        self._dropped = 0  # bytes of the unfinished line that were not kept

    @property
    def end(self) -> int:
        """Where the next chunk begins."""
        return self.offset + len(self._kept) + self._dropped

    @property
    def is_cutting(self) -> bool:
        """Whether the unfinished line is too long already."""
        return self._dropped > 0

    def feed(self, chunk: bytes) -> list[Record]:
        """Take the next bytes and return the lines that end in them."""
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            self._keep(chunk)
            return []
        if self._dropped:
            first = chunk.index(b"\n") + 1
            records = self._finish_cut(first) + self._split(chunk[first:cut])
        else:
            records = self._split(self._kept + chunk[:cut])
        self._kept = b""
        self._keep(chunk[cut:])
        return records

    def finish(self) -> list[Record]:
        """The last line, which has no end, if there is one."""
        if self.end == self.offset:
            return []
        return self._finish_cut(0)

    def _keep(self, rest: bytes) -> None:
        room = max(0, self._max_line_bytes + _END_BYTES - len(self._kept))
        self._kept += rest[:room]
        self._dropped += max(0, len(rest) - room)

    def _finish_cut(self, more_bytes: int) -> list[Record]:
        start, self.offset = self.offset, self.end + more_bytes
        value = self._kept[: self._max_line_bytes + 1]
        self._kept, self._dropped = b"", 0
        return [Record(self.origin, value, start, self.offset)]

    def _split(self, body: bytes) -> list[Record]:
        if not body:
            return []
        values = body.split(b"\n")
        values.pop()
        offsets = list(accumulate(map((1).__add__, map(len, values)), initial=self.offset))
        if b"\r\n" in body:
            values = [value.removesuffix(b"\r") for value in values]
        if len(body) > self._max_line_bytes:
            values = self._bounded(values)
        self.offset = offsets[-1]
        return list(map(Record, repeat(self.origin), values, offsets, offsets[1:]))

    def _bounded(self, values: Iterable[bytes]) -> list[bytes]:
        bound = self._max_line_bytes + 1
        return [value[:bound] if len(value) > bound else value for value in values]
