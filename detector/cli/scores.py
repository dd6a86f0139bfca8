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

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


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
