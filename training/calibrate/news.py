"""Calibrate how often messages come that were never seen before. No torch, no I/O."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from detector.bundle import NewMessages
from detector.records import UNKNOWN
from detector.stages.judge.budget import DAY_EVENTS, news_allowed
from detector.stages.judge.news import burst_events
from training.calibrate.calibrate import Tokens
from training.calibrate.streams import Stream, days_of


def new_messages(older: Sequence[Stream], newer: Sequence[Stream], budget: float) -> NewMessages:
    """Count the bursts in which the newer half shows what the older half of all sources lacks.

    What several sources show is counted once: training need not know how many will show it.
    """
    parts = [*older, *newer]
    events, days = sum(len(one.tokens) for one in parts), days_of(parts)
    day_events = events / days if days else float(DAY_EVENTS)
    lasting = burst_events(news_allowed(day_events, budget))
    bursts, seen = 0, known_tokens(older)
    for one in newer:
        bursts += _bursts(first_places(one.tokens, seen), lasting)
        seen |= set(one.tokens.tolist())
    return NewMessages(bursts, sum(len(one.tokens) for one in newer), day_events)


def new_templates(older: Sequence[Stream], newer: Sequence[Stream]) -> int:
    """Templates that only the newer half has."""
    return len(known_tokens(newer) - known_tokens(older))


def known_tokens(streams: Sequence[Stream]) -> set[int]:
    """Every token in some streams, and the unknown one."""
    return {UNKNOWN, *chain.from_iterable(np.unique(one.tokens).tolist() for one in streams)}


def first_places(tokens: Tokens, seen: set[int]) -> list[int]:
    """Where in a stream [T] tokens first occur that were not seen before, ascending."""
    values, places = np.unique(tokens, return_index=True)
    return sorted(int(place) for value, place in zip(values, places, strict=True) if int(value) not in seen)


def _bursts(places: Sequence[int], lasting: float) -> int:
    """Bursts, each of which lasts for so many events from its first place on."""
    bursts, began = 0, -np.inf
    for place in places:
        if place - began >= lasting:
            bursts, began = bursts + 1, place
    return bursts
