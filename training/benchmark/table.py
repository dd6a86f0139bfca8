"""Write the table of a benchmark, as JSON and as a page, and say it in short. Writes files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from training.benchmark.description import Named
from training.benchmark.results import Kept
from training.benchmark.rows import Row, rows

DIGITS = 5


def write_table(found: Sequence[Kept], named: Sequence[Named], out: Path) -> Iterator[str]:
    """Write table.json, and give a line of JSON for each row."""
    table = [_plain(row) for row in rows(found, named)]
    out.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.encode({"schema": "tailrace.benchmark-table/1", "rows": table})
    (out / "table.json").write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")
    return (msgspec.json.encode(row).decode() + "\n" for row in table)


def _plain(row: Row) -> dict[str, Any]:
    """The fields that say something, numbers rounded for people."""
    fields: dict[str, Any] = msgspec.to_builtins(row)
    return {name: _rounded(value) for name, value in fields.items() if value not in (None, "")}


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, DIGITS)
        case list() | tuple():
            return [_rounded(one) for one in value]
        case dict():
            return {name: _rounded(one) for name, one in value.items()}
        case _:
            return value
