"""Options of the servers that the worker needs: Kafka and Redis. No I/O."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from detector.config.kinds import (
    Broker,
    Count,
    Group,
    LetterBytes,
    Password,
    Positive,
    Prefix,
    RedisUrl,
    Topic,
)
from detector.config.option import CLOSED, say


@dataclass(frozen=True, slots=True, config=CLOSED)
class KafkaAt:
    """The Kafka that `tailrace worker` reads, and what it writes there (docs/kafka.md)."""

    brokers: Annotated[tuple[Broker, ...], say("Brokers to begin with, each `HOST:PORT`.")] = ()
    topics: Annotated[tuple[Topic, ...], say("Topics that hold the lines.")] = ()
    group: Annotated[
        Group,
        say(
            "Consumer group; workers of one group share the work. Another group does all of it again, and "
            "needs a `routed_topic` and a `redis.key_prefix` of its own."
        ),
    ] = "tailrace"
    routed_topic: Annotated[
        Topic, say("Topic of our own that the router writes to, unless `input.keyed`.")
    ] = "tailrace-routed"
    dead_letter_topic: Annotated[
        Topic | None, say("Topic for records that could not be understood.", "they are kept in Redis alone")
    ] = None
    dead_letter_max_bytes: Annotated[
        LetterBytes, say("Most bytes of such a record's value that are kept; the rest is cut off.")
    ] = 262_144
    scores_topic: Annotated[
        Topic | None, say("Topic for the score of every event, keyed by source.", "none")
    ] = None
    tls: Annotated[bool, say("Speak TLS to the brokers.")] = False
    ca_file: Annotated[
        Path | None,
        say("Certificates that the brokers' must be signed by.", "those that the system trusts"),
    ] = None
    cert_file: Annotated[Path | None, say("Certificate to show to brokers that ask for one.", "none")] = None
    key_file: Annotated[Path | None, say("Private key of `cert_file`.", "none")] = None
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None,
        say("How to log in to the brokers.", "no login"),
    ] = None
    username: Annotated[str | None, say("Name to log in with.", "none")] = None
    password: Annotated[
        Password | None,
        say("Password to log in with; better in `password_file` or the environment.", "none"),
    ] = None
    password_file: Annotated[
        Path | None, say("File that holds the password, in place of `password`.", "none")
    ] = None
    session_timeout_s: Annotated[
        Positive, say("A worker that says nothing for this long loses its partitions to others.")
    ] = 30.0
    stall_timeout_s: Annotated[
        Positive,
        say("A worker that reads nothing for this long while lines wait ends, and is started anew."),
    ] = 60.0
    drain_timeout_s: Annotated[
        Positive, say("Longest wait for the batch in hand, when partitions go or the worker is to end.")
    ] = 4.0


@dataclass(frozen=True, slots=True, config=CLOSED)
class RedisAt:
    """The Redis or Valkey, alone or a cluster, in which `tailrace worker` keeps all (docs/redis.md)."""

    url: Annotated[
        RedisUrl | None,
        say(
            "`redis://USER@HOST:PORT/DATABASE`, or `rediss://` for TLS; of a cluster any nodes, with commas "
            "between `HOST:PORT`, of which one has to answer.",
            "the worker needs it",
        ),
    ] = None
    key_prefix: Annotated[
        Prefix, say("Begins the name of every key, so that a Redis can be shared: a-z, 0-9 and dashes.")
    ] = "tailrace"
    password: Annotated[
        Password | None,
        say("Password of the user; better in `password_file` or the environment.", "no password"),
    ] = None
    password_file: Annotated[
        Path | None, say("File that holds the password, in place of `password`.", "none")
    ] = None
    ca_file: Annotated[
        Path | None,
        say("Certificates that the server's must be signed by.", "those that the system trusts"),
    ] = None
    cert_file: Annotated[Path | None, say("Certificate to show to a server that asks for one.", "none")] = (
        None
    )
    key_file: Annotated[Path | None, say("Private key of `cert_file`.", "none")] = None
    timeout_s: Annotated[Positive, say("Longest wait for a connection, and for an answer.")] = 10.0
    cache_sources: Annotated[
        Count, say("Sources of each partition whose state stays in memory; others are read again.")
    ] = 20_000
    cache_bytes: Annotated[
        Count, say("Most memory that these states take, about, over all partitions of a worker.")
    ] = 134_217_728
    kept_revisions: Annotated[
        Count, say("Newest revisions of alerts of each partition that stay readable once delivered.")
    ] = 2_000
    kept_rejects: Annotated[
        Count, say("Newest dead letters of each partition that stay readable, and wait for their topic.")
    ] = 1_000
    kept_reject_bytes: Annotated[Count, say("Most bytes of those dead letters.")] = 16_777_216
