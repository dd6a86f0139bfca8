"""What an alert shows of the event that opened it. Pure."""

import msgspec

from detector.records import (
    UNKNOWN,
    Attended,
    Expectation,
    SecondReading,
    Silence,
    TemplateEvidence,
)
from detector.stages.judge.alerts import SILENCE, Opening
from detector.stages.judge.policy import Event, Explain, Stretch
from detector.stages.judge.ring import lines_of
from detector.stages.judge.state import Worst
from detector.stages.reading import Reading

_FATAL = frozenset({"CRITICAL", "CRIT", "ALERT", "EMERG", "FATAL", "PANIC"})
_SEVERE = _FATAL | {"ERROR", "ERR", "SEVERE"}
SECOND_US = 1_000_000
_FAR_OVER = 2.0  # times the threshold


def event_opening(stretch: Stretch, event: Event, explain: Explain, rule: str, key: str = "") -> Opening:
    """The evidence of an event that opens an alert by itself."""
    likely = stretch.expected(event.index) if stretch.expected is not None else []
    return Opening(
        rule=rule,
        key=key,
        severity=severity(event.line.level, 0.0 if key else event.score, event.threshold),
        number=stretch.state.number,
        time_us=event.line.time_us,
        position=event.line.position,
        text=event.line.text,
        score=event.score,
        threshold=event.threshold,
        surprise=event.surprise,
        template=_template(event, explain),
        expected=expectations(likely, explain),
        before=lines_of(stretch.state.ring),
    )


def _template(event: Event, explain: Explain) -> TemplateEvidence:
    if event.token == UNKNOWN:
        return TemplateEvidence(id="", text=event.pattern, parameters=[], first_seen=True)
    identity, text = explain.template(event.token)
    parameters = explain.parameters(event.line.message, event.token)
    return TemplateEvidence(id=identity, text=text, parameters=parameters, first_seen=False)


def known_template(token: int, explain: Explain) -> TemplateEvidence | None:
    """The template of an event whose line is no longer at hand."""
    if token == UNKNOWN:
        return None
    identity, text = explain.template(token)
    return TemplateEvidence(id=identity, text=text, parameters=[], first_seen=False)


def expectations(likely: list[tuple[int, float]], explain: Explain) -> list[Expectation]:
    """The likeliest tokens in words."""
    return [Expectation(*explain.template(token), probability) for token, probability in likely]


def remember_worst(stretch: Stretch, event: Event) -> Worst:
    """The most surprising event of a session, kept until the session is judged."""
    return Worst(
        position=event.line.position,
        text=event.line.text,
        token=event.token,
        number=stretch.state.number,
        time_us=event.line.time_us,
        surprise=event.surprise,
        level=event.line.level,
        expected=stretch.expected(event.index) if stretch.expected is not None else [],
        before=lines_of(stretch.state.ring),
    )


def worst_opening(worst: Worst, score: float, threshold: float, explain: Explain, rule: str) -> Opening:
    """The evidence of a session that is strange as a whole: its most surprising event."""
    return Opening(
        rule=rule,
        key="",
        severity=severity(worst.level, score, threshold),
        number=worst.number,
        time_us=worst.time_us,
        position=worst.position,
        text=worst.text,
        score=score,
        threshold=threshold,
        surprise=worst.surprise,
        template=known_template(worst.token, explain),
        expected=expectations(worst.expected, explain),
        before=worst.before,
    )


def last_opening(
    stretch: Stretch,
    explain: Explain,
    rule: str,
    *,
    score: float,
    threshold: float,
    surprise: float | None,
    likely: list[tuple[int, float]],
) -> Opening:
    """The evidence of something that did not come: the last line before it was due."""
    state = stretch.state
    before = lines_of(state.ring)
    position, text = before.pop() if before else (state.last_position, b"")
    return Opening(
        rule=rule,
        key="",
        severity=severity(state.last_level, score, threshold),
        number=state.number,
        time_us=state.last_us,
        position=position,
        text=text,
        score=score,
        threshold=threshold,
        surprise=surprise,
        template=known_template(state.last_token, explain),
        expected=expectations(likely, explain),
        before=before,
    )


def silence_opening(stretch: Stretch, explain: Explain, longest_us: int, limit_us: int) -> Opening:
    """The evidence of a source that went silent: its last line, and what gaps are usual."""
    factor = limit_us / longest_us
    opening = last_opening(
        stretch, explain, SILENCE, score=factor, threshold=factor, surprise=None, likely=[]
    )
    said = Silence(longest_gap_s=longest_us / SECOND_US, silent_after_s=limit_us / SECOND_US)
    return msgspec.structs.replace(opening, silence=said)


def second_reading(reading: Reading | None, explain: Explain) -> SecondReading | None:
    """What a second reader found, in words."""
    if reading is None:
        return None
    attended = [
        Attended(number, *explain.template(token), weight) for number, token, weight in reading.attended
    ]
    return SecondReading(round(reading.first, 4), round(reading.z, 4), attended)


def severity(level: str, score: float, threshold: float) -> str:
    """From the line's own level and how far the score is over its threshold."""
    far = score >= _FAR_OVER * threshold
    if level in _FATAL:
        return "critical"
    if level in _SEVERE:
        return "critical" if far else "error"
    return "error" if far else "warning"
