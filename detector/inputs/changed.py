"""When a file was last changed. Looks at files, and at the clock for standard input."""

import os
import time

from detector.inputs.paths import STDIN

_GZIP_HEADER_BYTES = 8  # up to the time, four bytes, at which the packed file was changed; 0: not told
_GZIP = b"\x1f\x8b"


def changed_us(path: str) -> int | None:
    """Microseconds since 1970: now for standard input, of a gzip file what it says; None if unknown."""
    if path == STDIN:
        return time.time_ns() // 1000
    try:
        changed = os.stat(path).st_mtime_ns // 1000  # noqa: PTH116  # beside os.path
        packed_s = _packed_s(path) if path.endswith(".gz") else 0
    except OSError:
        return None
    return min(packed_s * 1_000_000 or changed, changed)


def _packed_s(path: str) -> int:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # the same
        head = file.read(_GZIP_HEADER_BYTES)
    return int.from_bytes(head[4:], "little") if head.startswith(_GZIP) else 0
