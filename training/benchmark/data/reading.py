"""Read the sessions that a description names into memory, with their labels. Reads files."""

import heapq
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from detector.errors import BadSetup
from detector.inputs.read import read
from detector.shard.reader import Bounds, Reader
from detector.stages.header.header import Headers
from training.benchmark.data.description import ByTime, LabelPaths, Sequences, Sessions
from training.benchmark.data.labelled import Material
from training.benchmark.data.labels import by_path, labels_of


class _Gathering:
    """Sessions by name, in the order in which they were met."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.owner: list[int] = []
        self.numbers: dict[str, int] = {}
        self.anomalous: list[bool] = []
        self.to_train: list[bool] = []

    def session(self, name: str, *, anomalous: bool, to_train: bool) -> int:
        number = self.numbers.setdefault(name, len(self.numbers))
        if number == len(self.anomalous):
            self.anomalous.append(anomalous)
            self.to_train.append(to_train)
        return number

    def add(self, line: bytes, number: int) -> None:
        self.lines.append(line)
        self.owner.append(number)

    def material(self, seconds: npt.NDArray[np.float64] | None = None) -> Material:
        return Material(
            self.lines,
            np.array(self.owner, np.int64),
            list(self.numbers),
            np.array(self.anomalous, bool),
            np.array(self.to_train, bool),
            seconds,
        )


def matching(data: Path, globs: Sequence[str]) -> list[Path]:
    """The files and folders below the data folder that globs name, sorted.

    Raises:
        BadSetup: one names nothing.
    """
    found: dict[Path, None] = {}
    for one in globs:
        paths = sorted(data.glob(one))
        if not paths:
            raise BadSetup(f"{data / one}: there is no such file; --data names the folder of the data sets")
        found |= dict.fromkeys(paths)
    return list(found)


def missing(data: Path, globs: Sequence[str]) -> list[str]:
    """Those globs that name nothing."""
    return [one for one in globs if not any(data.glob(one))]


def sequences(data: Path, described: Sequences) -> Material:
    """Ready sequences; a session is called by its place and its file's part, so that no two are one."""
    gathering = _Gathering()
    for globs, anomalous, to_train in (
        (described.train, False, True),
        (described.normal, False, False),
        (described.anomalous, True, False),
    ):
        for path in matching(data, globs) if globs else ():
            for events in _sequences_of(path, described):
                number = gathering.session(
                    str(len(gathering.numbers)), anomalous=anomalous, to_train=to_train
                )
                for event in events:
                    gathering.add(event, number)
    return gathering.material()


def _sequences_of(path: Path, described: Sequences) -> Iterator[list[bytes]]:
    separator = None if described.separator is None else described.separator.encode()
    rows = (record.value for records in read(str(path)) for record in records)
    if described.row == "file":
        events = [event for row in rows for event in row.split(separator) if event]
        if events:
            yield events
        return
    for row in rows:
        text = row.partition(b",")[2] if described.row == "id,events" else row
        events = [event.strip() for event in text.split(separator) if event.strip()]
        if events:
            yield events


def sessions(data: Path, described: Sessions) -> Material:
    """Raw lines of the sessions that have a label.

    Raises:
        BadSetup: no session has a label.
    """
    known = {} if isinstance(described.labels, LabelPaths) else labels_of(described.labels, data)
    gathering = _Gathering()
    for globs, to_train in ((described.train, True), (described.logs, False)):
        for path, name, lines in _named_lines(data, described, globs):
            said = False if to_train else by_path(described.labels, path, data)
            anomalous = said if said is not None else known.get(name)
            if anomalous is None:
                continue
            number = gathering.session(name, anomalous=anomalous, to_train=to_train)
            for line in lines:
                gathering.add(line, number)
    if not gathering.numbers:
        raise BadSetup(f"{', '.join(described.logs)}: no session has a label; check `session` and `labels`")
    return gathering.material(_seconds(gathering.lines, described))


def _named_lines(
    data: Path, described: Sessions, globs: Sequence[str]
) -> Iterator[tuple[Path, str, Sequence[bytes]]]:
    """Lines that follow one another, with their file and their session."""
    if not globs:
        return
    paths = matching(data, globs)
    if described.session == "line":
        settings = msgspec.structs.replace(described.input, session=True)
        reader = Reader(settings, Headers(()), Bounds())
        for path in paths:
            yield from ((path, name, [line]) for line, name in _by_line(path, reader))
        return
    together: dict[str, list[Path]] = {}
    for path in paths:
        if path.is_file():
            together.setdefault(_name_of(path, data, described), []).append(path)
    for name, parts in together.items():
        yield parts[0], name, list(_merged(parts, described.stamp))


def _by_line(path: Path, reader: Reader) -> Iterator[tuple[bytes, str]]:
    """Each line with the source that the product finds in it; those without any are left out."""
    for records in read(str(path)):
        by_offset = {record.offset: record.value for record in records}
        for line, _ in reader.read(str(path), records).lines:
            if line.source and (value := by_offset.pop(line.offset, None)) is not None:
                yield value, line.source


def _name_of(path: Path, data: Path, described: Sessions) -> str:
    below = path.relative_to(data)
    where = str(below.parent) if described.session == "folder" else str(below)
    if described.name is None:
        return Path(where).name if described.session == "folder" else where
    found = re.search(described.name, where)
    if found is None:
        raise BadSetup(f"{path}: name: {described.name!r} finds nothing in its path")
    return found[1] if found.re.groups else found[0]


def _merged(paths: Sequence[Path], stamp: str | None) -> Iterator[bytes]:
    """The lines of several files by their stamps; a line without one stays behind the one before it."""
    if stamp is None or len(paths) == 1:
        for path in paths:
            yield from (record.value for records in read(str(path)) for record in records)
        return
    form = re.compile(stamp.encode())
    yield from (line for _, line in heapq.merge(*(_stamped(path, form) for path in paths), key=_stamp_of))


def _stamped(path: Path, form: re.Pattern[bytes]) -> Iterator[tuple[bytes, bytes]]:
    latest = b""
    for records in read(str(path)):
        for record in records:
            if found := form.search(record.value):
                latest = found[0]
            yield latest, record.value


def _stamp_of(stamped: tuple[bytes, bytes]) -> bytes:
    return stamped[0]


def _seconds(lines: Sequence[bytes], described: Sessions) -> npt.NDArray[np.float64] | None:
    """The time of each line for a split by time; one without a stamp is as late as the one before."""
    if not isinstance(described.split, ByTime):
        return None
    form, pattern = re.compile(described.split.stamp.encode()), described.split.format
    known: dict[bytes, float] = {}
    found, latest = np.zeros(len(lines)), 0.0
    for index, line in enumerate(lines):
        if stamp := form.search(line):
            text = stamp[1]
            if text not in known:
                known[text] = datetime.strptime(text.decode(), pattern).replace(tzinfo=UTC).timestamp()
            latest = known[text]
        found[index] = latest
    return found
