"""Write the table of a benchmark, as JSON and as a page, and say it in short. Writes files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from training.benchmark.data.description import Named
from training.benchmark.detectors.reference.costs import Cost
from training.benchmark.table.page import render
from training.benchmark.table.results import Kept
from training.benchmark.table.rows import Row, rows

DIGITS = 5


def write_table(
    found: Sequence[Kept], named: Sequence[Named], costs: Sequence[Cost], out: Path
) -> Iterator[str]:
    """Write table.json and table.html, and give a line of JSON for each row."""
    every = list(rows(found, named))
    table = [_plain(row) for row in every]
    out.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.encode(
        {"schema": "tailrace.benchmark-table/1", "rows": table, "costs": [_plain(cost) for cost in costs]}
    )
    (out / "table.json").write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")
    (out / "table.html").write_text(render(every, found, named, costs), encoding="utf-8")
    return (msgspec.json.encode(row).decode() + "\n" for row in table)


def _plain(row: Row | Cost) -> dict[str, Any]:
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
