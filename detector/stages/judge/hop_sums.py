"""Measure the hops of traces between sources, and add up how slow those from and to a source are. Pure.

A hop's time depends on both its ends. What is unlikely about it counts for both, a little more for the one
that it came from: a source with a fault is slow with all its partners, each of them only with that one. Hops
of one moment count together as one, because a pause stops all that is under way.
"""

import math
from bisect import bisect, insort
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from detector.bundle import HopCalibration, HopTimes
from detector.records import Line
from detector.stages.judge.hop_state import (
    MAX_SOURCES,
    MAX_TIMES,
    MAX_TRACES,
    MAX_WAITING,
    TEXT_BYTES,
    HopState,
    Last,
    Slowness,
    Waiting,
)
from detector.stages.judge.hop_times import learn, log_time, predicted, tail_nats, typical_s, within

SECOND_US = 1_000_000
WAIT_US = SECOND_US  # collectors take up the logs of several programs in turns, and write one after the other
FORGET_US = 60 * SECOND_US  # a trace that pauses for longer is over
MOST_LINES = 1_000  # of a request; an id that has more is of a user, a tenant or a day
USUAL_NATS = 3.0  # of a hop that is as usual: one in twenty
MOST_NATS = 15.0  # beyond those that one hop counts for
RECEIVER = 0.9  # what a hop counts for where it arrives, to 1 where it came from
SLACK_NATS = 0.5  # beyond its source's usual mean that a hop may be slow
MOST_USUAL = 3.0  # nats of one hop that count for that mean
SOON, LATE = 50, 2_000  # hops over which the mean is taken, at first and in the end
FADE_S = 30.0  # after which the sum has faded to 1/e
MOMENT_S = 1.0  # hops closer together count in part
HELD = 0.25  # of the sum that alerts: from there on its source's hops teach nothing, or they became usual
HELD_US = 86_400 * SECOND_US  # what lasts for longer becomes usual
SURE_HOPS = 100  # of which something is known before it is held


class Hop(NamedTuple):
    """A line that came on another source than the one before it in its trace."""

    before: Last
    took_s: float
    usual_s: float
    nats: float  # that it counts for
    held: bool = False  # one of its ends is slow, so that it teaches nothing


def in_order(state: HopState, line: Line, token: int, clock_us: int) -> list[Waiting]:
    """Let a line wait its turn; gives those whose turn it is. `clock_us` is the log's before it, 0 for none.

    It depends on the log's own lines alone, so that batches may end anywhere. What is very late is left out.
    """
    time_us, waiting = line.time_us, state.waiting
    if time_us is None or time_us < clock_us - FORGET_US:
        return []
    text = line.text[:TEXT_BYTES]
    one = Waiting(
        time_us, line.offset, line.sub, line.trace, line.source, token, line.level, line.position, text
    )
    insort(waiting, one)
    now_us = max(clock_us, min(time_us, clock_us + FORGET_US)) if clock_us else time_us
    while waiting[-1].time_us > now_us + FORGET_US:
        waiting.pop()  # it, or those before it whose clock was set back
        if not waiting:
            return []
    return due(state, now_us, len(waiting) - MAX_WAITING)


def due(state: HopState, now_us: int, least: int = 0) -> list[Waiting]:
    """Those whose turn it is by now, and at least so many; in the order of their times."""
    ready = max(bisect(state.waiting, now_us - WAIT_US, key=_time_of), least)
    turns = state.waiting[:ready]
    del state.waiting[:ready]
    return turns


def _time_of(waiting: Waiting) -> int:
    return waiting.time_us


