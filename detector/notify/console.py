"""Shows an alert to people, on a terminal in colour. Everything that came out of a log is untrusted text."""

import asyncio
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from typing import Final, TextIO

import msgspec
from rich.console import Console
from rich.text import Text

from detector.notify.answer import Answer, Outcome
from detector.notify.queue import Notification, Send
from detector.records import Alert, EvidenceLine
from detector.words import counted, duration

RULES: Final = {
    "sequence": "unusual sequence",
    "new-template": "new message",
    "ended-early": "stopped half-way",
    "silence": "went silent",
    "slow": "became slow",
}
_SEVERITIES: Final = {
    "critical": "bold white on red",
    "error": "bold red",
    "warning": "bold yellow",
    "info": "bold cyan",
}
_LABEL_WIDTH = 10
_REMEMBERED = 1_000  # alerts whose last revision is compared with the next
# Control, format (text direction), surrogate, unassigned or private, and line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def people(stdout: TextIO) -> Send:
    """Give the function that prints one alert; the first revision whole, later ones as what they add."""
    console = Console(file=stdout, highlight=False)
    shown: dict[str, Alert] = {}  # the newest few alerts as they were printed last

    def show(payload: bytes) -> None:
        alert = msgspec.json.decode(payload, type=Alert)
        before = shown.pop(alert.alert_id, None)
        if alert.revision <= 1:
            show_alert(console, alert)
        else:
            _print(console, [_news(alert, before)])
        shown[alert.alert_id] = alert
        if len(shown) > _REMEMBERED:
            del shown[next(iter(shown))]
        stdout.flush()

    async def send(notification: Notification) -> Answer:
        await asyncio.to_thread(show, notification.payload)
        return Answer(Outcome.DELIVERED)

    return send


def show_alert(console: Console, alert: Alert) -> None:
    """Print an alert with all its evidence."""
    _print(
        console,
        [
            _title(alert),
            _when(alert),
            *_silence(alert),
            *_hop(alert),
            *_template(alert),
            *_expected(alert),
            *_reading(alert),
        ],
    )
    _print(console, [*_lines(alert.lines), *_origin(alert), Text()])


def _news(alert: Alert, before: Alert | None) -> Text:
    """What a later revision adds, in one line; `tailrace alerts show` has the whole."""
    known = before.lines if before else [line for line in alert.lines if line.role != "after"]
    more = len(alert.lines) - len(known)
    said = [counted(more, "more line")] if more > 0 else []
    if before is not None and (score := f"{alert.score:.2f}") != f"{before.score:.2f}":
        said.append(f"score now {score}")
    if alert.status == "resolved":
        said = [f"after {length}" if (length := _length(alert)) else "", *said]
    elif not said:
        said = ["goes on"]
    row = _title(alert)
    row.append(", ".join(["", *filter(None, said)]))
    row.append(f"   alert {printable(alert.alert_id)}", "dim")
    return row


def _length(alert: Alert) -> str:
    """How long it was firing; empty where there are no times."""
    if alert.opened_at is None or alert.resolved_at is None:
        return ""
    opened, resolved = map(datetime.fromisoformat, (alert.opened_at, alert.resolved_at))
    return duration((resolved - opened).total_seconds())


def printable(text: str) -> str:
    """Escape what a terminal would obey or hide, so that a log line cannot draw on the reader's screen."""
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def _print(console: Console, rows: Iterator[Text] | list[Text]) -> None:
    for row in rows:
        # Soft wrapping: the terminal breaks long lines, and a copied command stays one line.
        console.print(row, soft_wrap=True)


def _title(alert: Alert) -> Text:
    style = _SEVERITIES.get(alert.severity, "bold")
    if alert.status == "resolved":
        style = "bold green"
    rule = RULES.get(alert.rule, printable(alert.rule))
    word = alert.status if alert.status == "resolved" else alert.severity
    return Text.assemble(
        (f" {printable(word.upper())} ", style), f" {printable(alert.source)}: ", (rule, "bold")
    )


def _when(alert: Alert) -> Text:
    score = f"score {alert.score:.2f}, threshold {alert.threshold:.2f}"
    surprise = "" if alert.surprise_bits is None else f", surprise {alert.surprise_bits:.1f} bits"
    resolved = f" to {alert.resolved_at}" if alert.resolved_at else ""
    return _row("when", f"{alert.opened_at or 'no time stamp'}{resolved}   {score}{surprise}")


def _silence(alert: Alert) -> Iterator[Text]:
    """How long there was no line, as far as it is known, and what is usual."""
    if alert.silence is None:
        return
    quiet = f"for more than {duration(alert.silence.silent_after_s)}"
    if alert.status == "resolved" and (length := _length(alert)):
        quiet = f"for {length}"
    yield _row("silent", f"{quiet}; the longest gap before was {duration(alert.silence.longest_gap_s)}")


def _hop(alert: Alert) -> Iterator[Text]:
    """The step of a trace that was slow, and how long it usually takes."""
    if (hop := alert.hop) is None:
        return
    times = f"{duration(hop.took_s)}, usually {duration(hop.usual_s)}"
    yield _row("slow", f"{hop.sender} to {hop.receiver}: {times}   trace {hop.trace}")


def _template(alert: Alert) -> Iterator[Text]:
    if alert.template is None:
        return
    row = _row("template", alert.template.text)
    row.append(f"  {printable(alert.template.id)}", "dim")
    if alert.template.first_seen:
        row.append("  seen for the first time", "yellow")
    yield row


def _expected(alert: Alert) -> Iterator[Text]:
    for index, other in enumerate(alert.expected):
        yield _row("" if index else "expected", f"{other.probability:6.1%}  {other.text}", "cyan")


def _reading(alert: Alert) -> Iterator[Text]:
    """What a second reader made of the session, and the events that it pointed at."""
    if (reading := alert.reading) is None:
        return
    yield _row("reread", f"score {reading.first_score:.2f} before, z {reading.z:.2f}")
    for event in reading.attended:
        yield _row("", f"{event.weight:6.1%}  event {event.event}  {event.text}", "magenta")


def _lines(lines: list[EvidenceLine]) -> Iterator[Text]:
    width = max((len(line.position) for line in lines), default=0)
    for index, line in enumerate(lines):
        is_event = line.role == "event"
        mark = ">" if is_event else "*" if line.weight else " "
        text = f"{mark} {line.position:>{width}}  {line.text}"
        yield _row("" if index else "lines", text, "bold" if is_event else "dim")


def _origin(alert: Alert) -> Iterator[Text]:
    yield _row("alert", _identity(alert))
    yield _row("replay", alert.replay)


def _identity(alert: Alert) -> str:
    return f"{alert.alert_id}   revision {alert.revision}, {alert.status}   bundle {alert.bundle}"


def _row(label: str, text: str, style: str = "") -> Text:
    return Text.assemble((f"  {label:<{_LABEL_WIDTH}}", "dim"), (printable(text), style))
