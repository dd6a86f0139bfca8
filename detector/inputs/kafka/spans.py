"""Topics as inputs of commands: `kafka://TOPIC`, from a time on or up to one. No I/O."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from detector.errors import BadSetup

SCHEME = "kafka://"
EARLIER = timedelta(minutes=5)  # than a line's own time: clocks differ
FORM = "kafka://TOPIC?since=TIME&until=TIME, of which since and until may be left out"


class Span(msgspec.Struct, frozen=True):
    """A stretch of a topic, by the times of its records."""

    topic: str
    since_ms: int | None = None  # None: from its start
    until_ms: int | None = None  # the first that is not wanted; None: to where it ends when it is opened


def is_topic(name: str) -> bool:
    """Whether an input is a topic of Kafka."""
    return name.startswith(SCHEME)


def span_of(name: str) -> Span:
    """What an input names.

    Raises:
        BadSetup: it is not of that form.
    """
    parts = urlsplit(name)
    said = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not parts.netloc or parts.path.strip("/") or said.keys() - {"since", "until"}:
        raise BadSetup(f"{name}: write {FORM}")
    times = {key: _time_ms(name, key, text) for key, text in said.items()}
    return Span(parts.netloc, times.get("since"), times.get("until"))


def since(name: str, time_us: int | None) -> str:
    """A topic from a while before a time on; as it is where it says that itself, or no time is known."""
    if time_us is None or not is_topic(name) or "?" in name:
        return name
    at = datetime.fromtimestamp(time_us // 1_000_000, UTC) - EARLIER
    return f"{name}?since={quote(at.isoformat().replace('+00:00', 'Z'), safe=':')}"


def _time_ms(name: str, key: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign that nobody escaped
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadSetup(f"{name}: {key} is no time with its zone: write one like 2026-11-21T09:00:00Z")
    return round(at.timestamp() * 1000)
