"""Which of the named files are the rotations of one log, and in which order. Looks into files.

Names are a guess: a number alone speaks of a rotation only where the live file is there, or its name is a
log's. And the first time stamps of the files must agree with the order that the names give; where they do
not, every file stays a log of its own.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, NamedTuple

from detector.errors import Unreadable
from detector.inputs.archives import content
from detector.stages.header.timeforms import PATTERNS, parse_time

LOOKED_AT_BYTES: Final = 1 << 14  # of a file, and of a line in it, where its first time stamp stands
LINE_BYTES: Final = 200
ANY_US: Final = 10**15  # some instant, for stamps of which only the order is asked
SLACK_US: Final = 60_000_000  # by which a rotation may begin before the one before it

_DAY = r"(?:19|20)\d\d[-._]?(?:0[1-9]|1[0-2])[-._]?(?:0[1-9]|[12]\d|3[01])"
_DATE = rf"(?P<date>{_DAY}(?:[-_T.:]?\d\d(?:[-_:.]?\d\d){{0,2}})?|1\d{{9}})"
_PART = r"(?:[.\-_](?P<part>\d{1,3}))?"
_PACKED = r"(?:\.(?:gz|zst))?"
# app.log.2, app.log-20260131, app.log.2026-01-31_06.gz, app.log-20260131.1.gz, app.log.old
_BEHIND = re.compile(
    rf"(?P<live>.+?)(?:[.\-_]{_DATE}{_PART}|\.(?P<number>\d{{1,3}})|\.(?P<old>old)){_PACKED}"
)
_PLAIN_NUMBERS = re.compile(rf"v?\d+(?:\.\d+)+{_PACKED}")  # 10.0.0.1, v1.2: an address or a version
_LOG = re.compile(r".*[._-](?:log|out|err|txt|json|jsonl|ndjson|csv|trace|stdout|stderr)", re.IGNORECASE)
# app-2026-01-31.log, app.2026-01-31.3.log.gz; a number alone (app-1.log) names an instance
_WITHIN = re.compile(rf"(?P<stem>.+?)[.\-_]{_DATE}{_PART}(?P<end>\.[A-Za-z]\w*){_PACKED}")
_YEARLESS: Final = ("syslog", "klog", "month-day")
_DATED: Final = (
    *("iso", "iso-dots", "slashes", "slashes-short", "month-first"),
    *("day-dots", "access", "day-name", "mail", "asctime"),
)
_WITH_DATE: Final = {kind: re.compile(PATTERNS[kind]) for kind in (*_DATED, *_YEARLESS)}


@dataclass(frozen=True, slots=True)
class Feed:
    """One log: a file, or all of its rotations."""

    origin: str  # path of the live file, also where it is not there; names the source where nothing else does
    files: tuple[str, ...]  # oldest first


class _Place(NamedTuple):
    """Where a rotation comes among its siblings: the smallest is the oldest."""

    age: int  # 0 dated, 1 numbered, 2 live
    date: str = ""
    number: int = 0


_LIVE = _Place(2)
_Family = list[tuple[_Place, str]]


class _Stamp(NamedTuple):
    """A time stamp as it stands in a file."""

    kind: str
    text: bytes

    def us(self, reference_us: int) -> int | None:
        """What it says; the reference is for a missing year."""
        return parse_time(self.kind, self.text, reference_us)


def feeds_of(paths: Iterable[str], *, joined: bool = True) -> list[Feed]:
    """The logs that the files belong to, sorted; unless `joined`, every file is one of its own."""
    known = sorted(set(paths))
    families: dict[str, _Family] = {}
    for path in known if joined else ():
        live, place = _read_name(path)
        families.setdefault(live, []).append((place, path))
    feeds: dict[str, Feed] = {path: Feed(path, (path,)) for path in known}
    for live, family in families.items():
        if files := _ordered(family):
            feeds |= dict.fromkeys(files, Feed(live, files))
    return sorted(set(feeds.values()), key=lambda feed: feed.origin)


def is_rotated(path: str) -> bool:
    """Whether a name may be a rotation's; one file with two names is known by the other."""
    name = os.path.basename(path)  # noqa: PTH119
    return bool(_behind(name) or _WITHIN.fullmatch(name))


