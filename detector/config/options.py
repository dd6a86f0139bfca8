"""Every option with its default and its meaning. No I/O.

A name ends in its unit. None means that nobody has said anything: what holds then is the
`unset` of the option, most often what training wrote into the bundle.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from detector.config.kinds import (
    Broker,
    Count,
    Group,
    LetterBytes,
    Listen,
    Name,
    NotNegative,
    Password,
    Pattern,
    Positive,
    Prefix,
    RedisUrl,
    Secret,
    Start,
    Topic,
    Url,
    Zone,
)

CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)
BUNDLE = "the bundle's"


def _say(meaning: str, unset: str = "") -> FieldInfo:
    """An option's meaning, and in a few words what holds while it is not set."""
    field: FieldInfo = Field(description=meaning, json_schema_extra={"unset": unset})
    return field


@dataclass(frozen=True, slots=True, config=CLOSED)
class Input:
    """Where lines come from and how they are understood."""

    paths: Annotated[
        tuple[str, ...],
        _say("Files, folders or globs; `-` is standard input. INPUT on the command line replaces them."),
    ] = ()
    start: Annotated[
        Start,
        _say(
            "Where to begin in a file or a partition that has not been read before: `end` or `latest`, "
            "`start` or `earliest`, or for the worker a time such as `2026-11-21T09:00:00Z`."
        ),
    ] = "end"
    keyed: Annotated[
        bool,
        _say(
            "Every record's key decides its partition, and all lines of a source have one key: the worker "
            "reads the topics directly. Otherwise it routes each line to `kafka.routed_topic` first."
        ),
    ] = False
    poll_s: Annotated[Positive, _say("How often followed files are looked at for new lines.")] = 0.5
    envelope: Annotated[
        Literal["auto", "text", "json", "syslog", "otlp_proto"] | None,
        _say(
            "What wraps a message; `auto` looks at every record. `otlp_proto` is OpenTelemetry's protobuf.",
            "the bundle's, else auto",
        ),
    ] = None
    source_fields: Annotated[
        tuple[str, ...] | None,
        _say(
            "Fields of a record that together name its source, dotted where they are nested.",
            "the bundle's, else service.name with host.name, then host, then the file",
        ),
    ] = None
    source_regex: Annotated[
        Pattern | None,
        _say("Names the source from the message: group 1, else the whole match.", "the bundle's, else none"),
    ] = None
    session: Annotated[
        bool | None,
        _say("A source is a short life that ends (block, request, job).", "the bundle's, else false"),
    ] = None
    idle_timeout_s: Annotated[
        Positive | None,
        _say(
            "A session has ended, and a long-lived source is forgotten, after this long without a line, "
            "in event time.",
            BUNDLE + "; for long-lived sources else 7 days",
        ),
    ] = None
    event_field: Annotated[
        str | None, _say("Field that is the event itself, where lines are not to be parsed.", BUNDLE)
    ] = None
    message_field: Annotated[
        str | None, _say("Field that holds the message.", "the bundle's, else found")
    ] = None
    time_field: Annotated[str | None, _say("Field that holds the time.", "the bundle's, else found")] = None
    level_field: Annotated[str | None, _say("Field that holds the level.", "the bundle's, else found")] = None
    timezone: Annotated[
        Zone | None, _say("Time zone of time stamps that name none.", "the bundle's, else UTC")
    ] = None
    first_line_regex: Annotated[
        Pattern | None,
        _say("Matches the first line of a message of several lines.", "the bundle's, else found"),
    ] = None
    rotated: Annotated[
        Literal["joined", "separate"] | None,
        _say(
            "Whether `app.log.1` and `app.log` are one source in `fit` and `replay`, as they are to a "
            "`watch` that saw the rotation happen.",
            "the bundle's, else joined",
        ),
    ] = None
    max_line_bytes: Annotated[Count, _say("Longer lines are put aside as rejects.")] = 1_048_576
    max_future_s: Annotated[
        NotNegative,
        _say("A line dated further from those before it does not move the clock until four more agree."),
    ] = 3_600.0
    allowed_lateness_s: Annotated[
        NotNegative,
        _say(
            "How much later than the newest of its file a line may come and still belong to its life; "
            "one that is later may begin a new one, and is counted."
        ),
    ] = 5.0


@dataclass(frozen=True, slots=True, config=CLOSED)
class BundleAt:
    """Where the bundle lies that training wrote."""

    path: Annotated[
        Path | None,
        _say("Folder of the bundle, or a link to it; `--bundle` goes before it.", "--bundle is needed"),
    ] = None
    poll_s: Annotated[
        Positive,
        _say("How often `watch` and `worker` look whether another bundle lies there, and take it up."),
    ] = 10.0


@dataclass(frozen=True, slots=True, config=CLOSED)
class StateAt:
    """Where progress and the states of sources are kept."""

    path: Annotated[
        Path | None, _say("File of the state database; `--state` goes before it.", "--state is needed")
    ] = None
    cache_sources: Annotated[Count, _say("Sources whose state stays in memory; others are read again.")] = (
        20_000
    )


