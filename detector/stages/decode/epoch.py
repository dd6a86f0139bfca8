"""Numbers as times: seconds, milli-, micro- or nanoseconds since 1970, told apart by size. Pure."""

# Each unit reaches to the year 5138, where the next finer one has only reached March 1973.
_SECONDS, _MILLISECONDS, _MICROSECONDS, _NANOSECONDS = 10**11, 10**14, 10**17, 10**20


def whole(number: int) -> int | None:
    """Microseconds of a whole number; None where no unit gives a year between 1970 and 5138."""
    if number <= 0:
        return None
    if number < _SECONDS:
        return number * 1_000_000
    if number < _MILLISECONDS:
        return number * 1_000
    if number < _MICROSECONDS:
        return number
    return number // 1_000 if number < _NANOSECONDS else None


def fractional(number: float) -> int | None:
    """Microseconds of a number with a fraction."""
    if not 0 < number < _NANOSECONDS:
        return None
    if number < _SECONDS:
        return round(number * 1e6)
    return whole(int(number)) if number >= _MILLISECONDS else round(number * 1e3)


def digits(text: str) -> int | None:
    """Microseconds of a number written as text, exact in its fraction; None where it is none."""
    seconds, dot, fraction = text.partition(".")
    if not seconds.isdecimal() or not seconds.isascii() or len(seconds) > len(str(_NANOSECONDS)):
        return None
    time_us = whole(int(seconds))
    if not dot or time_us is None or int(seconds) >= _SECONDS:
        return time_us
    if not fraction.isdecimal() or not fraction.isascii():
        return None
    return time_us + int(fraction[:6].ljust(6, "0"))
