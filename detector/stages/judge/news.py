"""Whether a message that its source never showed is news, or one more where new ones are routine. Pure.

New messages come in bursts (an incident, a deployment), and a burst counts once. Each of its messages is news
until training and the source's own past show, at 95 %, that bursts come more often than the budget allows.
"""

import math

from detector.bundle import NewMessages
from detector.stages.judge.budget import news_allowed
from detector.stages.judge.state import Rarity

BURST_EVENTS = 2_000  # from a burst's first event on; as long as an alert stays without a flag
BURST_ALLOWED = 0.1  # alerts that the budget allows in that time, at most: bursts are shorter in slow streams
REMEMBERED = 30.0  # alerts that the budget allows until what was seen has faded to 1/e
Z_95 = 1.645  # one-sided


def is_news(rarity: Rarity, number: int, news: NewMessages, budget: float) -> bool:
    """Whether a message is news that its source shows for the first time at this event; it is counted."""
    allowed = news_allowed(news.day_events, budget)
    if rarity.news == 0.0 or number - rarity.news_number >= burst_events(allowed):
        rarity.news = 1.0 + rarity.news * _faded(number - rarity.news_number, allowed)
        rarity.news_number = number
    # What comes later in a burst is as the burst's first message was.
    fade = _faded(rarity.news_number, allowed)
    bursts = news.bursts * fade + rarity.news - 1.0
    return fewest(bursts) <= allowed * news.events * fade + REMEMBERED * (1.0 - fade)


def is_routine(news: NewMessages, budget: float) -> bool:
    """Whether training alone shows that new messages are none."""
    return fewest(news.bursts) > news_allowed(news.day_events, budget) * news.events


def burst_events(allowed: float) -> float:
    """How many events a burst lasts where so many alerts are allowed in one."""
    return min(BURST_EVENTS, BURST_ALLOWED / allowed)


def fewest(count: float) -> float:
    """The lowest mean that explains a count at 95 % (Poisson; Wilson and Hilferty 1931, for any number)."""
    if count <= 0.0:
        return 0.0
    return count * max(0.0, 1.0 - 1.0 / (9.0 * count) - Z_95 / (3.0 * math.sqrt(count))) ** 3


def _faded(events: int, allowed: float) -> float:
    """What is left after so many events; events count by what the budget allows in them."""
    return math.exp(-events * allowed / REMEMBERED)
