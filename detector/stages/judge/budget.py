"""From an alert budget to thresholds, by what calibration saw on held-out normal data. Pure."""

import math

from detector.bundle import Calibration, SessionCalibration, StreamCalibration

PER_SESSIONS = 10_000  # a session budget counts false alerts per so many
EARLY_SHARE = 0.1  # of a session budget goes to alerts on single events before the ending
RESOLVED_LEAST = 5  # held-out scores above a threshold for it to be read off rather than extrapolated
LEAST_SHARE = 1e-300
RULE_OF_THREE = 3.0
RULE_OF_NINE = 9.0
LEAST_ALLOWED = 1 / 3  # of what a session budget allows, however few the data are
DAY_EVENTS = 10_000
NEWS_SHARE = SILENCE_SHARE = 0.5  # of a budget a day is for new messages, and for sources that went silent
LEAST_DAYS = 1e-6
DAY_US = 86_400e6
WATCHED_SHARE = 0.1  # of the time for which a source was watched, its silence has to be shorter to be told
LEAST_NATS = 3.0  # of the leaky sum of a long-lived source, whatever the budget


def score_threshold(calibration: Calibration, budget: float) -> float:
    """The score from which on something is an alert: of a closed session, or of the leaky sum."""
    if calibration.session is not None:
        return _session_threshold(calibration.session, budget)
    if calibration.stream is not None:
        return _stream_threshold(calibration.stream, calibration.days, budget)
    raise ValueError("a calibration is for sessions or for streams")


def event_threshold(budget: float) -> float:
    """The z from which on a single event of a session is an alert before its ending."""
    return z_of(EARLY_SHARE * budget / PER_SESSIONS)


def z_of(share: float) -> float:
    """-log10 of a share, kept within what numbers can hold."""
    return -math.log10(min(max(share, LEAST_SHARE), 1.0))


def _session_threshold(session: SessionCalibration, budget: float) -> float:
    """Above it lies the budget's share of the held-out scores; extrapolated where those are few."""
    totals = session.totals
    rank, extrapolated = math.floor(allowed_held_out(session, budget)), extrapolated_score(session, budget)
    if rank >= len(totals):
        return min(totals[-1], extrapolated) if totals else extrapolated
    if rank >= RESOLVED_LEAST:
        return _above(totals, rank)
    # A smaller budget never has a lower threshold than the smallest one that can be read off.
    least = _above(totals, RESOLVED_LEAST) if len(totals) > RESOLVED_LEAST else 0.0
    return max(least, extrapolated)


def allowed_held_out(session: SessionCalibration, budget: float) -> float:
    """How many of the held-out sessions a budget's threshold may leave above it.

    About so many that the rate behind them is within the budget with 95 % confidence: the bound of a
    Poisson count is 5 of 10.5 and 20 of 29, the rule of nine has 5.7 and 22. But a third where that is more.
    """
    allowed = budget / PER_SESSIONS * session.sessions
    return allowed * max(allowed / (allowed + RULE_OF_NINE), LEAST_ALLOWED)


def extrapolated_score(session: SessionCalibration, budget: float) -> float:
    """The threshold of a budget by the exponential tail of the held-out scores."""
    return session.total.value(z_of(allowed_held_out(session, budget) / max(session.sessions, 1)))


def _above(totals: list[float], rank: int) -> float:
    """A score with at most `rank` of the descending totals at or above it, also where they tie."""
    higher = [total for total in totals[:rank] if total > totals[rank]]
    return (higher[-1] + totals[rank]) / 2 if higher else math.nextafter(totals[rank], math.inf)


def _stream_threshold(stream: StreamCalibration, days: float, budget: float) -> float:
    """From the tail of the leaky sum's block maxima; without event times so many events make a day."""
    if stream.blocks == 0:
        return LEAST_NATS
    allowed = _lessened(budget * (days or stream.events / DAY_EVENTS))
    return max(LEAST_NATS, stream.maxima.value(z_of(allowed / stream.blocks)))


def news_allowed(day_events: float, budget: float) -> float:
    """How many alerts on new messages a budget allows in one event, of any source.

    The same for each: so all of them together keep to it, however many they are.
    """
    return NEWS_SHARE * budget / day_events


def silence_least(stream: StreamCalibration, days: float, budget: float) -> float:
    """How many times the longest gap that was seen in so many days is as rare as a budget asks for.

    Each source had one such gap in that time, and gaps of finite variance get rarer at least with the square
    of their length.
    """
    return math.sqrt(stream.sources / (SILENCE_SHARE * budget * max(days, LEAST_DAYS)))


def silence_limit_us(stream: StreamCalibration, gap_us: int, watched_us: float, budget: float) -> int | None:
    """After how long without a line a source is silent whose longest gap in the time watched was this one.

    None where that is long beside the time: what happens once in a while may not have been seen yet.
    """
    if stream.silence_factor <= 0:
        return None
    limit_us = int(gap_us * max(stream.silence_factor, silence_least(stream, watched_us / DAY_US, budget)))
    return limit_us if limit_us <= WATCHED_SHARE * watched_us else None


def _lessened(allowed: float) -> float:
    """How many false alerts in the data to calibrate for, where the budget allows so many.

    Few data say little about a rate: none seen in n days or sessions leaves up to 3 / n (95 %), and
    what comes later differs more from them than they do from each other.
    """
    return allowed * allowed / (allowed + RULE_OF_THREE)