def measured(state: HopState, line: Waiting, learnt: HopCalibration) -> Hop | None:
    """Take the next line of a trace; the hop that ends with it, where it is one whose usual time is known."""
    time_us, token = line.time_us, line.token
    is_set_back = time_us < state.now_us - FORGET_US
    state.now_us = time_us if is_set_back else max(state.now_us, time_us)
    before = state.traces.pop(line.trace, None)
    if before is not None and 0 < before.time_us - time_us <= FORGET_US:
        state.traces[line.trace] = before  # what comes late may have been before lines that were measured
        return None
    lines = 1 if before is None else before.lines + 1
    state.traces[line.trace] = Last(line.source, token, time_us, line.position, line.text, lines)
    _forget(state)
    if before is None or before.source == line.source or abs(time_us - before.time_us) > FORGET_US:
        return None
    if lines > MOST_LINES:
        return None
    took_s = (time_us - before.time_us) / SECOND_US
    messages = f"{before.token}\0{token}"
    own = times_of(state, key_of(f"{before.source}\0{line.source}\0{messages}"), learnt)
    anywhere = times_of(state, key_of(messages), learnt)
    log = log_time(took_s)
    if not anywhere.hops:
        learn(own, log)
        learn(anywhere, log)
        return None
    mean, spread, freedom = predicted(own if own.hops else None, anywhere)
    nats = tail_nats((log - mean) / spread, freedom)
    log = within(log, mean, spread)
    held = any(_is_held(state, source) for source in (before.source, line.source))
    for times in (own, anywhere):
        if not held or times.hops < SURE_HOPS:
            learn(times, log)
    return Hop(before, took_s, typical_s(mean), min(max(0.0, nats - USUAL_NATS), MOST_NATS), held)


def _is_held(state: HopState, source: str) -> bool:
    slow = state.sources.get(source)
    return slow is not None and slow.since_us is not None and state.now_us - slow.since_us <= HELD_US


def add(state: HopState, source: str, nats: float, learnt: HopCalibration, *, held: bool = False) -> Slowness:
    """Count a hop for one of its ends."""
    slow = state.sources.pop(source, None) or _new(source, learnt)
    if slow.at_us is None or slow.at_us > state.now_us:  # nothing yet, or before the clock was set back
        slow.nats, slow.at_us = 0.0, -FORGET_US
    passed_s = (state.now_us - slow.at_us) / SECOND_US
    share = 1.0 - math.exp(-passed_s / MOMENT_S)
    beyond = share * (nats - slow.usual - SLACK_NATS)
    slow.nats = max(0.0, slow.nats * math.exp(-passed_s / FADE_S) + beyond)
    slow.at_us = state.now_us
    slow.hops += 1
    if not held or slow.hops < SURE_HOPS:
        slow.usual += (min(nats, MOST_USUAL) - slow.usual) / min(max(slow.hops, SOON), LATE)
    if slow.nats < HELD * learnt.limit_nats:
        slow.since_us = None
    elif slow.since_us is None or slow.since_us > state.now_us:
        slow.since_us = state.now_us
    state.sources[source] = slow
    if len(state.sources) > MAX_SOURCES:
        del state.sources[next(iter(state.sources))]
    return slow


def _new(source: str, learnt: HopCalibration) -> Slowness:
    known = learnt.usual.get(source)
    return Slowness() if known is None else Slowness(usual=known.nats, hops=known.hops)


def times_of(state: HopState, key: int, learnt: HopCalibration) -> HopTimes:
    """What is known of a kind of hop, to be changed; new where nothing is."""
    times = state.times.pop(key, None)
    if times is None:
        known = learnt.times.get(key)
        times = HopTimes() if known is None else HopTimes(known.hops, known.mean, known.variance)
    state.times[key] = times
    if len(state.times) > MAX_TIMES:
        del state.times[next(iter(state.times))]
    return times


@lru_cache(maxsize=MAX_TIMES)
def key_of(kind: str) -> int:
    """A 62-bit number for a kind of hop."""
    digest = blake2b(kind.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def _forget(state: HopState) -> None:
    """Drop the traces that are over, or too many; the one that has been quiet for longest is the first."""
    traces = state.traces
    while len(traces) > MAX_TRACES:
        del traces[next(iter(traces))]
    while traces:
        oldest = next(iter(traces))
        if abs(state.now_us - traces[oldest].time_us) <= FORGET_US:
            return
        del traces[oldest]
