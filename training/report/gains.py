"""What a second reader gains, for the report and the closing words. No I/O."""

from collections.abc import Sequence

from training.made import Made
from training.reading import Gain
from training.report.data import ReadAgain

ALL = "all"


def read_again(made: Made) -> list[ReadAgain]:
    """The gain for each kind of corruption, and for all of them; nothing without a second reader."""
    second = made.trained.second
    if second is None or not second.gains:
        return []
    return [*(_row(gain.kind, [gain]) for gain in second.gains), _row(ALL, second.gains)]


def gain_words(made: Made) -> list[tuple[str, str]]:
    """The same in one line."""
    rows = read_again(made)
    return [("read again", _words(rows[-1]))] if rows else []


def _words(row: ReadAgain) -> str:
    return (
        f"of {row.copies} held-out sessions with an error put in, {row.found_with:.1%} alert with the second "
        f"reader, {row.found:.1%} without; it points there in {row.pointed:.1%}"
    )


def _row(kind: str, gains: Sequence[Gain]) -> ReadAgain:
    copies = sum(gain.copies for gain in gains)
    found, found_with, pointed = (
        sum(getattr(gain, name) for gain in gains) / copies for name in ("found", "found_with", "pointed")
    )
    return ReadAgain(kind, copies, found, found_with, pointed)
