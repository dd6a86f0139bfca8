"""What the judge is told: the thresholds of a budget, and how to put events in words. No I/O."""

from collections.abc import Callable

import msgspec

from detector.bundle import Calibration
from detector.records import Line
from detector.stages.judge.alerts import Naming
from detector.stages.judge.state import SourceState
from detector.stages.reading import Reading
from detector.stages.surprise import RowScore


class Policy(msgspec.Struct, frozen=True):
    """When something is worth an alert, and when it is over. Times in microseconds."""

    calibration: Calibration
    session: bool
    budget: float  # false alerts a day, or per 10,000 sessions
    threshold: float  # of the closed session's score, or of the leaky sum
    event_threshold: float  # of a session's single event, as a z
    prior_total: float  # episodes in training, leaky
    idle_us: int | None
    lateness_us: int
    resolve_us: int  # an alert is over after this long without a flag
    quiet_us: int  # at least this long even after many quiet events
    remember_us: int  # a life that alerted is told apart from later ones of its source for so long
    max_carried: int  # alerts of lives that are over that may be firing when their source lives again
    naming: Naming
    want_scores: bool = False


class Explain(msgspec.Struct, frozen=True):
    """How a token and a line are put in words; built from the bundle's vocabulary."""

    template: Callable[[int], tuple[str, str]]  # token -> id, text
    parameters: Callable[[bytes, int], list[str]]
    pattern: Callable[[bytes], str]  # masked text of a line that matches nothing


class Stretch(msgspec.Struct, gc=False):
    """Lines of one source within one life, with what the model found of their events."""

    source: str
    state: SourceState
    lines: list[Line]
    tokens: list[int]  # of all lines; meaningless for continuations
    clocks: list[int]  # of their origin, before each line
    continued: bool = False  # some of its lines are continuations
    ends: bool = False
    cut_off: bool = False  # ends because the input does; the session may well have gone on
    score: RowScore | None = None
    expected: Callable[[int], list[tuple[int, float]]] | None = None
    reading: Reading | None = None  # of a session that ended and looked strange


class Event(msgspec.Struct, gc=False):
    """One event as it is judged."""

    line: Line
    token: int
    index: int  # within the stretch's score
    surprise: float  # bits
    pattern: str  # of a line that matches nothing, else empty
    news: bool = False  # its source never showed that pattern, and that is worth an alert
    score: float = 0.0
    threshold: float = 0.0