def _behind(name: str) -> re.Match[str] | None:
    return None if _PLAIN_NUMBERS.fullmatch(name) else _BEHIND.fullmatch(name)


def _read_name(path: str) -> tuple[str, _Place]:
    """The live file's path that a name speaks of, and the place; its own where it names no rotation."""
    folder, name = os.path.split(path)
    if found := _behind(name):
        live = os.path.join(folder, found["live"])  # noqa: PTH118  (keeps the path as it was typed)
        # 1 and 2 may be servers, or instances of something that is no log
        if not found["number"] or _LOG.fullmatch(found["live"]) or os.path.exists(live):  # noqa: PTH110
            return live, _place(found)
    elif found := _WITHIN.fullmatch(name):
        live = os.path.join(folder, found["stem"] + found["end"])  # noqa: PTH118
        if os.path.exists(live):  # noqa: PTH110  (else each day has a live file of its own)
            return live, _place(found)
    return path, _LIVE


def _place(found: re.Match[str]) -> _Place:
    parts = found.groupdict()
    if date := parts["date"]:
        if len(date) == len("1750000000") and date.startswith("1"):
            date = datetime.fromtimestamp(int(date), UTC).strftime("%Y%m%d%H%M%S")
        return _Place(0, re.sub(r"\D", "", date).ljust(14, "0"), int(parts["part"] or 0))
    return _Place(1, number=-int(parts.get("number") or 0))


def _ordered(family: _Family) -> tuple[str, ...]:
    """The files, oldest first; none where they are not rotations of one log."""
    if len(family) < 2:  # noqa: PLR2004
        return ()
    firsts = {path: _first(path) for _, path in family}
    older, newer = sorted(family)[:2]
    if len(family) == 2 and older[0] != newer[0]:  # noqa: PLR2004
        # Of two files one direction always fits, so only that of the names is asked
        by_number = older[0][:2] == newer[0][:2]
        fits = _is_before(firsts[older[1]], firsts[newer[1]], by_number=by_number)
        return (older[1], newer[1]) if fits else ()
    times = {path: None if stamp is None else _sure_us(stamp) for path, stamp in firsts.items()}
    for turned in (family, [(_turned(place), path) for place, path in family]):
        order = [path for _, _, path in sorted((place, times[path] or 0, path) for place, path in turned)]
        known = [time_us for path in order if (time_us := times[path]) is not None]
        if all(earlier <= later + SLACK_US for earlier, later in pairwise(known)):
            return tuple(order)
    return ()


def _turned(place: _Place) -> _Place:
    """Some writers number upwards: the highest is the newest."""
    return _Place(place.age, place.date, -place.number)


def _sure_us(stamp: _Stamp) -> int | None:
    """What a stamp says; None where its year is a guess."""
    return None if stamp.kind in _YEARLESS else stamp.us(ANY_US)


def _is_before(older: _Stamp | None, newer: _Stamp | None, *, by_number: bool) -> bool:
    """Whether nothing speaks against the order that the names give.

    Where they give it only `by_number`, a missing year is taken to be the closest; elsewhere a stamp without
    it says nothing, for a rotation may come after a year.
    """
    if older is None or newer is None:
        return True
    if not by_number and not {older.kind, newer.kind}.isdisjoint(_YEARLESS):
        return True
    newer_us = newer.us(older.us(ANY_US) or ANY_US)
    older_us = older.us(newer_us or ANY_US)
    return older_us is None or newer_us is None or older_us <= newer_us + SLACK_US


def _first(path: str) -> _Stamp | None:
    """The first time stamp in a file's first lines."""
    for line in _first_lines(path):
        found = [
            (match.start(), kind, match[0]) for kind in _WITH_DATE if (match := _WITH_DATE[kind].search(line))
        ]
        if found:
            _, kind, text = min(found, key=lambda one: one[0])
            return _Stamp(kind, text)
    return None


def _first_lines(path: str) -> Iterator[bytes]:
    if not os.path.isfile(path):  # noqa: PTH113  (a pipe can be read once)
        return
    begun = content(path)
    try:
        chunk = next(begun, b"")
    except Unreadable:
        return  # whoever reads the file says so
    begun.close()
    yield from (line[:LINE_BYTES] for line in chunk[:LOOKED_AT_BYTES].split(b"\n"))
