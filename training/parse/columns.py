"""What the beginnings of similar lines share, column by column. No I/O.

A header reaches to the last strong column (a time stamp or a level in nearly every line), then
grows by columns that hold little else than separators, numbers, brackets, tags or few words.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from detector.stages.header.header import Column
from training.parse.elements import Element

Lines = Sequence[list[Element]]
FIRST_TIME_WITHIN: Final = 7  # elements; a time further right belongs to the message
STRONG_SHARE: Final = 0.9
STRONG_GAP: Final = 4  # columns between two strong ones
NUMBER_SHARE: Final = 0.95
DASH_SHARE: Final = 0.95
TAG_SHARE: Final = 0.8
FEW_VALUES, FEW_SHARE = 20, 0.05  # different words of a column, whichever is more
MOST_COLUMNS: Final = 14
MOST_WORDS: Final = 2  # taken together before what ends a header: class and method
FEWEST_FOLLOWING: Final = 4  # different elements behind a header, or it would cut into the message
# Kinds that name an instant best: with a zone, or counted from 1970.
_BEST_TIMES: Final = ("iso", "slashes", "access", "mail", "epoch-us", "epoch-ms", "epoch")


def columns_of(group: Lines, first: int) -> list[Column]:
    """The header that the lines of a group share; `first` is the place of its first time stamp, or -1."""
    columns = [_column(group, at, leading=at < first) for at in range(_last_strong(group) + 1)]
    return choose_time(_grow(group, columns))


def _share(group: Lines, at: int, holds: Callable[[Element], bool]) -> float:
    return sum(len(line) > at and holds(line[at]) for line in group) / len(group)


def _is(letter: str) -> Callable[[Element], bool]:
    return lambda element: element.letter == letter


def _last_strong(group: Lines) -> int:
    """The place of the last column that is a time stamp or a level in nearly every line, or -1."""
    last, at = -1, 0
    while at < FIRST_TIME_WITHIN if last < 0 else at <= last + 1 + STRONG_GAP:
        times = Counter(line[at].kind for line in group if len(line) > at and line[at].letter == "T")
        if max(max(times.values(), default=0) / len(group), _share(group, at, _is("L"))) >= STRONG_SHARE:
            last = at
        at += 1
    return last


def _column(group: Lines, at: int, *, leading: bool) -> Column:
    """The piece that fits a column before the last strong one."""
    present = [line[at] for line in group if len(line) > at]
    letter, count = Counter(element.letter for element in present).most_common(1)[0]
    piped = sum(element.piped for element in present) >= STRONG_SHARE * len(present)
    if letter == "T":
        kind = Counter(element.kind for element in present).most_common(1)[0][0]
        return Column("time", kind, piped=piped)
    if piped:
        return Column("cell", piped=True)
    piece = {"L": "level", "S": "separator", "B": "brackets", "P": "priority"}.get(letter, "word")
    # What stands before the time (a mark of alerts, say) may be another word tomorrow.
    if piece not in {"level", "priority"} and (leading or count < len(present)):
        piece = "word"
    return Column(piece)


def choose_time(columns: list[Column]) -> list[Column]:
    """Mark the time stamp that says most about the instant: a zone or an epoch, else a date and time."""
    times = [at for at, column in enumerate(columns) if column.piece == "time"]
    if not times:
        return columns
    best = min(times, key=lambda at: (columns[at].kind == "date", columns[at].kind not in _BEST_TIMES, at))
    chosen = Column("time", columns[best].kind, chosen=True, piped=columns[best].piped)
    return [*columns[:best], chosen, *columns[best + 1 :]]


def _grow(group: Lines, columns: list[Column]) -> list[Column]:
    """The longest header that leaves a message behind: a host alone does not, its tag does."""
    longest = columns
    while columns and len(columns) < MOST_COLUMNS:
        more = _next_columns(group, columns)
        columns = [*columns, *more]
        if not more:
            break
        if message_remains(group, columns):
            longest = columns
        if more[-1].piece in {"tag", "until-dash"}:
            break
    return longest


def message_remains(group: Lines, columns: list[Column]) -> bool:
    """Whether nearly every line goes on behind the columns, and not always in the same way."""
    at = len(columns) + (columns[-1].piece == "until-dash")
    following = [line[at].text for line in group if len(line) > at]
    return len(following) >= STRONG_SHARE * len(group) and len(set(following)) >= FEWEST_FOLLOWING


def _next_columns(group: Lines, columns: list[Column]) -> list[Column]:
    """The columns that follow for certain, or none."""
    at = len(columns)
    if _share(group, at, lambda element: element.piped) >= STRONG_SHARE:
        return [Column("cell", piped=True)]
    for piece, letter in (("separator", "S"), ("integer", "I"), ("brackets", "B")):
        share = _share(group, at, _is(letter))
        # A message may well begin with a number.
        if share >= (NUMBER_SHARE if letter == "I" else STRONG_SHARE):
            return [Column(piece, optional=share < 1)]
    if _share(group, at, _is("C")) >= TAG_SHARE:
        return [Column("tag", optional=True)]
    # A name that holds blanks in some lines moves the dash behind it.
    moving = 0 < _share(group, at + 1, _is("S")) < 1
    return (moving and _floating(group, at)) or _words(group, columns) or _floating(group, at)


def _words(group: Lines, columns: list[Column]) -> list[Column]:
    """A padded word of few values, or words of few values before what ends a header."""
    at = len(columns)
    if _share(group, at, _is("W")) < STRONG_SHARE:
        return []
    if _few(group, at) and _share(group, at, lambda element: element.blanks > 1) >= STRONG_SHARE:
        return [Column("word")]
    if _share(group, at, _closes) >= STRONG_SHARE:  # file.go:42]
        return [Column("word")]
    host = columns[-1].piece == "time"
    for width in range(1, MOST_WORDS + 1):
        if width > 1 and not (_few(group, at + 1) and _share(group, at + 1, _is("W")) >= STRONG_SHARE):
            break
        if (host or _few(group, at)) and _ends_header(group, at + width):
            return [Column("host" if host and width == 1 else "word"), *[Column("word")] * (width - 1)]
    return []


def _closes(element: Element) -> bool:
    return element.text.endswith(b"]") and b"[" not in element.text


def _few(group: Lines, at: int) -> bool:
    """Whether a column holds names of parts of a program, not words of messages."""
    values = {line[at].text for line in group if len(line) > at}
    return len(values) <= max(FEW_VALUES, int(FEW_SHARE * len(group)))


def _ends_header(group: Lines, at: int) -> bool:
    strong = any(_share(group, at, _is(letter)) >= STRONG_SHARE for letter in "SB")
    return strong or _share(group, at, _is("C")) >= TAG_SHARE


def _floating(group: Lines, at: int) -> list[Column]:
    """A dash that stands among the next few elements of nearly every line, not always in one place."""

    def has_dash(line: list[Element]) -> bool:
        return any(element.text == b"-" for element in line[at + 1 : at + 4])

    if sum(map(has_dash, group)) >= DASH_SHARE * len(group):
        return [Column("until-dash")]
    return []
