"""Lines of all origins in the order of their shard, with their tokens and its clock. No I/O."""

from collections.abc import Iterable, Iterator, Mapping

from detector.inputs.merge import merge
from detector.inputs.paths import STDIN
from detector.pipeline import Batch
from detector.records import UNKNOWN, Line, Record, Reject
from detector.shard.reader import Read, Reader, Timed
from detector.shard.strangeness import Strangeness
from detector.stages.parse.parse import Parser

SURE_LINES = 1_000  # without a name, after which it is said that there are none


class Intake:
    """Turns each origin's records into batches for the core.

    The shard's clock is the newest of its origins' clocks, so that a file that jumped back, because its
    clock was wrong, takes the shard back with it. It closes what is idle; what a line means for its own
    source depends on its own origin's clock alone.
    """

    def __init__(self, reader: Reader, parser: Parser) -> None:
        """Start where the reader's memories are."""
        self._reader, self._parser = reader, parser
        self._clocks: dict[str, int] = {
            origin: memory.clock.now_us or 0 for origin, memory in reader.memories.items()
        }
        self.clock_us = max(self._clocks.values(), default=0)
        self.rejects: list[Reject] = []
        self.lines = 0
        self.continuations = 0
        self.named = self.nameless = 0  # events
        self.nameless_text = b""  # of the first
        self._strangeness = Strangeness(reader.headers)

    def timed(self, origin: str, batches: Iterable[list[Record]]) -> Iterator[list[Timed]]:
        """Decode an origin's records as they come."""
        for records in batches:
            read = self._reader.read(origin, records)
            self.rejects += read.rejects
            self.continuations += read.continuations
            self.lines += len(records)
            self._count_names(read)
            yield read.lines

    def _count_names(self, read: Read) -> None:
        self.nameless += len(read.nameless)
        self.named += len(read.lines) - read.continuations - len(read.nameless)
        if read.nameless and not self.nameless_text:
            self.nameless_text = read.nameless[0].text

    def unnamed(self, *, whole: bool) -> str:
        """A sentence where names were looked for and not one was found; of a part, once it is sure."""
        if self.named or not self.nameless or (not whole and self.nameless < SURE_LINES):
            return ""
        text = self.nameless_text.decode("utf-8", "replace")
        return (
            f"--source-regex and --source-field find no name in any of {self.nameless} lines, such as "
            f"{text!r}; check them"
        )

    def strange(self, *, whole: bool) -> str:
        """A sentence where the lines are not those that were learnt; of a part, once it is sure."""
        return self._strangeness.sentence(whole=whole)

    def merged(self, feeds: Mapping[str, Iterable[list[Record]]], max_lines: int) -> Iterator[Batch]:
        """Batches of all origins' lines in the order of their times."""
        timed = [self.timed(origin, batches) for origin, batches in feeds.items()]
        ordered = timed[0] if len(timed) == 1 else merge(timed, _time_of, max_items=max_lines)
        for lines in ordered:
            if lines:
                yield self.batch(lines)

    def together(self, parts: Iterable[tuple[str, list[Record]]], *, behind: bool = False) -> Batch:
        """One batch of several origins' next records, in the order of their times.

        `behind`: there is more to read, of some origins perhaps from long before the others. The batch's
        clock is then the oldest of theirs, so that none is overtaken.
        """
        feeds: dict[str, list[list[Record]]] = {}
        for origin, records in parts:
            feeds.setdefault(origin, []).append(records)
        timed = [self.timed(origin, batches) for origin, batches in feeds.items()]
        ordered = timed[0] if len(timed) == 1 else merge(timed, _time_of)
        return self.batch([line for lines in ordered for line in lines], behind=behind)

    def of_feed(self, feed: str, records: list[Record]) -> Batch:
        """The next records of a feed that has one clock for all its origins, as a partition has."""
        [timed] = self.timed(feed, [records])
        return self.batch(timed, feed=feed)

    def batch(self, timed: list[Timed], *, feed: str = "", behind: bool = False) -> Batch:
        """A batch for the core, with the clock of the feed, or of its own origin, before each line."""
        lines = [line for line, _ in timed]
        clocks, falls = self._follow(timed, feed, behind=behind)
        self.clock_us = self._shard_clock(behind=False)
        clock_us = self._shard_clock(behind=behind) or None
        tokens = self._tokens(lines)
        self._strangeness.look_at(lines, tokens)
        return Batch(lines, tokens, clocks, clock_us, falls=falls)

    def _shard_clock(self, *, behind: bool) -> int:
        clocks = filter(None, self._clocks.values())
        return min(clocks, default=0) if behind else max(clocks, default=0)

    def _tokens(self, lines: list[Line]) -> list[int]:
        if not any(line.continuation for line in lines):
            return self._parser.match_all([line.message for line in lines])
        match = self._parser.match
        return [UNKNOWN if line.continuation else match(line.message) for line in lines]

    def _follow(
        self, timed: list[Timed], feed: str, *, behind: bool
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Move the feeds' clocks line by line: that of a line's feed before each, and where one falls.

        Not the shard's: where one file is read ahead of another, the other's lines are no later for that.
        """
        before: list[int] = []
        falls: list[tuple[int, int]] = []
        clocks = self._clocks
        for index, (line, after) in enumerate(timed):
            name = feed or line.origin
            at = clocks.get(name, 0)
            if after < at:
                falls.append((index, self._shard_clock(behind=behind)))
            before.append(at)
            clocks[name] = after
        return before, falls

    def keep_only(self, files: set[str]) -> None:
        """Forget the origins that are over; standard input comes back under its name."""
        for origin in self._reader.memories.keys() - files - {STDIN}:
            self._reader.forget(origin)
            self._clocks.pop(origin, None)

    def take_rejects(self) -> list[Reject]:
        """What was put aside since the last time."""
        rejects, self.rejects = self.rejects, []
        return rejects


def _time_of(timed: Timed) -> int | None:
    return timed[0].time_us
