"""What goes into the core and what comes out of it. Pure."""

from collections.abc import Iterable

import msgspec

from detector.records import ClosedSource, Line, Revision, ScoredEvent
from detector.stages.judge.state import SourceState


class Batch(msgspec.Struct):
    """Lines in the order of the shard, with the token of each and the clock of its feed before it."""

    lines: list[Line]
    tokens: list[int]
    clocks: list[int]
    clock_us: int | None  # after the last line, or a tick's; None while nothing had a time
    close_all: bool = False  # a replay has read everything
    falls: list[tuple[int, int]] = []  # lines at which the shard's clock goes back, and the clock before each

    @property
    def latest_us(self) -> int:
        """The latest that the clock stood at: the sources that are due by then are needed too."""
        return max([self.clock_us or 0, *(clock for _, clock in self.falls)])


class Advance(msgspec.Struct):
    """What a batch did: the sources' states (None: gone), when each is due, and what is to be said."""

    states: dict[str, SourceState | None]
    due_us: dict[str, int | None]
    revisions: list[Revision]
    closed: list[ClosedSource]
    events: list[ScoredEvent]
    late: int  # lines so late that the life they belong to is over
    dropped: int  # lines without a source


def sources_of(lines: Iterable[Line]) -> set[str]:
    """The sources whose states a batch needs, beside those that are due."""
    return {line.source for line in lines if line.source}


def without_falls(batch: Batch) -> list[Batch]:
    """The batch, ended at each line at which a clock goes back.

    A batch that happened to end there would have said what the clock calls for until then; so must any.
    """
    parts, start = [], 0
    for end, clock_us in batch.falls:
        taken = slice(start, end)
        parts.append(Batch(batch.lines[taken], batch.tokens[taken], batch.clocks[taken], clock_us))
        start = end
    rest = slice(start, len(batch.lines))
    parts.append(
        Batch(
            batch.lines[rest],
            batch.tokens[rest],
            batch.clocks[rest],
            batch.clock_us,
            close_all=batch.close_all,
        )
    )
    return parts
