"""Counts, rates and lengths of time as people read them. Pure."""

import math
from decimal import Decimal

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
_DAYS_FROM_S = 3 * _DAY_S  # up to here hours say more: 25 h 42 min


def counted(count: float, noun: str) -> str:
    """A count with its noun: 1 source, 2 sources, 0.5 false alerts."""
    number = f"{count:g}" if isinstance(count, float) else str(count)
    return f"{number} {noun}" if count == 1 else f"{number} {noun}s"


def rate(value: float) -> str:
    """A measured or expected number with two digits that say something, and no exponent: 130, 0.052."""
    return f"{Decimal(f'{value:.2g}'):,f}" if math.isfinite(value) else "unknown"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 25 h 42 min, 1 min 30 s, 0.25 s."""
    if seconds < _MINUTE_S:
        return f"{seconds:.3g} s"
    if seconds < _HOUR_S:
        return _two(seconds, _MINUTE_S, "min", 1, "s")
    if seconds < _DAYS_FROM_S:
        return _two(seconds, _HOUR_S, "h", _MINUTE_S, "min")
    return _two(seconds, _DAY_S, "d", _HOUR_S, "h")


def _two(seconds: float, large_s: int, large: str, small_s: int, small: str) -> str:
    many, few = divmod(round(seconds / small_s), large_s // small_s)
    return f"{many} {large} {few} {small}" if few else f"{many} {large}"
