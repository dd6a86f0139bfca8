"""Tables for people. Writes to standard output."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

UNBOUNDED_WIDTH = 1_000_000  # columns: nothing is cut where no screen shows it

T = TypeVar("T")


def print_table(
    columns: Sequence[tuple[str, Callable[[T], str]]], rows: Iterable[T], is_bad: Callable[[T], bool]
) -> None:
    """One line a row, the bad ones in red; what a terminal would obey is escaped."""
    from rich.console import Console  # noqa: PLC0415  # --help need not wait
    from rich.table import Table  # noqa: PLC0415

    from detector.notify.console import printable  # noqa: PLC0415

    # No markup: others name topics and hosts as they like.
    width = None if sys.stdout.isatty() else UNBOUNDED_WIDTH
    console = Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, _ in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(printable(text(row)) for _, text in columns), style="red" if is_bad(row) else None)
    console.print(table)