@dataclass(frozen=True, slots=True, config=CLOSED)
class KafkaAt:
    """The Kafka that `tailrace worker` reads, and what it writes there (docs/kafka.md)."""

    brokers: Annotated[tuple[Broker, ...], _say("Brokers to begin with, each `HOST:PORT`.")] = ()
    topics: Annotated[tuple[Topic, ...], _say("Topics that hold the lines.")] = ()
    group: Annotated[
        Group, _say("Consumer group; workers of one group share the work, and each group does all of it.")
    ] = "tailrace"
    routed_topic: Annotated[
        Topic, _say("Topic of our own that the router writes to, unless `input.keyed`.")
    ] = "tailrace-routed"
    dead_letter_topic: Annotated[
        Topic | None, _say("Topic for records that could not be understood.", "they are kept in Redis alone")
    ] = None
    dead_letter_max_bytes: Annotated[
        LetterBytes, _say("Most bytes of such a record's value that are kept; the rest is cut off.")
    ] = 262_144
    scores_topic: Annotated[
        Topic | None, _say("Topic for the score of every event, keyed by source.", "none")
    ] = None
    tls: Annotated[bool, _say("Speak TLS to the brokers.")] = False
    ca_file: Annotated[
        Path | None,
        _say("Certificates that the brokers' must be signed by.", "those that the system trusts"),
    ] = None
    cert_file: Annotated[Path | None, _say("Certificate to show to brokers that ask for one.", "none")] = None
    key_file: Annotated[Path | None, _say("Private key of `cert_file`.", "none")] = None
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None,
        _say("How to log in to the brokers.", "no login"),
    ] = None
    username: Annotated[str | None, _say("Name to log in with.", "none")] = None
    password: Annotated[
        Password | None,
        _say("Password to log in with; better in `password_file` or the environment.", "none"),
    ] = None
    password_file: Annotated[
        Path | None, _say("File that holds the password, in place of `password`.", "none")
    ] = None
    session_timeout_s: Annotated[
        Positive, _say("A worker that says nothing for this long loses its partitions to others.")
    ] = 30.0
    stall_timeout_s: Annotated[
        Positive,
        _say("A worker that reads nothing for this long while lines wait ends, and is started anew."),
    ] = 60.0
    drain_timeout_s: Annotated[
        Positive, _say("Longest wait for the batch in hand, when partitions go or the worker is to end.")
    ] = 4.0

    @model_validator(mode="after")
    def _can_log_in(self) -> "KafkaAt":
        if self.sasl_mechanism and not (self.username and self.password):
            raise ValueError("sasl_mechanism needs a username and a password: set both")
        if (self.username or self.password) and not self.sasl_mechanism:
            raise ValueError("a username or password needs a way to log in: set sasl_mechanism")
        if self.sasl_mechanism == "PLAIN" and not self.tls:
            raise ValueError("PLAIN sends the password as it is: set tls, or use SCRAM-SHA-512")
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("certificates need tls: set it")
        if self.key_file and not self.cert_file:
            raise ValueError("a key_file needs the certificate that it belongs to: set cert_file")
        return self


@dataclass(frozen=True, slots=True, config=CLOSED)
class RedisAt:
    """The Redis or Valkey, alone or a cluster, in which `tailrace worker` keeps all (docs/redis.md)."""

    url: Annotated[
        RedisUrl | None,
        _say(
            "`redis://USER@HOST:PORT/DATABASE`, or `rediss://` for TLS; any node of a cluster.",
            "the worker needs it",
        ),
    ] = None
    key_prefix: Annotated[
        Prefix, _say("Begins the name of every key, so that a Redis can be shared: a-z, 0-9 and dashes.")
    ] = "tailrace"
    password: Annotated[
        Password | None,
        _say("Password of the user; better in `password_file` or the environment.", "no password"),
    ] = None
    password_file: Annotated[
        Path | None, _say("File that holds the password, in place of `password`.", "none")
    ] = None
    ca_file: Annotated[
        Path | None,
        _say("Certificates that the server's must be signed by.", "those that the system trusts"),
    ] = None
    cert_file: Annotated[Path | None, _say("Certificate to show to a server that asks for one.", "none")] = (
        None
    )
    key_file: Annotated[Path | None, _say("Private key of `cert_file`.", "none")] = None
    timeout_s: Annotated[Positive, _say("Longest wait for a connection, and for an answer.")] = 10.0
    cache_sources: Annotated[
        Count, _say("Sources of each partition whose state stays in memory; others are read again.")
    ] = 20_000
    kept_revisions: Annotated[
        Count, _say("Newest revisions of alerts of each partition that stay readable once delivered.")
    ] = 2_000
    kept_rejects: Annotated[
        Count, _say("Newest dead letters of each partition that stay readable, and wait for their topic.")
    ] = 1_000
    kept_reject_bytes: Annotated[Count, _say("Most bytes of those dead letters.")] = 16_777_216


@dataclass(frozen=True, slots=True, config=CLOSED)
class Batch:
    """How much is scored and committed at once; a batch closes at whichever bound comes first."""

    max_lines: Annotated[Count, _say("Most lines of a batch.")] = 8_192
    max_bytes: Annotated[Count, _say("Most bytes of a batch; a single longer line still passes.")] = 4_194_304


