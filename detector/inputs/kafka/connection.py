"""How every client of Kafka reaches the brokers: addresses, TLS and login. Reads certificates; no network.

The password goes into the clients alone: no representation, error or log shows it.
"""

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr

from detector.config.options import KafkaAt
from detector.errors import BadSetup
from detector.inputs.kafka import header_names

CLIENT_ID = "tailrace"  # what brokers call us in their logs, metrics and quotas


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """Where the brokers are, and how to speak to them."""

    brokers: tuple[str, ...]  # HOST:PORT
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    sasl_mechanism: str | None = None
    username: str | None = None
    password: SecretStr | None = None

    @property
    def names(self) -> str:
        """The brokers as a sentence names them."""
        return ", ".join(self.brokers)

    @property
    def user(self) -> str:
        """Whose rights are asked for, as a sentence names it."""
        if self.username is not None:
            return f"user {self.username}"
        return "the user of kafka.cert_file" if self.cert_file else "anonymous user"


def connection_at(settings: KafkaAt) -> Connection:
    """The brokers that the configuration names.

    Raises:
        BadSetup: none is named, or a certificate cannot be used.
    """
    if not settings.brokers:
        raise BadSetup("no Kafka is configured: set brokers of [kafka], such as HOST:9092")
    connection = _of(settings)
    tls_context(connection)
    return connection


def certificate_faults(settings: KafkaAt) -> Iterator[str]:
    """One line for each file that TLS could not use: those to trust by, and those to show."""
    whole = _of(settings)
    for part in (
        msgspec.structs.replace(whole, cert_file=None, key_file=None),
        msgspec.structs.replace(whole, ca_file=None),
    ):
        try:
            tls_context(part)
        except BadSetup as error:
            yield str(error)


def _of(settings: KafkaAt) -> Connection:
    return Connection(
        brokers=settings.brokers,
        tls=settings.tls,
        ca_file=settings.ca_file,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        sasl_mechanism=settings.sasl_mechanism,
        username=settings.username,
        password=settings.password,
    )


def client_options(connection: Connection) -> dict[str, Any]:
    """What each of aiokafka's clients is given: consumer, producer and admin alike.

    Raises:
        BadSetup: a certificate cannot be used any more.
    """
    header_names.escape()
    return {
        "bootstrap_servers": list(connection.brokers),
        "client_id": CLIENT_ID,
        **security_options(connection),
    }


def security_options(connection: Connection) -> dict[str, Any]:
    """TLS and login alone, as one connection of aiokafka takes them."""
    # At debug the client logs every request that it sends, the one with the password too.
    logging.getLogger("aiokafka.conn").setLevel(logging.INFO)
    kind = "SSL" if connection.tls else "PLAINTEXT"
    options: dict[str, Any] = {"security_protocol": kind, "ssl_context": tls_context(connection)}
    if connection.sasl_mechanism is None or connection.password is None:
        return options
    return options | {
        "security_protocol": f"SASL_{kind}",
        "sasl_mechanism": connection.sasl_mechanism,
        "sasl_plain_username": connection.username,
        "sasl_plain_password": connection.password.get_secret_value(),
    }


def tls_context(connection: Connection) -> ssl.SSLContext | None:
    """Whom to trust and what to show, None without TLS; read anew, so that files may be exchanged.

    Raises:
        BadSetup: a file is missing, or is no certificate or key; later it would look like an absent broker.
    """
    if not connection.tls:
        return None
    name = "ca_file"
    try:
        context = ssl.create_default_context(cafile=connection.ca_file)
        if connection.cert_file is not None:
            name = "cert_file"
            connection.cert_file.open().close()
            name = "cert_file" if connection.key_file is None else "key_file"
            # An empty password: a key that needs one would ask for it at the terminal.
            context.load_cert_chain(connection.cert_file, connection.key_file, password="")
    except OSError as error:
        raise BadSetup(f"kafka.{name}: not usable ({error}): correct the path or the file") from error
    return context
