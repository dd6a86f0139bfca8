"""A Kafka broker that lets nobody in without a login or a certificate, and nobody do more than their rights.

Starts Java, opens loopback ports. Whoever comes through the plain port, `Broker.address`, may do all.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest

from tests.servers.certificates import Certificates, make_certificates
from tests.servers.kafka import Broker, format_data, free_ports
from tests.servers.topics import admin_of

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
SETTINGS = """\
listeners=PLAIN://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},{listeners}
advertised.listeners=PLAIN://127.0.0.1:{{port}},{listeners}
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,OPEN:SASL_PLAINTEXT,TLS:SSL,MUTUAL:SSL
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.login.plain.sasl.jaas.config={plain} {users};
listener.name.login.scram-sha-256.sasl.jaas.config={scram};
listener.name.login.scram-sha-512.sasl.jaas.config={scram};
listener.name.open.scram-sha-512.sasl.jaas.config={scram};
listener.name.open.sasl.enabled.mechanisms=SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location={store}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
# SASL over TLS, SASL without, TLS, and TLS that wants a certificate.
DOORS = ("LOGIN", "OPEN", "TLS", "MUTUAL")
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"

# The numbers of the protocol.
RESOURCES = {"topic": 2, "group": 3, "transactional-id": 5}
PATTERNS = {"literal": 3, "prefixed": 4}
OPERATIONS = {"READ": 3, "WRITE": 4, "CREATE": 5, "DESCRIBE": 8, "DESCRIBE_CONFIGS": 10}
ANY, ALLOW = 1, 3


class Right(NamedTuple):
    """What a user may do."""

    operation: str
    resource: str
    name: str
    pattern: str = "literal"


class Guarded(NamedTuple):
    """The broker and its doors."""

    broker: Broker
    certificates: Certificates
    doors: Mapping[str, str]  # by the names of DOORS, and PLAIN


@contextmanager
def guarded(folder: Path, passwords: Mapping[str, str]) -> Iterator[Guarded]:
    """A broker on which these users have logins, and no rights yet."""
    certificates = make_certificates(folder / "certificates")
    store = folder / "store.pem"
    store.write_text(certificates.key.read_text() + certificates.certificate.read_text())
    doors = {door: f"127.0.0.1:{port}" for door, port in zip(DOORS, free_ports(len(DOORS)), strict=True)}
    settings = SETTINGS.format(
        listeners=",".join(f"{name}://{door}" for name, door in doors.items()),
        plain=PLAIN,
        scram=SCRAM,
        users=" ".join(f'user_{name}="{password}"' for name, password in passwords.items()),
        store=store,
        ca=certificates.ca,
    )
    broker = Broker(folder, more_settings=settings)
    users = [
        f"--add-scram={mechanism}=[name={name},password={password}]"
        for name, password in passwords.items()
        for mechanism in MECHANISMS
    ]
    format_data(broker, *users)
    broker.start()
    try:
        yield Guarded(broker, certificates, {"PLAIN": broker.address, **doors})
    finally:
        broker.kill()


def allow(address: str, rights: Mapping[str, Iterable[Right]]) -> None:
    """Give users their rights, and come back when they hold."""
    asyncio.run(_allow(address, rights))


def forbid(address: str, user: str, right: Right) -> None:
    """Take a right away."""
    asyncio.run(_forbid(address, user, right))


async def _forbid(address: str, user: str, right: Right) -> None:
    request = DeleteAclsRequest(*_acl(user, right))
    async with admin_of(address) as admin:
        answer = await admin._send_to_controller(request)
    ((code, _, (_,)),) = answer.filter_responses
    assert code == 0


def _acl(user: str, right: Right) -> tuple[int, str, int, str, str, int, int]:
    """A right as the protocol has it."""
    resource, pattern = RESOURCES[right.resource], PATTERNS[right.pattern]
    return resource, right.name, pattern, f"User:{user}", "*", OPERATIONS[right.operation], ALLOW


async def _allow(address: str, rights: Mapping[str, Iterable[Right]]) -> None:
    given = [_acl(user, right) for user, its in rights.items() for right in its]
    async with admin_of(address) as admin:
        for acl in given:
            answer = await admin._send_to_controller(CreateAclsRequest(*acl))
            assert [code for code, _ in answer.creation_responses] == [0], answer
        # The controller has them; the broker hears of them a moment later.
        while await _known(admin) < len(given):  # noqa: ASYNC110  (nobody tells us)
            await asyncio.sleep(0.01)


async def _known(admin: AIOKafkaAdminClient) -> int:
    answer = await admin._send_request(DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY))
    return sum(len(acls) for *_, acls in answer.resources)
