"""What one look at the followed files gives. No I/O."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from detector.records import Record

# {"version": 1, "patterns": [...], "files": {"<origin>#<generation>": {"offset": ..., ...}}}
# It is plain JSON. {} is the fence before the first poll.
Fence = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Records of one content of one file, in order; a rotation begins a new generation."""

    origin: str
    generation: int
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes that were seen in a file and went away before they were read."""

    origin: str
    generation: int
    lost_bytes: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A file that cannot be read for now; it is tried again at every look."""

    path: str
    reason: str  # one sentence that names the file and what to do
    is_skipped: bool = False  # it is no log, and is left out for that


@dataclass(frozen=True, slots=True)
class Batch:
    """Commit `fence_after` with the results of the parts: a Follower made from it goes on exactly there."""

    parts: list[Part]
    fence_before: Fence
    fence_after: Fence
    unread: frozenset[str]  # origins of which there is more to deliver now
    at_end: bool  # nothing more can be delivered now
    stdin_open: bool  # standard input is read and may bring more; it is in no fence
    losses: list[Loss]
    troubles: list[Trouble]  # the ones of this moment, not only the new ones

    @property
    def records(self) -> list[Record]:
        """All records; those of one origin are in order."""
        return [record for part in self.parts for record in part.records]


def hold_back(fence: Fence, held: Mapping[tuple[str, int], int]) -> Fence:
    """The fence with what lies behind `{(origin, generation): offset}` still to be read again.

    Later generations of a held origin are read again from their start.
    """
    fence = deepcopy(fence)
    for mark in fence["files"].values():
        for (origin, generation), offset in held.items():
            if mark["origin"] == origin and mark["generation"] >= generation:
                keep = offset if mark["generation"] == generation else 0
                mark["done"] = mark["done"] and mark["offset"] <= keep
                mark["offset"] = min(mark["offset"], keep)
    return fence
