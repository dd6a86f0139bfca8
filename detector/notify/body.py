"""Makes an alert's payload the body of a webhook, below the size that receivers accept. No I/O.

The body depends on nothing but the payload: every retry sends the same bytes.
"""

from collections.abc import Iterator

import msgspec

from detector.records import Alert, EvidenceLine

MAX_BODY_BYTES = 20_000  # Standard Webhooks: receivers may refuse more

# Characters that are left of a field at each step; JSON may need six bytes for one.
_CLIPS = (1000, 300, 100)


class _Message(msgspec.Struct, frozen=True):
    type: str
    timestamp: str | None  # of the event; the delivery's own time is in the header
    data: Alert | msgspec.Raw


def encode_body(payload: bytes) -> bytes:
    """Wrap the encoded alert; one that is too large loses evidence lines first, then the ends of texts."""
    alert = msgspec.json.decode(payload, type=Alert)
    body = _encode(alert, msgspec.Raw(payload))
    for smaller in _shrink(alert):
        if len(body) <= MAX_BODY_BYTES:
            break
        body = _encode(alert, smaller)
    return body


def fitted(payload: bytes, most_bytes: int) -> bytes:
    """The encoded alert; one that is larger loses evidence lines first, then the ends of texts."""
    if len(payload) <= most_bytes:
        return payload
    for smaller in _shrink(msgspec.json.decode(payload, type=Alert)):
        payload = msgspec.json.encode(smaller)
        if len(payload) <= most_bytes:
            break
    return payload


def _encode(alert: Alert, data: Alert | msgspec.Raw) -> bytes:
    timestamp = alert.resolved_at if alert.status == "resolved" else alert.opened_at
    return msgspec.json.encode(_Message(f"log.anomaly.{alert.status}", timestamp, data))


def _shrink(alert: Alert) -> Iterator[Alert]:
    """Yield ever smaller forms; the last is below the bound whatever the alert holds."""
    while fewer := _without_farthest(alert.lines):
        alert = msgspec.structs.replace(alert, lines=fewer)
        yield alert
    for length in _CLIPS:
        alert = _clip(alert, length)
        yield alert
    yield msgspec.structs.replace(alert, lines=[], expected=[])


def _without_farthest(lines: list[EvidenceLine]) -> list[EvidenceLine]:
    """Drop the line that is farthest from the event, of two the later one; the event's own line stays."""
    events = [index for index, line in enumerate(lines) if line.role == "event"]
    middle = events[0] if events else len(lines) // 2
    others = [index for index in range(len(lines)) if index not in events]
    if not others or len(lines) == 1:
        return []
    farthest = max(others, key=lambda index: (abs(index - middle), index))
    return lines[:farthest] + lines[farthest + 1 :]


def _clip(alert: Alert, length: int) -> Alert:
    """Cut every text that has no bound of its own, and every list, to a length."""
    replace = msgspec.structs.replace
    few = length // 100
    template = alert.template and replace(
        alert.template,
        text=alert.template.text[:length],
        parameters=[parameter[:length] for parameter in alert.template.parameters[:few]],
    )
    reading = alert.reading and replace(
        alert.reading,
        attended=[replace(event, text=event.text[:length]) for event in alert.reading.attended],
    )
    return replace(
        alert,
        template=template,
        reading=reading,
        expected=[replace(other, text=other.text[:length]) for other in alert.expected[:few]],
        lines=[replace(line, text=line.text[:length]) for line in alert.lines],
        source=alert.source[:length],
        replay=alert.replay[:length],
    )
