"""The forms of time stamps that logs carry, and one reading of them in microseconds since 1970. No I/O.

A kind names a pattern. Patterns look at digits only as digits, never at their values, so that
a line's header depends on the line's shape alone (see shape.py).
"""

import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Final

from detector.stages.header.instant import instant_us

_FIELDS: Final[Mapping[str, str]] = {
    "year": r"(?P<y>\d{4})",
    "yy": r"(?P<y>\d\d)",
    "month": r"(?P<mo>\d\d)",
    "name": "(?P<name>[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]ay|[Jj]un|[Jj]ul|[Aa]ug|[Ss]ep|[Oo]ct|[Nn]ov|[Dd]ec)",
    "weekday": "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
    "day": r"(?P<d>\d\d)",
    "d": r"(?P<d>\d{1,2})",
    "time": r"(?P<h>\d\d):(?P<mi>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?",
    "hhmmss": r"(?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)",
    "fraction": r"(?:[.,](?P<f>\d{1,9}))?",
    "zone": r"(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d)",
    "padded": r"(?P<h>[ \d]\d):(?P<mi>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?",
    "short": r"(?P<h>\d{1,2}):(?P<mi>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?",
    "half": "(?:(?: |\N{NARROW NO-BREAK SPACE})?(?P<half>[AP]M))",  # newer Java writes that blank
}
# In the order they are tried: a pattern comes before those that match a part of it.
_FORMS: Final[Mapping[str, str]] = {
    "iso": r"<year>-<month>-<day>[T _]<padded>(?: ?<zone>)?",
    "iso-dots": r"<year>-<month>-<day>-(?P<h>\d\d)\.(?P<mi>\d\d)\.(?P<s>\d\d)<fraction>",
    "slashes": "<year>/<month>/<day>[T :-]<time>(?: ?<zone>)?",
    "slashes-short": "<yy>/<month>/<day> <time>",
    "month-first": r"(?P<mo>\d{1,2})/<d>/<year>,? <short><half>?",
    "day-first": r"<d>/(?P<mo>\d{1,2})/<year>,? <short><half>?",  # the same digits: training tells
    "name-first": "<name> <d>, <year>,? <short><half>?",
    "day-dots": r"<day>\.<month>\.<year> <time>",
    "access": "<day>/<name>/<year>[: ]<time>(?: <zone>)?",
    "day-name": "<day>-<name>-<year> <time>",
    "mail": "(?:<weekday>, )?<d> <name> <year> <time>(?: <zone>)?",
    "asctime": "<weekday> <name> +<d> <time>(?: <zone>)? <year>",
    "syslog": "<name> +<d>(?: <year>)? <time>",
    "compact": "<year><month><day>[T -]?<hhmmss><fraction><zone>?",
    "compact-short": "<yy><month><day> <hhmmss><fraction>",
    "colons": r"<year><month><day>-(?P<h>\d{1,2}):(?P<mi>\d{1,2}):(?P<s>\d{1,2})(?::(?P<ms>\d{1,3}))?",
    "klog": "[IWEF]<month><day> <time>",
    "glog": "[IWEF]<year><month><day> <time>",
    "month-day": "<month>-<day> <time>",
    "month-dot": r"<month>\.<day> <time>",
    "epoch": r"(?P<epoch>\d{10})(?:\.(?P<f>\d{1,9}))?",
    "epoch-ms": r"(?P<epoch>\d{10})(?P<f>\d{3})?",
    "epoch-us": r"(?P<epoch>\d{10})(?P<f>\d{6})?",
    "time": "<time>",
    "date": "<year>[-./]<month>[-./]<day>",
}
PATTERNS: Final[Mapping[str, bytes]] = {
    kind: re.sub(r"(?<!P)<(\w+)>", lambda found: _FIELDS[found[1]], form).encode()
    for kind, form in _FORMS.items()
}
_READERS = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}


def parse_time(kind: str, text: bytes, reference_us: int | None = None, zone: tzinfo = UTC) -> int | None:
    """Read a time stamp; a missing year or date is the one that brings it closest to the reference.

    `zone` holds for stamps that name none. None where the text is no such time. `Clock` in
    timestamp.py reads the same, faster.
    """
    found = _READERS[kind].fullmatch(text)
    if found is None:
        return None
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    try:
        return instant_us(parts, reference_us, zone)
    except (ValueError, OverflowError):
        return None
