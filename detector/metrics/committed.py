"""What a shell says of one commit, once it is written. No I/O.

Stages count nothing: what a batch came to is counted here, in one place, for both shells.
"""

from collections.abc import Callable

import msgspec

from detector.pipeline import Advance, Batch
from detector.records import UNKNOWN, Reject


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """One commit: what went in, what came out, and how long it took."""

    shard: str
    records: int  # read for it
    batch: Batch
    done: Advance
    rejects: list[Reject]
    sources: int  # with a state in the shard, after it
    clock_us: int  # the shard's newest, after it; 0 before any time
    score_s: float
    commit_s: float

    @property
    def first_us(self) -> int | None:
        """The time of its first line that has one: of those, the one that waited longest."""
        return next((line.time_us for line in self.batch.lines if line.time_us is not None), None)

    def events(self) -> tuple[int, int]:
        """How many lines are events, and how many of these match no template."""
        lines, tokens = self.batch.lines, self.batch.tokens
        if UNKNOWN not in tokens:  # continuations bear it too: without one, there is nothing to look for
            return len(lines), 0
        continuations = sum(line.continuation for line in lines)
        return len(lines) - continuations, tokens.count(UNKNOWN) - continuations


Told = Callable[[Committed], None]


def nobody(_: Committed) -> None:
    """Nobody wants to know."""
