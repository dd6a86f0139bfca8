"""What the configuration says about each receiver of alerts. Reads certificates."""

import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from detector.errors import BadSetup
from detector.notify.signature import parse_secret

_MINUTE_S, _HOUR_S = 60.0, 3600.0
STDOUT = "-"  # path of a JSON Lines receiver


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to wait before each attempt; the first is due at once."""

    delays_s: tuple[float, ...]
    endless: bool = False  # the last delay repeats, where giving up would leave a gap
    jitter: float = 0.1  # a delay is lengthened by up to this share, so that retries spread


# The schedule that the Standard Webhooks specification suggests.
WEBHOOK_SCHEDULE = Schedule(
    (0.0, 5.0, 5 * _MINUTE_S, 30 * _MINUTE_S, *(hours * _HOUR_S for hours in (2, 5, 10, 14, 20, 24)))
)
FILE_SCHEDULE = Schedule((0.0, 1.0, 5.0, 30.0, _MINUTE_S), endless=True)


@dataclass(frozen=True, slots=True)
class WebhookReceiver:
    """A server that takes signed messages; the address may hold a token, so it is not shown either."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)  # newest first; several while they rotate; none: unsigned
    ca_file: Path | None = None  # whom its certificate must be signed by; None: whom the system trusts
    timeout_s: float = 20.0
    max_pending: int = 10_000
    allow_private: bool = False  # may be a loopback, private or link-local address
    enable: bool = False  # deliver again although it answered 410 Gone
    schedule: Schedule = WEBHOOK_SCHEDULE
    slow_down_s: float = 30.0  # pause after 429, 502 and 504 without Retry-After


@dataclass(frozen=True, slots=True)
class JsonLinesReceiver:
    """A file that alerts are appended to, one JSON object a line; `-` is standard output."""

    name: str
    path: str
    max_pending: int = 10_000
    enable: bool = False
    schedule: Schedule = FILE_SCHEDULE


@dataclass(frozen=True, slots=True)
class ConsoleReceiver:
    """Standard output, for people."""

    name: str = "tailrace:console"  # with a colon: no name in a configuration has one
    max_pending: int = 10_000
    enable: bool = False
    schedule: Schedule = FILE_SCHEDULE


@dataclass(frozen=True, slots=True)
class TopicReceiver:
    """A topic of Kafka that gets every revision."""

    name: str
    topic: str
    max_pending: int = 10_000
    enable: bool = False
    schedule: Schedule = FILE_SCHEDULE


Receiver = WebhookReceiver | JsonLinesReceiver | ConsoleReceiver | TopicReceiver


def target(receiver: Receiver) -> str:
    """Digest of where it delivers to: tells a changed address without storing it."""
    match receiver:
        case WebhookReceiver(url=address) | JsonLinesReceiver(path=address) | TopicReceiver(topic=address):
            return hashlib.sha256(address.encode()).hexdigest()
        case ConsoleReceiver():
            return "console"


def check(receiver: Receiver) -> None:
    """Raise BadSetup, naming the receiver and every fault, where its settings cannot work."""
    faults = _webhook_faults(receiver) if isinstance(receiver, WebhookReceiver) else []
    if not receiver.schedule.delays_s:
        faults.append("the schedule has no attempt")
    if receiver.max_pending < 1:
        faults.append("max_pending must be at least 1")
    if faults:
        raise BadSetup(f"receiver {receiver.name}: {'; '.join(faults)}")


def tls_context(receiver: WebhookReceiver) -> ssl.SSLContext:
    """Whose certificates to take. Raises BadSetup where the file cannot be read or holds none."""
    try:
        return ssl.create_default_context(cafile=receiver.ca_file)
    except OSError as error:
        raise BadSetup(f"ca_file: not usable ({error}): correct the path or the file") from error


def _webhook_faults(receiver: WebhookReceiver) -> list[str]:
    faults = [] if _is_http(receiver.url) else ["the url must be http:// or https:// with a host"]
    try:
        tls_context(receiver)
    except BadSetup as error:
        faults.append(str(error))
    for secret in receiver.secrets:
        try:
            parse_secret(secret)
        except BadSetup as error:
            faults.append(str(error))
    if receiver.timeout_s <= 0:
        faults.append("timeout_s must be above 0")
    return faults


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
