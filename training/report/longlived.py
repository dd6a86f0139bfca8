"""Say in plain words what a fit on long-lived sources leaves in doubt. Pure."""

import math
from collections.abc import Iterator

from detector.bundle import Calibration, StreamCalibration
from detector.stages.judge.alerts import rfc3339
from detector.stages.judge.budget import DAY_EVENTS, DAY_US, silence_limit_us
from detector.stages.judge.news import is_routine
from detector.words import counted, duration
from training.calibrate.hops import LEAST_HOPS
from training.corpus import Corpus
from training.made import Made
from training.report.basis import DAYS_ENOUGH

DISORDER_BITS = 300.0  # some tens of lines out of place are missed
SLOW_NATS = 150.0  # what a fault of a minute adds up to is missed beyond
LATE_FACTOR = 10.0  # times its longest gap after which a source that stopped is noticed late
DAY_S = 86_400
SECOND_US = 1_000_000


def of_streams(made: Made) -> Iterator[str]:
    """One sentence for each thing that a user has to know."""
    calibration, corpus = made.trained.calibration, made.corpus
    budget, stream = calibration.budget, calibration.stream
    if not calibration.days:
        yield f"{_timeless(corpus)}: {DAY_EVENTS:,} events count as a day."
    elif calibration.days * budget < DAYS_ENOUGH:
        yield (
            f"The data is too little for a budget of {budget:g} a day: it spans "
            f"{duration(DAY_S * calibration.days)}. The threshold is extrapolated."
        )
    yield from _of_hops(made)
    if stream is not None:
        yield from of_news(calibration)
        yield from of_silence(stream, calibration.days, budget)
        yield from _of_order(stream)


def new_are_routine(calibration: Calibration) -> bool:
    """Whether training showed that one more new message is no news."""
    news = None if calibration.stream is None else calibration.stream.news
    return news is not None and is_routine(news, calibration.budget)


def of_news(calibration: Calibration) -> Iterator[str]:
    """Whether new messages alert from the first one on."""
    if new_are_routine(calibration):
        yield (
            f"New messages are routine here ({counted(calibration.new_templates, 'template')} only in the "
            "newer half: more often than the budget allows), so one is no alert of its own until its source "
            "has long been without; new_messages = true in [alerts] of tailrace.toml makes each an alert."
        )


def of_silence(stream: StreamCalibration, days: float, budget: float) -> Iterator[str]:
    """Whether a source that stops is noticed soon."""
    if stream.silence_factor <= 0:
        return
    limit_us = silence_limit_us(stream, stream.silence_gap_us, days * DAY_US, budget)
    if limit_us is None:
        yield (
            f"The data is too little to tell silence from a pause: within {duration(DAY_S * days)} "
            f"{counted(stream.sources, 'source')} had gaps of {duration(stream.silence_gap_us / SECOND_US)}. "
            "One that stops alerts only once it has been watched for long enough."
        )
    elif limit_us > LATE_FACTOR * stream.silence_gap_us:
        yield (
            "The data is little to tell silence from a pause: at first a source alerts after "
            f"{duration(limit_us / SECOND_US)} without a line, sooner the longer it has been watched."
        )


def _of_order(stream: StreamCalibration) -> Iterator[str]:
    if stream.order_bits > DISORDER_BITS:
        yield (
            "Loops, floods or missing steps are in the logs held out of training, so known messages "
            "alert only when they are twice as far out of order. If those were incidents, leave them out, or "
            "give their share with --contamination."
        )


def _of_hops(made: Made) -> Iterator[str]:
    """Whether slow requests alert at all, and soon."""
    settings, hops = made.order.input, made.trained.calibration.hops
    if hops is None:
        if (settings.trace_field or settings.trace_regex) and not made.corpus.untraced:
            yield (
                f"Of requests that go on from source to source there are {made.corpus.hops.steps} steps; "
                f"slow ones alert from {LEAST_HOPS} in the training data on."
            )
        return
    pace = made.corpus.hops.pace(hops.limit_nats)
    if not pace.enough and math.isfinite(pace.needed):
        yield (
            f"Requests are too rare for slow ones to alert soon, or at all: it takes about "
            f"{math.ceil(pace.needed)} slow steps a minute of one source, and the busiest source had "
            f"{pace.most:.2g} a minute."
        )
    if hops.limit_nats > SLOW_NATS:
        yield (
            "Requests became slow between sources in the training data, so a source alerts only when they "
            "are slower by far. If that was an incident, leave it out or give its share (--contamination)."
        )


def _timeless(corpus: Corpus) -> str:
    if corpus.first_us is None:
        return "The lines have no times"
    if corpus.first_us == corpus.last_us:
        return f"The lines all have one and the same time, {rfc3339(corpus.first_us)}"
    return "No source's lines span any time"
