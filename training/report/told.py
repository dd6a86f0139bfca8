"""What the report and the closing words say of a fit. Reads the most surprising lines again."""

import heapq
import math
from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np

from detector.bundle import Calibration, StepModel
from detector.records import FIRST_TEMPLATE
from detector.stages.header import header as headers
from detector.stages.judge.alerts import rfc3339
from detector.stages.judge.budget import (
    DAY_EVENTS,
    PER_SESSIONS,
    RESOLVED_LEAST,
    allowed_held_out,
    score_threshold,
)
from detector.stages.score.score import score_rows
from detector.stages.surprise import Row
from detector.words import counted, duration, rate
from training.evaluate.metrics import wilson
from training.made import Made
from training.model.recall import CHANCE
from training.model.run import GRADIENT_NORM
from training.report.basis import basis_of
from training.report.cautions import is_missed
from training.report.data import BudgetPoint, Epoch, ReportData, SurprisingLine, TemplateCount
from training.report.gains import read_again
from training.report.longlived import of_streams
from training.report.remembered import cell_row, model_lags

BUDGETS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
SURPRISING = 20  # lines shown
LOOKED_AT = 200_000  # events among which they are sought


def report_data(made: Made, now: datetime) -> ReportData:
    """Everything that the report shows of a fit."""
    corpus, calibration = made.corpus, made.trained.calibration
    session = calibration.session is not None
    return ReportData(
        bundle=f"{made.order.out.name} ({made.bundle_id})",
        created_at=now.isoformat(timespec="seconds"),
        lines=corpus.lines,
        events=corpus.events,
        sources=corpus.sources_seen,
        span=f"{rfc3339(corpus.first_us) or 'no times'} to {rfc3339(corpus.last_us) or 'no times'}",
        header=_header(made),
        split=_split(made),
        settings=_settings(made),
        epochs=[
            Epoch(e.train_bits, e.validation_bits, e.gradient_mean, e.gradient_max)
            for e in made.trained.final.history
        ],
        gradient_clip=GRADIENT_NORM,
        window=made.order.model.window,
        lags=model_lags(made),
        cells=[cell_row(facts) for facts in made.cells],
        chance=CHANCE,
        scores=made.trained.held_out,
        threshold=score_threshold(calibration, calibration.budget),
        basis=basis_of(calibration, calibration.budget),
        budget=calibration.budget,
        per="per 10,000 sessions" if session else "a day",
        budgets=[budget_point(made, budget) for budget in BUDGETS],
        read_again=read_again(made),
        surprising=_surprising(made),
        templates=_templates(made),
        warnings=list(warnings(made)),
    )


def budget_point(made: Made, budget: float) -> BudgetPoint:
    """What a budget leads to on the held-out data, with a 95 % interval."""
    return _point(made.trained.calibration, made.trained.held_out, budget)


def _point(calibration: Calibration, scores: Sequence[float], budget: float) -> BudgetPoint:
    threshold = score_threshold(calibration, budget)
    above = sum(score >= threshold for score in scores)
    low, high = wilson(above, max(len(scores), 1))
    unit = _units(calibration, len(scores))
    return BudgetPoint(budget, threshold, above / max(len(scores), 1) * unit, low * unit, high * unit)


def _units(calibration: Calibration, scores: int) -> float:
    """How many scores there are to a day, or to 10,000 sessions."""
    if calibration.session is not None:
        return PER_SESSIONS
    stream = calibration.stream
    days = calibration.days or (stream.events / DAY_EVENTS if stream is not None else 0.0)
    return scores / days if days else math.nan


def warnings(made: Made) -> Iterator[str]:
    """What the user has to know, in plain sentences."""
    calibration, corpus = made.trained.calibration, made.corpus
    budget = calibration.budget
    if made.trained.final.outcome == "diverged":
        yield "Training diverged; the weights of its best epoch were kept. Try a smaller --hidden."
    if calibration.session is not None:
        allowed = budget / PER_SESSIONS * calibration.session.sessions
        if allowed_held_out(calibration.session, budget) < RESOLVED_LEAST:
            yield (
                f"The data is too little for a budget of {budget:g} per 10,000 sessions: of "
                f"{counted(calibration.session.sessions, 'session')} it allows {rate(allowed)}. "
                "The threshold is extrapolated."
            )
    else:
        yield from of_streams(made)
    yield from missed(calibration, made.trained.held_out)
    if corpus.rejects:
        yield f"{counted(corpus.rejects, 'record')} could not be read; the first: {corpus.reasons[0]}"
    if corpus.untraced:
        yield corpus.untraced
    if corpus.unnamed:
        yield corpus.unnamed
    elif corpus.dropped:
        yield f"Lines that name no session were left out: {corpus.dropped} of {corpus.lines}."


