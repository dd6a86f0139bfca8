"""A Redis that speaks TLS, and a user with the documented rights. Starts redis-server, reads a document."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from detector.config.options import RedisAt
from tests.servers.certificates import Certificates
from tests.servers.redis import Server, serving

DOCS = Path(__file__).parents[2] / "docs" / "redis.md"
PASSWORD = "correct-horse"  # noqa: S105  (of a server that lives as long as a test)


def allow(server: Server) -> None:
    """Let the user in with the rule of the documentation."""
    (line,) = [line for line in DOCS.read_text().splitlines() if line.startswith("user tailrace ")]
    rule = [f">{PASSWORD}" if word == ">PASSWORD" else word for word in line.split()[2:]]
    server("ACL", "SETUSER", "tailrace", "reset", *rule)


@contextmanager
def behind_tls(folder: Path, certificates: Certificates) -> Iterator[tuple[Server, RedisAt]]:
    """A server with a port for TLS beside its plain one, and how whoever has a certificate reaches it."""
    port = Server(folder).bus_port
    options = [
        *("--tls-cert-file", str(certificates.certificate), "--tls-key-file", str(certificates.key)),
        *("--tls-ca-cert-file", str(certificates.ca), "--tls-auth-clients", "yes", "--tls-port", str(port)),
    ]
    with serving(folder, *options) as server:
        yield (
            server,
            RedisAt(
                url=f"rediss://127.0.0.1:{port}",
                ca_file=certificates.ca,
                cert_file=certificates.certificate,
                key_file=certificates.key,
                timeout_s=5,
            ),
        )


@contextmanager
def guarded(folder: Path, certificates: Certificates) -> Iterator[RedisAt]:
    """The same for the user with the documented rights, over TLS."""
    with behind_tls(folder, certificates) as (server, at):
        allow(server)
        yield RedisAt(
            url=str(at.url).replace("://", "://tailrace@"),
            password=SecretStr(PASSWORD),
            ca_file=at.ca_file,
            cert_file=at.cert_file,
            key_file=at.key_file,
        )
