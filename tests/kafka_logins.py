"""Connections to a guarded broker, and feeds through them. No I/O."""

from typing import Any

import msgspec
from pydantic import SecretStr

from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import Feed
from tests.kafka_feeds import feed_of
from tests.kafka_rights import password_of
from tests.servers.kafka_guarded import Guarded

NO_TLS: dict[str, Any] = {"tls": False, "ca_file": None}
NO_LOGIN: dict[str, Any] = {"sasl_mechanism": None, "username": None, "password": None}
WRONG_PASSWORD: dict[str, Any] = {"password": SecretStr("wrong-horse")}


def connection_to(
    broker: Guarded, door: str = "LOGIN", *, user: str = "tailrace", **changes: Any
) -> Connection:
    """A login over TLS, unless a test wants it otherwise."""
    connection = Connection(
        brokers=(broker.doors[door],),
        tls=True,
        ca_file=broker.certificates.ca,
        sasl_mechanism="SCRAM-SHA-512",
        username=user,
        password=SecretStr(password_of(user)),
    )
    return msgspec.structs.replace(connection, **changes)


def feed_through(connection: Connection, topic: str = "logs") -> Feed:
    """The group of the documentation."""
    return feed_of("", topic, connection=connection, group="tailrace")
