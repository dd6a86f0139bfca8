"""How rare an event is in its own source, with a memory that keeps learning. Pure.

An event counts only when its template was silent for a while (an episode), so that a flood is
one event; an unseen harmless message costs a little once and then is normal.
"""

import math

from detector.stages.judge.state import MAX_SLOTS, Rarity

EPISODE_GAP = 50  # events; a template silent for longer starts an episode
MEMORY = 300_000.0  # events after which a count has faded to 1/e
SUM_MEMORY = 200.0  # the same for the leaky sum of excess
SEEN_PRIOR = 0.3  # added to a template's count
TOTAL_PRIOR = 6.0  # added to the count of all episodes


def starts_episode(rarity: Rarity, key: int, number: int, *, first: bool) -> bool:
    """Whether the event of this number (counted from 1) ends a silence of its template; notes it as seen.

    Nobody knows what a source said before it was heard. Only where a template's `first` event counts in any
    case is it taken for rare at once; else every everyday one would be, wherever a source begins.
    """
    last = rarity.last_seen.get(key)
    if last is None and len(rarity.last_seen) >= MAX_SLOTS:
        _forget(rarity)
    rarity.last_seen[key] = number
    return number - (last or 0) > EPISODE_GAP or (first and last is None)


def rarity_nats(rarity: Rarity, key: int, number: int, prior: float, prior_total: float) -> float:
    """-ln of the share of episodes that this template starts, given leaky counts; then counts this one.

    `prior` and `prior_total` are training's counts, which fade like the source's own.
    """
    fade = math.exp(-number / MEMORY)
    count, counted_at = rarity.counts.get(key, (0.0, number))
    count *= math.exp((counted_at - number) / MEMORY)
    episodes = rarity.episodes * math.exp((rarity.episodes_number - number) / MEMORY)
    share = (count + prior * fade + SEEN_PRIOR) / (episodes + prior_total * fade + TOTAL_PRIOR)
    rarity.counts[key] = (count + 1.0, number)
    rarity.episodes = episodes + 1.0
    rarity.episodes_number = number
    return -math.log(share)


def unseen_nats(rarity: Rarity, number: int, prior_total: float) -> float:
    """The rarity in nats of a template that this source has never shown."""
    episodes = rarity.episodes * math.exp((rarity.episodes_number - number) / MEMORY)
    total = episodes + prior_total * math.exp(-number / MEMORY) + TOTAL_PRIOR
    return -math.log(SEEN_PRIOR / total)


def sum_of(rarity: Rarity, number: int) -> float:
    """The leaky sum, in nats, as far as it has faded by the event of this number."""
    return rarity.sum_nats * math.exp((rarity.sum_number - number) / SUM_MEMORY)


def add_excess(rarity: Rarity, excess: float, number: int) -> float:
    """The leaky sum after this event's excess, both in nats."""
    rarity.sum_nats = sum_of(rarity, number) + excess
    rarity.sum_number = number
    return rarity.sum_nats


def _forget(rarity: Rarity) -> None:
    """Drop the template unseen for longest, so that the table stays bounded."""
    oldest = min(rarity.last_seen, key=rarity.last_seen.__getitem__)
    del rarity.last_seen[oldest]
    rarity.counts.pop(oldest, None)
