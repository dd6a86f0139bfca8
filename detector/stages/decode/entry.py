"""One log message as its envelope gives it, before its time and source are settled. No I/O."""

import re

import msgspec

LEVEL_CHARACTERS = 16  # longest level
_SYSLOG = ("EMERG", "ALERT", "CRIT", "ERROR", "WARN", "NOTICE", "INFO", "DEBUG")
_PINO = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}
_NAMES = dict(enumerate(_SYSLOG)) | _PINO
_LETTERS = {
    "V": "VERBOSE",
    "D": "DEBUG",
    "I": "INFO",
    "W": "WARN",
    "E": "ERROR",
    "F": "FATAL",
    "C": "CRITICAL",
    "INF": "INFO",
    "WRN": "WARN",
    "DBG": "DEBUG",
    "FTL": "FATAL",
    "VRB": "VERBOSE",
}
_OTLP = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What an envelope says about one of its messages."""

    message: bytes  # what is parsed, with a header of its own where it has one
    text: bytes  # the message as people saw it
    stamp_us: int | None = None
    level: str = ""
    source: str = ""  # empty where the envelope names none
    is_event: bool = False  # the message is the event token: no header is cut from it
    bad_time: bool = False  # a time was there and could not be read
    trace: str = ""  # empty where the envelope names none


def level_name(value: object) -> str:
    """The level in upper case; of a number as syslog (0 to 7) or pino and bunyan (tens) count."""
    if isinstance(value, str):
        name = value.strip()
        if name in _DIGITS:
            return _NAMES[int(name)]
        name = name[:LEVEL_CHARACTERS].upper()
        return _LETTERS.get(name, name) if name.isprintable() else ""
    return _NAMES.get(value, "") if type(value) is int else ""


_DIGITS = frozenset(str(number) for number in _NAMES)


def otlp_level(number: object) -> str:
    """The level of an OpenTelemetry severity number, 1 to 24, four to a level."""
    if isinstance(number, str):
        if number.isdecimal() and len(number) <= len("24"):
            return otlp_level(int(number))
        return number.removeprefix("SEVERITY_NUMBER_").rstrip("234")[:LEVEL_CHARACTERS]
    return _OTLP[(number - 1) // 4] if isinstance(number, int) and 1 <= number <= 4 * len(_OTLP) else ""


def syslog_level(priority: int) -> str:
    """The level of a syslog priority, `<PRI>`."""
    return _SYSLOG[priority & 7]


_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def cleaned(raw: bytes) -> bytes:
    """The bytes without NULs (UTF-16, torn files) and terminal escapes: nobody saw them."""
    raw = raw.replace(b"\0", b"")
    return _ESCAPE.sub(b"", raw) if b"\x1b" in raw else raw


def unmarked(raw: bytes) -> bytes:
    """The bytes without a byte order mark at their start."""
    for mark in _MARKS:
        raw = raw.removeprefix(mark)
    return raw


def shortened(text: bytes, limit: int) -> bytes:
    """At most `limit` bytes of the text, with no character of UTF-8 cut apart."""
    if len(text) <= limit:
        return text
    cut = limit
    while cut > limit - 4 and text[cut] & 0xC0 == 0x80:  # noqa: PLR2004  (a byte that goes on with a character)
        cut -= 1
    return text[:cut]


def first_line(text: bytes) -> bytes:
    """The first line that is not blank, without the white space around it."""
    return text.strip().partition(b"\n")[0].rstrip()
