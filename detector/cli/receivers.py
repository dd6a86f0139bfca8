"""Who is told of alerts, as the configuration says. No I/O."""

from typing import Literal

from detector.config import Settings
from detector.notify.receivers import STDOUT, ConsoleReceiver, JsonLinesReceiver, Receiver, WebhookReceiver


def receivers_of(settings: Settings, output: Literal["text", "json"] | None) -> list[Receiver]:
    """The configured receivers, and standard output; without a form only where nobody else is."""
    webhooks = [
        WebhookReceiver(
            name=webhook.name,
            url=str(webhook.url),
            secrets=webhook.signing_secrets,
            timeout_s=webhook.timeout_s,
            max_pending=webhook.max_pending,
            allow_private=webhook.allow_private,
        )
        for webhook in settings.receivers.webhook
    ]
    files = [JsonLinesReceiver(jsonl.name, str(jsonl.path)) for jsonl in settings.receivers.jsonl]
    if output is None and (webhooks or files):
        return [*webhooks, *files]
    # With a colon: no name in a configuration has one.
    shown = ConsoleReceiver() if output == "text" else JsonLinesReceiver("tailrace:stdout", STDOUT)
    return [*webhooks, *files, shown]
