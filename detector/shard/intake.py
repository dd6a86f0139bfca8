"""Lines of all origins in the order of their shard, with their tokens and its clock. No I/O."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from detector.inputs.merge import merge
from detector.inputs.paths import STDIN
from detector.pipeline import Batch
from detector.records import UNKNOWN, Line, Record, Reject
from detector.shard.clocks import NONE, Clocks
from detector.shard.reader import Read, Reader, Timed
from detector.shard.strangeness import Strangeness
from detector.shard.untraced import Untraced
from detector.stages.parse.parse import Parser

SURE_LINES = 1_000  # without a name, after which it is said that there are none


class Stretch(NamedTuple):
    """Records of one feed that follow each other, and what is known of the feeds by then."""

    feed: str
    records: list[Record]
    unread: AbstractSet[str]  # feeds that have more, perhaps from long before the others
    clock_us: int = 0  # how far this one is after the records, where that is known


class Intake:
    """Turns each origin's records into batches for the core, and keeps the clocks of a shard."""

    def __init__(self, reader: Reader, parser: Parser) -> None:
        """Start where the reader's memories are."""
        self._reader, self._parser = reader, parser
        self._clocks = Clocks(
            {origin: memory.clock.now_us or 0 for origin, memory in reader.memories.items()}
        )
        self.also: Callable[[str, list[Record]], None] | None = None  # is shown every record too
        self.rejects: Sequence[Reject] = []
        self.lines = 0
        self.continuations = 0
        self.named = self.nameless = 0  # events
        self.nameless_text = b""  # of the first
        self._strangeness, self._untraced = Strangeness(reader.headers), Untraced(reader.settings)

    def use(self, reader: Reader, parser: Parser) -> None:
        """Read with these from here on; clocks and counts stay."""
        self._reader, self._parser = reader, parser
        self._strangeness, self._untraced = Strangeness(reader.headers), Untraced(reader.settings)

    @property
    def clock_us(self) -> int:
        """The newest clock of all origins, 0 before any time."""
        return self._clocks.newest_us

    def closing_us(self, unread: AbstractSet[str] = NONE, passed_us: int = 0) -> int:
        """The clock by which what ended or fell silent is said; see `clocks`."""
        return self._clocks.closing_us(unread, passed_us)

    def timed(self, origin: str, batches: Iterable[list[Record]]) -> Iterator[list[Timed]]:
        """Decode an origin's records as they come."""
        for records in batches:
            read = self._reader.read(origin, records)
            if self.also is not None:
                self.also(origin, records)
            self.rejects = [*self.rejects, *read.rejects]
            self.continuations += read.continuations
            self.lines += len(records)
            self._count_names(read)
            self._untraced.look_at(read)
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

    def untraced(self, *, whole: bool) -> str:
        """A sentence where traces were looked for and not one was found; of a part, once it is sure."""
        return self._untraced.sentence(whole=whole)

    def merged(
        self, feeds: Mapping[str, Iterable[list[Record]]], max_lines: int, *, of_feeds: bool = False
    ) -> Iterator[Batch]:
        """Batches of all feeds' lines in the order of their times.

        Clocks are those of origins; or `of_feeds`, which each have lines of many, as partitions do.
        """
        timed = [self.timed(origin, batches) for origin, batches in feeds.items()]
        if of_feeds:
            named = [_named(feed, batches) for feed, batches in zip(feeds, timed, strict=True)]
            for items in merge(named, _time_of_named, max_items=max_lines):
                clocks, falls = self._follow(((feed, after) for _, after, feed in items), NONE)
                yield self._batch([line for line, _, _ in items], clocks, falls, NONE)
            return
        ordered = timed[0] if len(timed) == 1 else merge(timed, _time_of, max_items=max_lines)
        for lines in ordered:
            if lines:
                yield self.batch(lines)

    def together(self, parts: Iterable[tuple[str, list[Record]]], unread: AbstractSet[str] = NONE) -> Batch:
        """One batch of several origins' next records, in the order of their times.

        Of the origins in `unread` there is more, perhaps from long before the others: none is overtaken.
        """
        feeds: dict[str, list[list[Record]]] = {}
        for origin, records in parts:
            feeds.setdefault(origin, []).append(records)
        timed = [self.timed(origin, batches) for origin, batches in feeds.items()]
        ordered = timed[0] if len(timed) == 1 else merge(timed, _time_of)
        batch = self.batch([line for lines in ordered for line in lines], held=unread | feeds.keys())
        self._clocks.hear(feeds)
        batch.clock_us = self.closing_us(unread) or None
        return batch

    def of_feed(self, feed: str, records: list[Record]) -> Batch:
        """The next records of a feed that has one clock for all its origins, as a partition has."""
        [timed] = self.timed(feed, [records])
        return self.batch(timed, feed=feed)

    def of_feeds(self, stretches: Iterable[Stretch], unread: AbstractSet[str] = NONE) -> Batch:
        """The next records of several feeds in the order in which they came, each feed with its own clock.

        `unread` is what was known before the first of them. What happened to be cut makes no difference.
        """
        lines: list[Line] = []
        clocks: list[int] = []
        falls: list[tuple[int, int]] = []
        for stretch in stretches:
            feed, before_us = stretch.feed, self.closing_us(unread)
            unread = stretch.unread
            if self.closing_us(unread) < before_us:
                falls.append((len(lines), before_us))
            for timed in self.timed(feed, [stretch.records]) if stretch.records else ():
                before, fallen = self._follow(((feed, after) for _, after in timed), unread)
                falls += [(len(lines) + index, us) for index, us in fallen]
                clocks += before
                lines += [line for line, _ in timed]
            if stretch.clock_us > self._clocks.of(feed):
                fallen_us = self._clocks.follow(feed, stretch.clock_us, unread)
                falls += [] if fallen_us is None else [(len(lines), fallen_us)]
        return self._batch(lines, clocks, falls, unread)

    def batch(self, timed: list[Timed], *, feed: str = "", held: AbstractSet[str] = NONE) -> Batch:
        """A batch for the core, with the clock of the feed, or of its own origin, before each line."""
        lines = [line for line, _ in timed]
        clocks, falls = self._follow(((feed or line.origin, after) for line, after in timed), held)
        return self._batch(lines, clocks, falls, held)

    def _batch(
        self, lines: list[Line], clocks: list[int], falls: list[tuple[int, int]], held: AbstractSet[str]
    ) -> Batch:
        tokens = self._tokens(lines)
        self._strangeness.look_at(lines, tokens)
        return Batch(lines, tokens, clocks, self.closing_us(held) or None, falls=falls)

    def _tokens(self, lines: list[Line]) -> list[int]:
        if not any(line.continuation for line in lines):
            return self._parser.match_all([line.message for line in lines])
        match = self._parser.match
        return [UNKNOWN if line.continuation else match(line.message) for line in lines]

    def _follow(
        self, moves: Iterable[tuple[str, int]], held: AbstractSet[str]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Move the feeds' clocks line by line: that of a line's feed before each, where the shard's falls.

        A move is a feed, and its clock after the line.

        Where one file is read ahead of another, the other's lines are no later for that.
        """
        before: list[int] = []
        falls: list[tuple[int, int]] = []
        clocks = self._clocks
        for index, (name, after) in enumerate(moves):
            before.append(clocks.of(name))
            fallen_us = clocks.follow(name, after, held)
            if fallen_us is not None:
                falls.append((index, fallen_us))
        return before, falls

    def keep_only(self, files: set[str]) -> None:
        """Forget the origins that are over; standard input comes back under its name."""
        for origin in self._reader.memories.keys() - files - {STDIN}:
            self._reader.forget(origin)
            self._clocks.forget(origin)

    def take_rejects(self) -> list[Reject]:
        """What was put aside since the last time."""
        rejects, self.rejects = self.rejects, []
        return list(rejects)


def _time_of(timed: Timed) -> int | None:
    return timed[0].time_us


def _named(feed: str, batches: Iterable[list[Timed]]) -> Iterator[list[tuple[Line, int, str]]]:
    return ([(line, after, feed) for line, after in batch] for batch in batches)


def _time_of_named(named: tuple[Line, int, str]) -> int | None:
    return named[0].time_us
