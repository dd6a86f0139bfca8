"""Put exported lines in the order of time: exports are often sorted otherwise. Files."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from detector.errors import BadSetup
from detector.inputs.read import read
from detector.records import Record


def ordered(paths: Sequence[str], field: str, out: Path) -> str:
    """One file of the lines of all, sorted by the text of a field of theirs.

    Raises:
        BadSetup: a line is no JSON object, or has no such field.
    """
    lines = [(_stamp(record.value, field, path), record.value) for path in paths for record in _records(path)]
    lines.sort(key=lambda line: line[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(b"".join(line + b"\n" for _, line in lines))
    return str(out)


def _records(path: str) -> Iterator[Record]:
    return (record for records in read(path) for record in records)


def _stamp(line: bytes, field: str, path: str) -> str:
    try:
        value = json.loads(line)
        for key in [field] if field in value else field.split("."):
            value = value[key]
    except (ValueError, KeyError, TypeError) as error:
        raise BadSetup(f"{path}: order_by: a line has no field {field!r}: {line[:80]!r}") from error
    return str(value)
