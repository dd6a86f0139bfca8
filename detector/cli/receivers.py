"""Who is told of alerts, as the configuration says. No I/O."""

from functools import partial
from typing import Literal

from detector.config import Settings
from detector.inputs.kafka.connection import connection_at
from detector.notify.receivers import (
    STDOUT,
    ConsoleReceiver,
    JsonLinesReceiver,
    Receiver,
    TopicReceiver,
    WebhookReceiver,
)
from detector.notify.topic import Putting


def receivers_of(settings: Settings, output: Literal["text", "json"] | None) -> list[Receiver]:
    """The configured receivers, and standard output; without a form only where nobody else is."""
    webhooks = [
        WebhookReceiver(
            name=webhook.name,
            url=str(webhook.url),
            secrets=webhook.signing_secrets,
            ca_file=webhook.ca_file,
            timeout_s=webhook.timeout_s,
            max_pending=webhook.max_pending,
            allow_private=webhook.allow_private,
        )
        for webhook in settings.receivers.webhook
    ]
    files = [JsonLinesReceiver(jsonl.name, str(jsonl.path)) for jsonl in settings.receivers.jsonl]
    topics = [TopicReceiver(one.name, one.topic, one.max_pending) for one in settings.receivers.kafka]
    configured: list[Receiver] = [*webhooks, *files, *topics]
    if output is None and configured:
        return configured
    # With a colon: no name in a configuration has one.
    shown = ConsoleReceiver() if output == "text" else JsonLinesReceiver("tailrace:stdout", STDOUT)
    return [*configured, shown]


def putting_of(settings: Settings) -> Putting | None:
    """How topics are written to, where some are to be."""
    if not settings.receivers.kafka:
        return None
    from detector.inputs.kafka.producing import putting  # noqa: PLC0415  # slow to import

    return partial(putting, connection_at(settings.kafka))
