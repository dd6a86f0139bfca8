"""Tables for people. Writes to standard output."""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

UNBOUNDED_WIDTH = 1_000_000  # columns: nothing is cut where no screen shows it

T = TypeVar("T")


def print_table(
    columns: Sequence[tuple[str, Callable[[T], str]]],
    rows: Iterable[T],
    is_bad: Callable[[T], bool],
    numbers: Collection[str] = (),
) -> None:
    """One line a row, the bad ones in red; what a terminal would obey is escaped; numbers stand right."""
    from rich.table import Table  # noqa: PLC0415  # --help need not wait

    from detector.notify.console import printable  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, _ in columns:
        table.add_column(name, overflow="fold", justify="right" if name in numbers else "left")
    for row in rows:
        table.add_row(*(printable(text(row)) for _, text in columns), style="red" if is_bad(row) else None)
    console().print(table)


def console() -> "Console":
    """Standard output as wide as its screen."""
    from rich.console import Console  # noqa: PLC0415

    # No markup: others name sources, topics and hosts as they like.
    width = None if sys.stdout.isatty() else UNBOUNDED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)
