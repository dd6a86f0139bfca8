"""Each alert of a replay as it ended, in the order of opening. Writes a temporary file beyond a bound."""

from array import array
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Self

import msgspec

from detector.records import Revision

MEMORY_BYTES = 16 << 20  # of alerts, before they go to a temporary file


class _Status(msgspec.Struct):
    status: str


_decode_status = msgspec.json.Decoder(_Status).decode


class Spool:
    """Revisions go in as they come; the last of each alert comes out."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        """Begin with no alert."""
        self._file = SpooledTemporaryFile(max_size=memory_bytes)  # noqa: SIM115  (see __exit__)
        self._places = array("q")  # of every alert's last revision, in the order of opening
        self._firing: dict[str, int] = {}  # which of them may still change

    def __enter__(self) -> Self:
        """Keep alerts until the exit."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget them; the file has no name and goes with this."""
        self._file.close()

    def add(self, revision: Revision) -> None:
        """Take a revision in place of the one before it."""
        number = self._firing.pop(revision.alert_id, None)
        if number is None:
            number = len(self._places)
            self._places.append(0)
        self._places[number] = self._file.tell()
        self._file.write(revision.payload + b"\n")
        if _decode_status(revision.payload).status != "resolved":
            self._firing[revision.alert_id] = number

    def payloads(self) -> Iterator[bytes]:
        """The last revision of each alert, encoded."""
        for place in self._places:
            self._file.seek(place)
            yield self._file.readline()
