"""The life of an alert: it opens, collects, grows and resolves; each change is a frozen revision. Pure."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from detector.records import (
    Alert,
    EvidenceLine,
    Expectation,
    Line,
    Revision,
    SecondReading,
    Silence,
    SlowHop,
    TemplateEvidence,
)
from detector.stages.judge.ring import RingLine, append_continuation
from detector.stages.judge.state import MAX_ALERTS, OpenAlert, SourceState

SEQUENCE, NEW_TEMPLATE, ENDED_EARLY = "sequence", "new-template", "ended-early"
SILENCE, SLOW = "silence", "slow"

GROWTH = (10, 100, 1000, 10_000)  # flags at which an alert says that it has grown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decode_alert = msgspec.json.Decoder(Alert)


class Opening(msgspec.Struct, frozen=True):
    """Why an alert opens, and with what evidence."""

    rule: str
    key: str
    severity: str
    number: int  # of the event in its life
    time_us: int | None
    position: str
    text: bytes
    score: float
    threshold: float
    surprise: float | None
    template: TemplateEvidence | None
    expected: list[Expectation]
    before: list[RingLine]
    silence: Silence | None = None
    hop: SlowHop | None = None
    reading: SecondReading | None = None


class Naming(msgspec.Struct, frozen=True):
    """What an alert says of where it comes from."""

    bundle: str
    after_lines: int
    replay: Callable[[int | None], str]  # time at which the source's life began -> command


def open_alert(
    state: SourceState, source: str, opening: Opening, naming: Naming, number: int | None = None
) -> Revision:
    """Open an alert in `state` and give its first revision; `number` is its event's, if that has no line."""
    number = opening.number if number is None else number
    alert_id = _alert_id(source, opening, number, state.earlier)
    alert = Alert(
        status="firing",
        alert_id=alert_id,
        revision=1,
        source=source,
        rule=opening.rule,
        severity=opening.severity,
        opened_at=rfc3339(opening.time_us),
        resolved_at=None,
        position=opening.position,
        score=round(opening.score, 4),
        threshold=round(opening.threshold, 4),
        surprise_bits=None if opening.surprise is None else round(opening.surprise, 4),
        template=opening.template,
        expected=opening.expected,
        lines=_lines(opening),
        bundle=naming.bundle,
        replay=naming.replay(state.first_us),
        silence=opening.silence,
        hop=opening.hop,
        reading=opening.reading,
    )
    payload = msgspec.json.encode(alert)
    state.alerts.append(
        OpenAlert(
            alert_id=alert_id,
            rule=opening.rule,
            key=opening.key,
            revision=1,
            payload=payload,
            flags=1,
            flagged_number=number,
            flagged_us=opening.time_us,
            after_wanted=naming.after_lines,
            after=[],
        )
    )
    state.alert_ids = [*state.alert_ids, alert_id][-2 * MAX_ALERTS :]
    return Revision(alert_id, 1, payload)


def has_room(state: SourceState) -> bool:
    """Whether a new template may still open an alert of its own; beyond that the sequence is what is odd."""
    return sum(alert.of_life and alert.rule == NEW_TEMPLATE for alert in state.alerts) < MAX_ALERTS


def find_alert(state: SourceState, rule: str, key: str) -> OpenAlert | None:
    """The firing alert of this rule and key that opened in this life, if there is one."""
    for alert in state.alerts:
        if alert.rule == rule and alert.key == key and alert.of_life:
            return alert
    return None


def flag(alert: OpenAlert, number: int, time_us: int | None, score: float) -> Revision | None:
    """Count one more event that calls for an open alert; a revision when it has grown tenfold."""
    alert.flags += 1
    alert.flagged_number = number
    if time_us is not None:
        alert.flagged_us = max(time_us, alert.flagged_us or time_us)
    if alert.flags not in GROWTH:
        return None
    highest = max(_decode_alert.decode(alert.payload).score, round(score, 4))
    return _revise(alert, score=highest)


def add_after(alert: OpenAlert, line: Line) -> Revision | None:
    """Give an alert a line that came after its event; a revision when it has all that it waits for."""
    if alert.after_wanted <= 0:
        return None
    if line.continuation:
        append_continuation(alert.after, line)
        return None
    alert.after_wanted -= 1
    alert.after.append((line.position, line.text))
    return None if alert.after_wanted else _revise(alert)


def resolve(alert: OpenAlert, resolved_us: int | None) -> Revision:
    """The last revision of an alert; it ends no earlier than it began, also where a clock was set back."""
    resolved, opened = rfc3339(resolved_us), _decode_alert.decode(alert.payload).opened_at
    if resolved and opened and datetime.fromisoformat(resolved) < datetime.fromisoformat(opened):
        resolved = opened
    return _revise(alert, status="resolved", resolved_at=resolved)


def _revise(alert: OpenAlert, **changes: str | float | None) -> Revision:
    before = _decode_alert.decode(alert.payload)
    shown = [*before.lines, *(_shown(line, "after") for line in alert.after)]
    alert.after = []
    alert.revision += 1
    revised = msgspec.structs.replace(before, revision=alert.revision, lines=shown, **changes)
    alert.payload = msgspec.json.encode(revised)
    return Revision(alert.alert_id, alert.revision, alert.payload)


def _alert_id(source: str, opening: Opening, number: int, earlier: int) -> str:
    parts = [source, opening.rule, opening.key, str(number), str(opening.time_us)]
    if earlier:
        # A life that came late begins at the instant at which one before it began: the same event again.
        parts.append(str(earlier))
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _lines(opening: Opening) -> list[EvidenceLine]:
    """The lines before the event and its own; those that a second reader pointed at have a weight."""
    read = opening.reading
    weights = {} if read is None else {one.event: one.weight for one in read.attended}
    first = opening.number - len(opening.before)
    return [
        *(_shown(line, "before", weights.get(first + at)) for at, line in enumerate(opening.before)),
        _shown((opening.position, opening.text), "event", weights.get(opening.number)),
    ]


def _shown(line: RingLine, role: str, weight: float | None = None) -> EvidenceLine:
    return EvidenceLine(position=line[0], text=line[1].decode("utf-8", "replace"), role=role, weight=weight)


def rfc3339(time_us: int | None) -> str | None:
    """A time in RFC 3339, UTC, with as many digits as it needs."""
    if time_us is None:
        return None
    try:
        moment = _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return None
    return moment.isoformat(timespec="microseconds" if time_us % 1_000_000 else "seconds")[:-6] + "Z"
