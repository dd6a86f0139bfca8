"""Syslog as it travels: RFC 5424, and RFC 3164 as it is found. Pure."""

import re

from detector.errors import BadRecord
from detector.stages.decode.entry import Entry, syslog_level
from detector.stages.decode.objects import Stamp
from detector.stages.decode.source import joined

_PRIORITY = rb"<(1[0-8]\d|19[01]|[1-9]?\d)>"  # facility 23, severity 7 at most
PRIORITY = re.compile(_PRIORITY)
# <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]
_RFC_5424 = re.compile(
    _PRIORITY
    + rb'1 (\S+) (\S+) (\S+) \S+ \S+ (?:-|((?:\[(?:[^"\]]++|"(?:[^"\\]++|\\.)*+")*+\])++))(?: (.*))?$',
    re.DOTALL,
)
# <PRI>[time host ][tag[pid]: ]message; the time as RFC 3164 has it, or ISO 8601 as newer daemons write it.
_RFC_3164 = re.compile(
    _PRIORITY + rb"(?:([A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) (?:(\S+) )?)?"
    rb"(?:([^\s:\[\]]{1,64})(?:\[[^\]\s]{0,32}\])?:(?: |$))?()(.*)$",
    re.DOTALL,
)
_UTF_8_MARK = b"\xef\xbb\xbf"


def entry(raw: bytes, stamp: Stamp, reference_us: int | None) -> Entry:
    """The entry of a syslog record.

    Raises:
        BadRecord: it does not start with a priority.
    """
    match = _RFC_5424.match(raw) or _RFC_3164.match(raw)
    if match is None:
        raise BadRecord("syslog: no priority from <0> to <191> at the start")
    priority, time, host, tag, data, text = match.groups()
    message = text or data or b""
    named = time is not None and time != b"-"
    stamp_us = stamp(time.decode("utf-8", "replace"), reference_us) if named else None
    return Entry(
        message.removeprefix(_UTF_8_MARK),
        raw,
        stamp_us,
        syslog_level(int(priority)),
        joined([_name(tag), _name(host)]),
        bad_time=named and stamp_us is None,
    )


def _name(part: bytes | None) -> str:
    return "" if part is None or part == b"-" else part.decode("utf-8", "replace")
