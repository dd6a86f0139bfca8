"""When what was broken, from the files of a data set. Reads files."""

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detector.errors import BadSetup
from training.benchmark.data.description import FaultFile
from training.benchmark.data.labels import text_lines
from training.benchmark.data.reading import matching
from training.benchmark.measures.notices import Fault


def faults_of(described: FaultFile, data: Path) -> list[Fault]:
    """The faults in the order of time; those of a JSON file are its objects that have the keys, at any depth.

    Raises:
        BadSetup: there is none, or a time cannot be read.
    """
    faults = [fault for path in matching(data, [described.file]) for fault in _of_file(path, described)]
    return sorted(faults, key=lambda fault: fault.at_s)


def _of_file(path: Path, described: FaultFile) -> list[Fault]:
    rows = csv.DictReader(text_lines(path)) if ".csv" in path.name else _objects(_json(path))
    keys = {described.time, described.source, described.type}
    faults = [_fault(row, described, path) for row in rows if keys <= row.keys()]
    if not faults:
        raise BadSetup(f"{path}: no entry has the keys {', '.join(sorted(keys))}")
    return faults


def _json(path: Path) -> Any:
    try:
        return json.loads("\n".join(text_lines(path)))
    except json.JSONDecodeError as error:
        raise BadSetup(f"{path} is no JSON: {error}") from error


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)


def _fault(row: Mapping[str, Any], described: FaultFile, path: Path) -> Fault:
    text = str(row[described.time])
    try:
        at_s = _seconds(text, described.format)
    except ValueError as error:
        raise BadSetup(f"{path}: {described.time}: {text!r} is no time: {error}") from error
    return Fault(at_s + described.shift_s, str(row[described.source]), str(row[described.type]))


def _seconds(text: str, form: str | None) -> float:
    """Seconds since 1970; a time that names no zone is in UTC."""
    if form is None and text.replace(".", "", 1).isdigit():
        return float(text)
    moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
