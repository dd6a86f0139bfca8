"""Write scores as CSV or JSON lines, compressed as the file's name says. Writes one file."""

import csv
import gzip
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec

from detector.errors import BadSetup
from detector.records import UNKNOWN, ClosedSource, ScoredEvent
from detector.stages.judge.alerts import rfc3339

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EVENT_COLUMNS = (
    "source",
    "position",
    "time",
    "template_id",
    "known",
    "warm",
    "surprise_bits",
    "score",
    "threshold",
    "alert_id",
)
SOURCE_COLUMNS = (
    "source",
    "first_time",
    "last_time",
    "events",
    "unknown",
    "max_surprise_bits",
    "end_surprise_bits",
    "score",
    "threshold",
    "anomalous",
    "alert_ids",
    "cut_off",
)
DIGITS = 6


class Rows(Protocol):
    """Takes one row at a time."""

    def __call__(self, row: list[Any]) -> None:
        """Write a row."""


@contextmanager
def score_file(path: Path, columns: Sequence[str]) -> Iterator[Rows]:
    """Open a file for rows with these columns.

    Raises:
        BadSetup: the name ends in neither .csv nor .jsonl (.gz, .zst), or cannot be written.
    """
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    if not name.endswith((".csv", ".jsonl")):
        raise BadSetup(
            f"{path}: scores are written as .csv or .jsonl, also with .gz or .zst: name the file so"
        )
    try:
        raw = _opened(path)
    except OSError as error:
        raise BadSetup(f"{path} cannot be written: {error.strerror}") from error
    with raw as binary, io.TextIOWrapper(binary, encoding="utf-8", newline="") as file:
        yield _csv(file, columns) if name.endswith(".csv") else _jsonl(file, columns)


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path, "wb", compresslevel=6)  # type: ignore[return-value]
    if path.suffix == ".zst":
        return zstd.open(path, "wb")  # type: ignore[return-value]
    return path.open("wb")


def _csv(file: IO[str], columns: Sequence[str]) -> Rows:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)

    def write(row: list[Any]) -> None:
        writer.writerow([_cell(value) for value in row])

    return write


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value) if isinstance(value, list) else value


def _jsonl(file: IO[str], columns: Sequence[str]) -> Rows:
    def write(row: list[Any]) -> None:
        file.write(msgspec.json.encode(dict(zip(columns, row, strict=True))).decode() + "\n")

    return write


def event_row(event: ScoredEvent, template_id: str) -> list[Any]:
    """A row of EVENT_COLUMNS."""
    return [
        event.source,
        event.position,
        rfc3339(event.time_us),
        template_id or None,
        event.token != UNKNOWN,
        event.warm,
        round(event.surprise_bits, DIGITS),
        round(event.score, DIGITS),
        round(event.threshold, DIGITS),
        event.alert_id or None,
    ]


def source_row(closed: ClosedSource) -> list[Any]:
    """A row of SOURCE_COLUMNS."""
    end = closed.end_surprise_bits
    return [
        closed.source,
        rfc3339(closed.first_us),
        rfc3339(closed.last_us),
        closed.events,
        closed.unknown,
        round(closed.max_surprise_bits, DIGITS),
        None if end is None else round(end, DIGITS),
        round(closed.score, DIGITS),
        round(closed.threshold, DIGITS),
        closed.anomalous,
        closed.alert_ids,
        closed.cut_off,
    ]
