"""What a training report shows, in plain values. Losses are bits an event."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training data."""

    loss_bits: float
    validation_loss_bits: float
    gradient_norm_mean: float  # before clipping
    gradient_norm_max: float


@dataclass(frozen=True, slots=True)
class LagCurve:
    """How strongly an event bears on the surprise of one that comes later."""

    name: str
    norms: Sequence[float]  # of the gradient, for the lags 1, 2, 3 …


@dataclass(frozen=True, slots=True)
class CellRow:
    """One kind of recurrent cell in the comparison."""

    name: str
    parameters: int
    held_out_bits: float  # an event
    seconds: float  # of training
    events_per_s: float
    drawn: LagCurve  # before training
    trained: LagCurve
    recall: Sequence[tuple[int, float]]  # distance in events, share of symbols named
    held: Sequence[tuple[int, float]]  # truncation window in events, megabytes


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """What one budget leads to on held-out normal data."""

    budget: float  # false alerts asked for
    threshold: float
    expected: float  # false alerts measured, in the unit of the budget
    low: float  # 95 % interval of their rate: what serving can expect
    high: float


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """What a second reader gains on held-out normal sessions with one thing wrong."""

    kind: str
    copies: int
    found: float  # share that alerts by the first score
    found_with: float  # share that alerts after being read again
    pointed: float  # share in which most attention went to what is wrong


@dataclass(frozen=True, slots=True)
class SurprisingLine:
    """A normal line that the model did not expect."""

    surprise_bits: float
    source: str
    position: str
    text: str


@dataclass(frozen=True, slots=True)
class TemplateCount:
    """A template and how many lines of the training data it matched."""

    id: str
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything the report shows; empty sequences leave their part out."""

    bundle: str  # what the bundle is called
    created_at: str  # RFC 3339
    lines: int
    events: int
    sources: int
    span: str  # first to last time, as people read it
    header: str  # the header that was learnt, or how lines were read
    split: str  # what was trained on and what was held out
    settings: Sequence[tuple[str, str]]  # name and value: cell, seed, versions
    epochs: Sequence[Epoch]
    gradient_clip: float
    window: int  # events that gradients went back through
    lags: Sequence[LagCurve]  # of the model
    cells: Sequence[CellRow]  # where they were compared
    chance: float  # of a guess in the recall task
    scores: Sequence[float]  # of held-out normals
    threshold: float  # of the budget in force
    basis: str  # what that rests on
    budget: float
    per: str  # "a day" or "per 10,000 sessions"
    budgets: Sequence[BudgetPoint]
    read_again: Sequence[ReadAgain]  # where there is a second reader
    surprising: Sequence[SurprisingLine]  # most surprising first
    templates: Sequence[TemplateCount]
    warnings: Sequence[str]  # sentences, shown first
