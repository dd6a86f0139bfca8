"""Every option with its default and its meaning. No I/O.

A name ends in its unit. None means that nobody has said anything: what holds then is the
`unset` of the option, most often what training wrote into the bundle. The large sections have
files of their own.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from detector.config.input import Input
from detector.config.kinds import Count, Listen, Positive
from detector.config.option import BUNDLE, CLOSED, say
from detector.config.receivers import Jsonl, KafkaTopic, Receivers, Webhook
from detector.config.servers import KafkaAt, RedisAt

__all__ = [
    "Alerts",
    "Batch",
    "BundleAt",
    "Input",
    "Jsonl",
    "KafkaAt",
    "KafkaTopic",
    "Log",
    "Receivers",
    "RedisAt",
    "Settings",
    "StateAt",
    "Web",
    "Webhook",
]


@dataclass(frozen=True, slots=True, config=CLOSED)
class BundleAt:
    """Where the bundle lies that training wrote."""

    path: Annotated[
        Path | None,
        say("Folder of the bundle, or a link to it; `--bundle` goes before it.", "--bundle is needed"),
    ] = None
    poll_s: Annotated[
        Positive,
        say("How often `watch` and `worker` look whether another bundle lies there, and take it up."),
    ] = 10.0


@dataclass(frozen=True, slots=True, config=CLOSED)
class StateAt:
    """Where progress and the states of sources are kept."""

    path: Annotated[
        Path | None, say("File of the state database; `--state` goes before it.", "--state is needed")
    ] = None
    cache_sources: Annotated[Count, say("Sources whose state stays in memory; others are read again.")] = (
        20_000
    )
    cache_bytes: Annotated[Count, say("Most memory that these states take, about.")] = 134_217_728


@dataclass(frozen=True, slots=True, config=CLOSED)
class Batch:
    """How much is scored and committed at once; a batch closes at whichever bound comes first."""

    max_lines: Annotated[Count, say("Most lines of a batch.")] = 8_192
    max_bytes: Annotated[Count, say("Most bytes of a batch; a single longer line still passes.")] = 4_194_304


@dataclass(frozen=True, slots=True, config=CLOSED)
class Alerts:
    """When people are told, and what they are shown."""

    budget: Annotated[
        Positive | None,
        say("False alerts that are acceptable: a day, or with sessions per 10,000 of them.", BUNDLE),
    ] = None
    new_messages: Annotated[
        bool | None,
        say(
            "Whether a message that training never saw is an alert of its own, once per source and pattern, "
            "however often new ones come.",
            "where they are rare",
        ),
    ] = None
    after_lines: Annotated[
        int, Field(ge=0, le=50), say("Lines after the event that are added to its alert.")
    ] = 5
    max_age_s: Annotated[
        Positive | None,
        say(
            "Alerts that opened longer ago than this when they are first tried are kept and sent to nobody; "
            "one that was sent is also resolved.",
            "all are sent",
        ),
    ] = None
    resolve_after_s: Annotated[
        Positive, say("An alert is resolved after this long without another sign, in event time.")
    ] = 1800.0
    max_carried: Annotated[
        Count,
        say(
            "Alerts of a source's ended lives that may still be firing when it lives again; "
            "beyond it the oldest are resolved."
        ),
    ] = 16


@dataclass(frozen=True, slots=True, config=CLOSED)
class Web:
    """Where `/metrics`, `/livez` and `/readyz` are served (docs/metrics.md)."""

    listen: Annotated[
        Listen | None,
        say(
            "`HOST:PORT` to serve at: `127.0.0.1:9464` for this machine alone, `0.0.0.0:9464` for all that "
            "can reach it; nobody is asked for a password. Port 0 takes a free one, and logs it.",
            "nothing is served",
        ),
    ] = None
    stall_timeout_s: Annotated[
        Positive,
        say(
            "`/livez` fails when for so long the loop has not gone round, or nothing was done though more "
            "waits."
        ),
    ] = 60.0


@dataclass(frozen=True, slots=True, config=CLOSED)
class Log:
    """What the program says of itself on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], say("Quietest messages that are printed.")
    ] = "info"
    format: Annotated[Literal["json", "text"], say("`json` for machines, `text` for people.")] = "json"


@dataclass(frozen=True, slots=True, config=CLOSED)
class Settings:
    """The whole configuration."""

    input: Input = Input()
    bundle: BundleAt = BundleAt()
    state: StateAt = StateAt()
    kafka: KafkaAt = KafkaAt()
    redis: RedisAt = RedisAt()
    batch: Batch = Batch()
    alerts: Alerts = Alerts()
    receivers: Receivers = Receivers()
    web: Web = Web()
    log: Log = Log()
