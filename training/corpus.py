"""Read training logs twice: once to learn headers and templates, once to turn lines into events."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import InputSettings
from detector.errors import BadSetup
from detector.inputs.archives import CHUNK_BYTES
from detector.inputs.read import read, read_feed
from detector.inputs.siblings import Feed
from detector.pipeline import Batch
from detector.records import Record
from detector.shard.dating import Dating
from detector.shard.intake import Intake
from detector.shard.reader import Bounds, Reader
from detector.stages.header.header import Headers
from detector.stages.parse import vocabulary as vocabularies
from detector.stages.parse.parse import Parser
from detector.stages.parse.vocabulary import Vocabulary
from training.calibrate.hops import HopLearner
from training.names import NOT_KEPT, Names
from training.parse.codes import CodeCounter
from training.parse.headers import learn_headers
from training.parse.templates import TemplateMiner
from training.spool import EVENT, NO_TIME, Grouped, Spool

SAMPLE_LINES = 2_000  # that headers are learnt from
HEADED_SHARE = 0.99  # of the sample with a header, from which a line without one continues another
MERGED_LINES = 8_192
READ_LINES = 65_536  # of all files together that wait to be merged by time
READ_BYTES = 1 << 25  # the same
MOST_SESSIONS = 100_000  # of more a random part is kept
MOST_EVENTS = 2_000_000  # of sessions that are kept: more sessions are left out
FEW_SESSIONS = 1_000  # kept however long they are
NEWEST_EVENTS = 3_000_000  # of long-lived sources: older ones have told their templates

Told = Callable[[str, int], None]  # what is going on, bytes read since the last time


@dataclass(frozen=True, slots=True)
class Learnt:
    """How lines are read: what the first pass found."""

    input: InputSettings
    headers: Headers
    vocabulary: Vocabulary


@dataclass(slots=True)
class Files:
    """The files of one log, whose events count their bytes as if they were one file."""

    paths: Sequence[str]
    starts: list[int] = field(default_factory=list)  # of those that were read

    def at(self, offset: int) -> tuple[str, int]:
        """The file that holds a byte of the log, and where in it."""
        number = bisect_right(self.starts, offset) - 1
        return self.paths[number], offset - self.starts[number]


@dataclass(slots=True)
class Corpus:
    """Events by source, and what was seen on the way."""

    learnt: Learnt
    files: list[Files]  # by the number that an event has as its origin
    grouped: Grouped  # the events to train on
    sources: list[str]  # whose events those are
    counts: npt.NDArray[np.int64]  # lines by token
    sources_seen: int = 0
    lines: int = 0
    events: int = 0
    rejects: int = 0
    dropped: int = 0  # lines that name no session
    hops: HopLearner = field(default_factory=HopLearner)  # what the traces of long-lived sources taught
    unnamed: str = ""  # a sentence where names were looked for and not one was found
    untraced: str = ""  # the same of traces
    first_us: int | None = None
    last_us: int | None = None
    reasons: list[str] = field(default_factory=list)  # of the first few rejects

    def text_of(self, index: int) -> tuple[str, str]:
        """Position and text of an event of the grouped events, read again from its file."""
        event = self.grouped.events[index]
        path, offset = self.files[int(event["origin"])].at(int(event["offset"]))
        batches = read(path, offset=offset, max_lines=1)
        record = next(iter(next(batches, [])), None)
        return str(offset), "" if record is None else record.value.decode("utf-8", "replace")


def learn(paths: Sequence[str], settings: InputSettings, bounds: Bounds, told: Told) -> Learnt:
    """Learn the headers from a sample of every file, then mine the templates of all lines.

    Raises:
        BadSetup: there is no line to learn from.
    """
    sample = dict(_sample(paths))
    if not sample:
        raise BadSetup(f"{', '.join(paths)}: no lines to train on; name files that hold normal logs")
    text = [] if settings.sequence_rows else _messages(sample, settings, bounds)
    headers = learn_headers(text) if text else Headers(())
    if headers.headers:
        headed = sum(headers.split(line).message > 0 for line in text) / len(text)
        settings = _replace(settings, unheaded_continues=headed >= HEADED_SHARE)
    dating = Dating(settings, headers, bounds)
    feeds = dating.feeds(paths)
    reader = Reader(settings, headers, bounds, dating.latest_us)
    return Learnt(settings, headers, _mine(feeds, reader, settings, told))


def _sample(paths: Sequence[str]) -> Iterator[tuple[str, list[Record]]]:
    each = max(50, SAMPLE_LINES // len(paths))
    for path in paths[:SAMPLE_LINES]:
        records = (record for batch in read(path, max_lines=each) for record in batch)
        if found := [record for record in islice(records, each) if record.value.strip()]:
            yield path, found


def _messages(sample: dict[str, list[Record]], settings: InputSettings, bounds: Bounds) -> list[bytes]:
    """The messages of the sample as they are before a header is known, without stack traces."""
    reader = Reader(settings, Headers(()), bounds)
    lines = [line for path, records in sample.items() for line, _ in reader.read(path, records).lines]
    return [line.message for line in lines if not line.continuation]


def _mine(feeds: Sequence[Feed], reader: Reader, settings: InputSettings, told: Told) -> Vocabulary:
    miner, codes, distinct = TemplateMiner(), CodeCounter(), dict[bytes, None]()
    for feed in feeds:
        for records in read_feed(feed):
            lines = [line for line, _ in reader.read(feed.origin, records).lines]
            messages = [line.message for line in lines if line.source and not line.continuation]
            if settings.parser == "exact":
                distinct.update(dict.fromkeys(messages))
                _check_exact(distinct)
            else:
                miner.add(messages)
                codes.add(messages)
            told("learning templates", sum(len(record.value) + 1 for record in records))
    if settings.parser == "exact":
        texts = [token.decode("utf-8", "surrogateescape") for token in distinct]
        return vocabularies.of_texts(texts, exact=True)
    vocabulary = miner.vocabulary()
    return replace(vocabulary, codes=codes.codes(vocabulary))


MOST_EXACT = 50_000


def _check_exact(distinct: dict[bytes, None]) -> None:
    if len(distinct) > MOST_EXACT:
        raise BadSetup(
            f"more than {MOST_EXACT} different events with --parser exact: "
            "name the field that holds an event id with --event-field, or leave --parser out"
        )


def gather(
    paths: Sequence[str], learnt: Learnt, bounds: Bounds, folder: Path, told: Told, *, whole: bool = False
) -> Corpus:
    """Turn every line into an event with what was learnt, grouped by source on disk in `folder`.

    Memory is bounded: of very many sessions a random part is kept, of long-lived sources the newest
    events; `whole` keeps all.
    """
    session = learnt.input.session
    dating = Dating(learnt.input, learnt.headers, bounds)
    feeds = dating.feeds(paths)
    reader = Reader(learnt.input, learnt.headers, bounds, dating.latest_us)
    intake = Intake(reader, Parser(learnt.vocabulary))
    spool, names = Spool(folder), Names(MOST_SESSIONS if session and not whole else None)
    counts = np.zeros(len(learnt.vocabulary), np.int64)
    files = [Files(feed.files) for feed in feeds]
    corpus = Corpus(learnt, files, Grouped(np.empty(0, EVENT), np.zeros(1, np.int64)), [], counts)
    origins = {feed.origin: number for number, feed in enumerate(feeds)}
    checked = 0
    for batch in intake.merged(_records(feeds, files, bounds, told), MERGED_LINES):
        _note(corpus, batch)
        if not session:
            corpus.hops.take(batch)
        spool.append(_events(batch, names, origins))
        if session and not whole and spool.events - checked > MOST_EVENTS // 4:
            checked = spool.events
            _thin(names, spool)
        rejects = intake.take_rejects()
        corpus.rejects += len(rejects)
        corpus.reasons = [*corpus.reasons, *(f"{r.origin}:{r.offset}: {r.reason}" for r in rejects)][:5]
    corpus.lines, corpus.sources_seen = intake.lines, len(names)
    corpus.unnamed, corpus.untraced = intake.unnamed(whole=True), intake.untraced(whole=True)
    _group(corpus, names, spool, None if session or whole else NEWEST_EVENTS)
    return corpus


def _thin(names: Names, spool: Spool) -> None:
    """Leave sessions out until the events of the others fit."""
    while len(names.kept) > FEW_SESSIONS and spool.count(names.kept.values()) > MOST_EVENTS:
        names.thin()


def _group(corpus: Corpus, names: Names, spool: Spool, newest: int | None) -> None:
    grouped = spool.grouped(list(names.kept.values()), newest)
    held = np.flatnonzero(np.diff(grouped.starts))
    everyone = list(names.kept)
    corpus.sources = [everyone[source] for source in held.tolist()]
    corpus.grouped = Grouped(grouped.events, grouped.starts[np.append(held, len(everyone))])


def _records(
    feeds: Sequence[Feed], files: Sequence[Files], bounds: Bounds, told: Told
) -> dict[str, Iterator[list[Record]]]:
    """The logs, in batches that are small enough to hold one of each."""
    lines, size = max(64, READ_LINES // len(feeds)), max(1 << 14, READ_BYTES // len(feeds))
    room = min(lines, MERGED_LINES), min(size, CHUNK_BYTES)
    return {
        feed.origin: _told_of(_as_one(feed.origin, of, room, bounds), told)
        for feed, of in zip(feeds, files, strict=True)
    }


def _as_one(origin: str, files: Files, room: tuple[int, int], bounds: Bounds) -> Iterator[list[Record]]:
    """The lines of all files of a log; notes where each file begins."""
    end, (lines, size) = 0, room
    for path in files.paths:
        files.starts.append(end)
        batches = read(
            path,
            max_lines=lines,
            max_bytes=size,
            max_line_bytes=bounds.max_line_bytes,
            origin=origin,
            before=files.starts[-1],
        )
        for records in batches:
            yield records
            end = records[-1].end


def _told_of(batches: Iterator[list[Record]], told: Told) -> Iterator[list[Record]]:
    for records in batches:
        told("reading events", sum(len(record.value) + 1 for record in records))
        yield records


def _events(batch: Batch, names: Names, origins: dict[str, int]) -> npt.NDArray[np.void]:
    number = names.number
    rows = [
        (
            source,
            token,
            NO_TIME if line.time_us is None else line.time_us,
            origins[line.origin],
            line.offset,
        )
        for line, token in zip(batch.lines, batch.tokens, strict=True)
        if line.source and not line.continuation and (source := number(line.source)) != NOT_KEPT
    ]
    return np.array(rows, EVENT)


def _note(corpus: Corpus, batch: Batch) -> None:
    pairs = zip(batch.lines, batch.tokens, strict=True)
    tokens = [token for line, token in pairs if line.source and not line.continuation]
    corpus.counts += np.bincount(tokens, minlength=len(corpus.counts))
    corpus.events += len(tokens)
    corpus.dropped += sum(not line.source for line in batch.lines)
    times = [line.time_us for line in batch.lines if line.time_us is not None]
    if times:
        low, high = min(times), max(times)
        corpus.first_us = low if corpus.first_us is None else min(corpus.first_us, low)
        corpus.last_us = high if corpus.last_us is None else max(corpus.last_us, high)


def _replace(settings: InputSettings, **changes: object) -> InputSettings:
    return msgspec.structs.replace(settings, **changes)