def missed(calibration: Calibration, scores: Sequence[float]) -> Iterator[str]:
    """Whether the budget will not be kept, going by the scores of normal logs held out of training."""
    point = _point(calibration, scores, calibration.budget)
    if is_missed(point):
        per = "a day" if calibration.session is None else "per 10,000 sessions"
        yield (
            f"The budget of {counted(point.budget, 'false alert')} {per} will not be kept: "
            f"{rate(point.low)} to {rate(point.high)} are to be expected. Train on more normal logs, or ask "
            "for what can be kept: a higher --budget."
        )


def _header(made: Made) -> str:
    learnt = made.corpus.learnt
    if made.order.input.sequence_rows or not learnt.headers.headers:
        return "none: the whole line, or the envelope's message, is parsed"
    columns = [[str(c["piece"]) for c in one] for one in headers.to_json(learnt.headers)]  # type: ignore[attr-defined]
    return "; ".join(" ".join(names) for names in columns)


def _split(made: Made) -> str:
    if made.trained.calibration.session is not None:
        sessions = len(made.trained.held_out)
        left_out = f"; {made.cut_off} that the end of the logs cut off were left out" if made.cut_off else ""
        scored = "each scored by a model that had not seen it"
        return f"{counted(sessions, 'session')} in four folds, {scored}{left_out}"
    return "two halves by time, each scored by a model of the other; the final model saw both"


def _settings(made: Made) -> list[tuple[str, str]]:
    model = made.order.model
    names = ("cell", "hidden", "layers", "embedding", "window", "epochs", "seed")
    return [*_ending(made), *((name, str(getattr(model, name))) for name in names)]


def _ending(made: Made) -> list[tuple[str, str]]:
    return [] if (words := idle_words(made)) is None else [("idle time-out", f"a session ends after {words}")]


def idle_words(made: Made) -> str | None:
    """After what a session ends, and how to set it; None where there are no sessions, or no times."""
    if not made.order.input.session or made.idle_timeout_s is None:
        return None
    learnt = "as told" if made.order.input.idle_timeout_s is not None else "learnt from their longest pauses"
    return f"{duration(made.idle_timeout_s)} without a line, {learnt}; --idle-timeout SECONDS sets it"


def _surprising(made: Made) -> list[SurprisingLine]:
    """The least expected events of what was trained on."""
    step = StepModel(made.trained.step)
    grouped = made.corpus.grouped
    best: list[tuple[float, int]] = []
    seen = 0
    for start, stop in made.sequences:
        if seen > LOOKED_AT:
            break
        tokens = grouped.events["token"][start : min(stop, start + LOOKED_AT)].tolist()
        seen += len(tokens)
        row = Row(tokens, np.zeros(step.hidden_size, np.float32), 0)
        [score] = score_rows(step, [row], made.trained.calibration.hold_bits)
        top = np.argsort(-score.surprise)[:SURPRISING]
        best = heapq.nlargest(SURPRISING, [*best, *((float(score.surprise[i]), start + int(i)) for i in top)])
    return [_line(made, index, bits) for bits, index in best]


def _line(made: Made, index: int, bits: float) -> SurprisingLine:
    position, text = made.corpus.text_of(index)
    source = int(np.searchsorted(made.corpus.grouped.starts, index, "right")) - 1
    return SurprisingLine(bits, made.corpus.sources[source], position, text)


def _templates(made: Made) -> list[TemplateCount]:
    vocabulary = made.corpus.learnt.vocabulary
    counts = made.corpus.counts.tolist()
    known = ((token, vocabulary.template(token)) for token in range(FIRST_TEMPLATE, len(vocabulary)))
    return [
        TemplateCount(template.id, vocabulary.text(token), counts[token])
        for token, template in known
        if template is not None and (counts[token] or token < FIRST_TEMPLATE + len(vocabulary.templates))
    ]
