"""Learn the headers of a stream from its first lines: what stands before the message. No I/O.

A header reaches to the last strong column (a time stamp or a level in nearly every line), then
grows by columns that hold little else than separators, numbers, brackets, tags or few words.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from detector.stages.header import Column, Header, Headers
from detector.stages.shape import shape_of
from training.elements import Element, lex

SAMPLE: Final = 2000  # lines looked at
LOOKED_AT: Final = 1024  # bytes of a line
MOST_HEADERS: Final = 6
FIRST_TIME_WITHIN: Final = 7  # elements; a time further right belongs to the message
STRONG_SHARE: Final = 0.9
TAG_SHARE: Final = 0.8
STRONG_GAP: Final = 4  # columns between two strong ones
SMALLEST_PART: Final = 0.05  # of a group, for a part of it to have a header of its own
SMALLEST_SHARE: Final = 0.01  # of the sample, for a group of lines to have a header of its own
MOST_COLUMNS: Final = 14
MOST_WORDS: Final = 2  # taken together before what ends a header: class and method
FEWEST_FOLLOWING: Final = 4  # different elements behind a header, or it would cut into the message

Lines = Sequence[list[Element]]
Found = tuple[int, tuple[Column, ...]]  # a header's columns with the lines it is for
_TIME_RANK: Final = ("iso", "slashes", "access", "mail", "epoch-us", "epoch-ms", "epoch")


def learn_headers(lines: Iterable[bytes]) -> Headers:
    """The headers of a stream; lines beyond the sample are not read."""
    sample = [lex(shape_of(line[:LOOKED_AT])) for line, _ in zip(lines, range(SAMPLE), strict=False)]
    found: list[Found] = []
    for group in _groups([line for line in sample if line], max(2, int(len(sample) * SMALLEST_SHARE))):
        found.extend(_headers_of(group))
    best = sorted(found, key=lambda item: -item[0])[:MOST_HEADERS]
    # Long headers are tried first: a short one would also fit their lines.
    best.sort(key=lambda item: (-len(item[1]), -item[0]))
    return Headers(tuple(map(Header, dict.fromkeys(columns for _, columns in best))))


def _groups(lines: Lines, smallest: int) -> list[Lines]:
    """Lines by the place and kind of their first time stamp."""
    groups: defaultdict[tuple[int, str, bytes], list[list[Element]]] = defaultdict(list)
    for line in lines:
        groups[_first_time(line)].append(line)
    return [group for group in groups.values() if len(group) >= smallest]


def _first_time(line: list[Element]) -> tuple[int, str, bytes]:
    for at, element in enumerate(line[:FIRST_TIME_WITHIN]):
        if element.letter == "T":
            return at, element.kind, element.text[:1] if element.text[:1] in b"[(" else b""
    return -1, "", b""


def _headers_of(group: Lines) -> list[Found]:
    """One header for a group; several where it shares nothing behind its time stamp."""
    first = _first_time(group[0])[0]
    columns = _columns(group)
    found = [(len(group), tuple(columns))] if columns else []
    if first < 0 or not columns:
        return found
    if len(columns) == first + 1:
        for part in _parts(group, first):
            longer = _columns(part)
            if len(longer) > len(columns) and _message_remains(part, longer):
                found.append((len(part), tuple(longer)))
    else:
        # A line of another form keeps its message whole behind the time stamp.
        found.append((0, tuple(_choose_time(columns[: first + 1]))))
    return found


def _parts(group: Lines, first: int) -> list[Lines]:
    """Split by where the level stands, where nearly every line has one, else by what follows first."""
    following = ["".join(map(_strict_letter, line[first + 1 : first + 7])) for line in group]
    levelled = sum("L" in letters for letters in following) >= STRONG_SHARE * len(group)
    parts: defaultdict[str, list[list[Element]]] = defaultdict(list)
    for line, letters in zip(group, following, strict=True):
        parts[letters[: letters.find("L") + 1] if levelled else letters[:2]].append(line)
    return [part for part in parts.values() if len(part) >= SMALLEST_PART * len(group)]


def _strict_letter(element: Element) -> str:
    """A level in small letters without brackets may be any word of a message."""
    return "W" if element.letter == "L" and element.text.rstrip(b":,").islower() else element.letter


def _columns(group: Lines) -> list[Column]:
    strong = _last_strong(group)
    first = _first_time(group[0])[0]
    columns = [_column(group, at, leading=at < first) for at in range(strong + 1)]
    columns = _grow(group, columns)
    return _choose_time(columns)


def _share(group: Lines, at: int, holds: Callable[[Element], bool]) -> float:
    return sum(len(line) > at and holds(line[at]) for line in group) / len(group)


def _is(letter: str) -> Callable[[Element], bool]:
    return lambda element: element.letter == letter


def _last_strong(group: Lines) -> int:
    last = -1
    at = 0
    while at <= last + 1 + STRONG_GAP:
        times = Counter(line[at].kind for line in group if len(line) > at and line[at].letter == "T")
        time_share = max(times.values(), default=0) / len(group)
        first_place = at < FIRST_TIME_WITHIN or last >= 0
        if first_place and max(time_share, _share(group, at, _is("L"))) >= STRONG_SHARE:
            last = at
        at += 1
        if last < 0 and at >= FIRST_TIME_WITHIN:
            break
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


def _choose_time(columns: list[Column]) -> list[Column]:
    """Mark the time stamp that says most about the instant: a zone or an epoch, else a date and time."""
    times = [at for at, column in enumerate(columns) if column.piece == "time"]
    if not times:
        return columns
    best = min(times, key=lambda at: (columns[at].kind == "date", columns[at].kind not in _TIME_RANK, at))
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
        if _message_remains(group, columns):
            longest = columns
        if more[-1].piece in {"tag", "until-dash"}:
            break
    return longest


def _message_remains(group: Lines, columns: list[Column]) -> bool:
    at = len(columns) + (columns[-1].piece == "until-dash")
    following = [line[at].text for line in group if len(line) > at]
    return len(following) >= STRONG_SHARE * len(group) and len(set(following)) >= FEWEST_FOLLOWING


def _next_columns(group: Lines, columns: list[Column]) -> list[Column]:
    """The columns that follow for certain, or none."""
    at = len(columns)
    if _share(group, at, lambda element: element.piped) >= STRONG_SHARE:
        return [Column("cell", piped=True)]
    for piece, letter, least in (("separator", "S", 0.9), ("integer", "I", 0.95), ("brackets", "B", 0.9)):
        share = _share(group, at, _is(letter))
        if share >= least:
            return [Column(piece, optional=share < 1)]
    if _share(group, at, _is("C")) >= TAG_SHARE:
        return [Column("tag", optional=True)]
    return _words(group, columns) or _floating(group, at)


def _words(group: Lines, columns: list[Column]) -> list[Column]:
    """A padded word of few values, or words of few values before what ends a header."""
    at = len(columns)
    if _share(group, at, _is("W")) < STRONG_SHARE:
        return []
    if _few(group, at) and _share(group, at, lambda element: element.blanks > 1) >= STRONG_SHARE:
        return [Column("word")]
    if _share(group, at, _closes) >= STRONG_SHARE:
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
    values = {line[at].text for line in group if len(line) > at}
    return len(values) <= max(20, len(group) // 20)


def _ends_header(group: Lines, at: int) -> bool:
    strong = any(_share(group, at, _is(letter)) >= STRONG_SHARE for letter in "SB")
    return strong or _share(group, at, _is("C")) >= TAG_SHARE


def _floating(group: Lines, at: int) -> list[Column]:
    """A dash that stands among the next few elements of nearly every line, not always in one place."""

    def has_dash(line: list[Element]) -> bool:
        return any(element.text == b"-" for element in line[at + 1 : at + 4])

    if sum(map(has_dash, group)) >= 0.95 * len(group):
        return [Column("until-dash")]
    return []
