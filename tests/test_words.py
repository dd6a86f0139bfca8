"""Counts and lengths of time as people read them."""

import math

import pytest

from detector.words import counted, duration, rate


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 alerts"), (1, "1 alert"), (1.0, "1 alert"), (0.5, "0.5 alerts"), (1_234_567, "1234567 alerts")],
)
def test_one_of_a_kind_has_no_plural(count: float, text: str) -> None:
    """Nobody reads `1 alerts`, and no count is written with an exponent."""
    assert counted(count, "alert") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (5.0, "5"),
        (9.96, "10"),
        (84.2, "84"),
        (131.6, "130"),
        (12_345.0, "12,000"),
        (0.0518, "0.052"),
        (0.000_012, "0.000012"),
        (math.nan, "unknown"),
    ],
)
def test_a_rate_has_two_digits_and_no_exponent(value: float, text: str) -> None:
    """Nobody reads 1.3e+02 as a number of alerts."""
    assert rate(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (59.0, "59 s"),
        (90.0, "1 min 30 s"),
        (300.0, "5 min"),
        (92_520.0, "25 h 42 min"),
        (3_599.9, "60 min"),
        (259_200.0, "3 d"),
        (7 * 86_400.0 + 3_600, "7 d 1 h"),
    ],
)
def test_a_length_of_time_is_said_in_two_units(seconds: float, text: str) -> None:
    """A time-out of 92,520 seconds is one day and a little more."""
    assert duration(seconds) == text
