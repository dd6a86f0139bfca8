"""How far a source's everyday events are out of order: a cumulative sum of surprise. Pure.

Page 1954: what exceeds the usual surprise and a slack adds up, never below 0. Loops, floods of known messages
and missing steps show here. A message that was silent for a while is `rarity`'s, and so is an unknown one.
"""

from detector.bundle import StreamCalibration
from detector.stages.judge.state import Rarity

MOST_BITS = 12.0  # that one event adds: the model's far tail says little
MEMORY = 1_000.0  # events after which a source's own mean has followed: what lasts becomes its habit


def add_surprise(rarity: Rarity, surprise: float, stream: StreamCalibration) -> float:
    """The sum after an event within an episode, as a share of its limit; from 1 on it begins anew."""
    above = min(surprise, MOST_BITS) - stream.order_mean
    step = above - max(0.0, rarity.order_shift) - stream.order_slack
    rarity.order_bits = max(0.0, rarity.order_bits + step)
    rarity.order_shift += (above - rarity.order_shift) / MEMORY
    share = rarity.order_bits / stream.order_bits
    if share >= 1.0:
        rarity.order_bits = 0.0
    return share
