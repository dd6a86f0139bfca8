"""What `fit` says at its end: what was read, asked for and measured, and where it lies. No I/O."""

import math

from detector.words import counted, rate
from training.made import Made
from training.report.basis import basis_of
from training.report.gains import gain_words
from training.report.longlived import new_are_routine
from training.report.told import budget_point, idle_words


def closing_words(made: Made) -> list[tuple[str, str]]:
    """A label and its text for each line."""
    idle = idle_words(made)
    return [
        ("read", _read(made)),
        *([] if idle is None else [("sessions", f"end after {idle}")]),
        *_traces(made),
        *_budget(made),
        *gain_words(made),
        ("bundle", f"{made.order.out} ({made.bundle_id})"),
        ("report", str(made.order.out / "report.html")),
    ]


def _read(made: Made) -> str:
    corpus = made.corpus
    templates = counted(len(corpus.learnt.vocabulary.templates), "template")
    sources = counted(corpus.sources_seen, "session" if made.order.input.session else "source")
    return f"{counted(corpus.lines, 'line')}: {templates}, {sources}, {counted(corpus.rejects, 'reject')}"


def _traces(made: Made) -> list[tuple[str, str]]:
    """Whether slow requests will be seen, and of how many sources."""
    hops = made.trained.calibration.hops
    if hops is None:
        return []
    pace = made.corpus.hops.pace(hops.limit_nats)
    steps = f"{counted(hops.hops, 'step')} of requests from source to source"
    if not math.isfinite(pace.needed):
        return [("traces", f"{steps}; none can alert as slow")]
    enough = f"{pace.enough} of {counted(pace.sources, 'source')} had as many"
    return [("traces", f"{steps}; slow ones alert from about {math.ceil(pace.needed)} a minute on: {enough}")]


def _budget(made: Made) -> list[tuple[str, str]]:
    """From the budget that was asked for to what serving can expect."""
    calibration = made.trained.calibration
    per = "a day" if calibration.session is None else "per 10,000 sessions"
    point = budget_point(made, calibration.budget)
    besides = "" if new_are_routine(calibration) else "; messages never seen before alert besides"
    return [
        ("asked for", f"at most {counted(calibration.budget, 'false alert')} {per} (--budget)"),
        ("threshold", f"{point.threshold:.2f}, {basis_of(calibration, calibration.budget)}"),
        ("measured", f"{rate(point.expected)} {per} on normal logs held out of training"),
        (
            "expect",
            f"{rate(point.low)} to {rate(point.high)} {per} in serving, on logs like these (95 %){besides}",
        ),
    ]
