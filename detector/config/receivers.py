"""Options of who is told of alerts. No I/O."""

from pathlib import Path
from typing import Annotated

from pydantic.dataclasses import dataclass

from detector.config.kinds import Count, Name, Positive, Secret, Topic, Url
from detector.config.option import CLOSED, say


@dataclass(frozen=True, slots=True, config=CLOSED)
class Webhook:
    """A server that is told of alerts by signed requests (https://www.standardwebhooks.com)."""

    name: Annotated[Name, say("Names the receiver in logs and commands: a-z, 0-9 and dashes.")]
    url: Annotated[Url, say("Address that requests are posted to.")]
    secret: Annotated[
        Secret | None,
        say("Signs every request: `whsec_` and base64 of 24 to 64 bytes.", "requests are not signed"),
    ] = None
    secret_file: Annotated[Path | None, say("File that holds the secret, in place of `secret`.", "none")] = (
        None
    )
    secrets: Annotated[
        tuple[Secret, ...], say("More secrets that sign beside the first, while keys are changed.")
    ] = ()
    ca_file: Annotated[
        Path | None,
        say("Certificates that the server's must be signed by.", "those that the system trusts"),
    ] = None
    timeout_s: Annotated[Positive, say("Longest wait for an answer.")] = 15.0
    max_pending: Annotated[
        Count, say("Deliveries that may wait; beyond it the oldest are given up, and counted.")
    ] = 10_000
    allow_private: Annotated[
        bool, say("Allow addresses inside the own network; otherwise they are refused.")
    ] = False

    @property
    def signing_secrets(self) -> tuple[str, ...]:
        """Every secret that signs a request, newest first, in clear text."""
        first = () if self.secret is None else (self.secret,)
        return tuple(secret.get_secret_value() for secret in (*first, *self.secrets))


@dataclass(frozen=True, slots=True, config=CLOSED)
class Jsonl:
    """A file that gets one JSON object a line for every revision of an alert."""

    name: Annotated[Name, say("Names the receiver in logs and commands: a-z, 0-9 and dashes.")]
    path: Annotated[Path, say("File that lines are added to; `-` is standard output.")]


@dataclass(frozen=True, slots=True, config=CLOSED)
class KafkaTopic:
    """A topic of the brokers in `[kafka]` that gets every revision of an alert, keyed by source."""

    name: Annotated[Name, say("Names the receiver in logs and commands: a-z, 0-9 and dashes.")]
    topic: Annotated[Topic, say("Topic that alerts are written to.")]
    max_pending: Annotated[
        Count, say("Deliveries that may wait; beyond it the oldest are given up, and counted.")
    ] = 10_000


@dataclass(frozen=True, slots=True, config=CLOSED)
class Receivers:
    """Who is told of alerts; any number of each kind."""

    webhook: tuple[Webhook, ...] = ()
    jsonl: tuple[Jsonl, ...] = ()
    kafka: tuple[KafkaTopic, ...] = ()