@dataclass(frozen=True, slots=True, config=CLOSED)
class Alerts:
    """When people are told, and what they are shown."""

    budget: Annotated[
        Positive | None,
        _say("False alerts that are acceptable: a day, or with sessions per 10,000 of them.", BUNDLE),
    ] = None
    new_messages: Annotated[
        bool | None,
        _say(
            "Whether a message that training never saw is an alert of its own, once per source and pattern. "
            "`fit` turns it off where training itself brought new messages all the time, and says so.",
            BUNDLE,
        ),
    ] = None
    after_lines: Annotated[
        int, Field(ge=0, le=50), _say("Lines after the event that are added to its alert.")
    ] = 5
    max_age_s: Annotated[
        Positive | None,
        _say(
            "Alerts that opened longer ago than this when they are first tried are kept and sent to nobody; "
            "one that was sent is also resolved.",
            "all are sent",
        ),
    ] = None
    resolve_after_s: Annotated[
        Positive, _say("An alert is resolved after this long without another sign, in event time.")
    ] = 1800.0
    max_carried: Annotated[
        Count,
        _say(
            "Alerts of a source's ended lives that may still be firing when it lives again; "
            "beyond it the oldest are resolved."
        ),
    ] = 16


@dataclass(frozen=True, slots=True, config=CLOSED)
class Webhook:
    """A server that is told of alerts by signed requests (https://www.standardwebhooks.com)."""

    name: Annotated[Name, _say("Names the receiver in logs and commands: a-z, 0-9 and dashes.")]
    url: Annotated[Url, _say("Address that requests are posted to.")]
    secret: Annotated[
        Secret | None,
        _say("Signs every request: `whsec_` and base64 of 24 to 64 bytes.", "requests are not signed"),
    ] = None
    secret_file: Annotated[Path | None, _say("File that holds the secret, in place of `secret`.", "none")] = (
        None
    )
    secrets: Annotated[
        tuple[Secret, ...], _say("More secrets that sign beside the first, while keys are changed.")
    ] = ()
    timeout_s: Annotated[Positive, _say("Longest wait for an answer.")] = 15.0
    max_pending: Annotated[
        Count, _say("Deliveries that may wait; beyond it the oldest are given up, and counted.")
    ] = 10_000
    allow_private: Annotated[
        bool, _say("Allow addresses inside the own network; otherwise they are refused.")
    ] = False

    @property
    def signing_secrets(self) -> tuple[str, ...]:
        """Every secret that signs a request, newest first, in clear text."""
        first = () if self.secret is None else (self.secret,)
        return tuple(secret.get_secret_value() for secret in (*first, *self.secrets))


@dataclass(frozen=True, slots=True, config=CLOSED)
class Jsonl:
    """A file that gets one JSON object a line for every revision of an alert."""

    name: Annotated[Name, _say("Names the receiver in logs and commands: a-z, 0-9 and dashes.")]
    path: Annotated[Path, _say("File that lines are added to; `-` is standard output.")]


@dataclass(frozen=True, slots=True, config=CLOSED)
class KafkaTopic:
    """A topic of the brokers in `[kafka]` that gets every revision of an alert, keyed by source."""

    name: Annotated[Name, _say("Names the receiver in logs and commands: a-z, 0-9 and dashes.")]
    topic: Annotated[Topic, _say("Topic that alerts are written to.")]
    max_pending: Annotated[
        Count, _say("Deliveries that may wait; beyond it the oldest are given up, and counted.")
    ] = 10_000


@dataclass(frozen=True, slots=True, config=CLOSED)
class Receivers:
    """Who is told of alerts; any number of each kind."""

    webhook: tuple[Webhook, ...] = ()
    jsonl: tuple[Jsonl, ...] = ()
    kafka: tuple[KafkaTopic, ...] = ()

    @model_validator(mode="after")
    def _named_once(self) -> "Receivers":
        names = [webhook.name for webhook in self.webhook] + [jsonl.name for jsonl in self.jsonl]
        names += [topic.name for topic in self.kafka]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} names two receivers: give each its own name")
        return self


@dataclass(frozen=True, slots=True, config=CLOSED)
class Web:
    """Where `/metrics`, `/livez` and `/readyz` are served (docs/metrics.md)."""

    listen: Annotated[
        Listen | None,
        _say(
            "`HOST:PORT` to serve at: `127.0.0.1:9464` for this machine alone, `0.0.0.0:9464` for all that "
            "can reach it; nobody is asked for a password. Port 0 takes a free one, and logs it.",
            "nothing is served",
        ),
    ] = None
    stall_timeout_s: Annotated[
        Positive,
        _say(
            "`/livez` fails when for so long the loop has not gone round, or nothing was done though more "
            "waits."
        ),
    ] = 60.0


@dataclass(frozen=True, slots=True, config=CLOSED)
class Log:
    """What the program says of itself on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], _say("Quietest messages that are printed.")
    ] = "info"
    format: Annotated[Literal["json", "text"], _say("`json` for machines, `text` for people.")] = "json"


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
