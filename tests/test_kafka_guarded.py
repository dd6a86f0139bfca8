"""A broker with logins, certificates and rights: what lets a worker in, and what keeps one out."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from detector.errors import BadSetup
from detector.inputs.kafka.connection import Connection, client_options
from detector.inputs.kafka.faults import explained
from detector.inputs.kafka.feed import Feed
from detector.inputs.kafka.preflight import check
from tests.kafka_feeds import Keeper, Running, feed_of, lines_of, read_all
from tests.kafka_rights import documented
from tests.servers import topics
from tests.servers.kafka import free_ports
from tests.servers.kafka_guarded import Guarded, Right, allow, forbid, guarded
from tests.watching import until

RIGHTS = documented()
OPEN_TOPICS = sorted({right.name for right in RIGHTS if right.resource == "topic"})
LINES = lines_of(100)
NO_TLS: dict[str, Any] = {"tls": False, "ca_file": None}
NO_LOGIN: dict[str, Any] = {"sasl_mechanism": None, "username": None, "password": None}


def without(right: Right) -> str:
    """The user who has every right but one."""
    return f"without-{RIGHTS.index(right)}"


def password_of(user: str) -> str:
    """What a user logs in with."""
    return f"horse-of-{user}"


@pytest.fixture(scope="module")
def kafka_guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One for all; its topics hold the same lines, and each user has a login."""
    rights = {without(right): [other for other in RIGHTS if other != right] for right in RIGHTS}
    rights |= dict.fromkeys(["tailrace", "dismissed-topic", "dismissed-group", "CN=server"], RIGHTS)
    passwords = {user: password_of(user) for user in rights if "=" not in user}
    with guarded(tmp_path_factory.mktemp("kafka"), passwords) as broker:
        for topic in OPEN_TOPICS:
            topics.create(broker.broker.address, topic)
        topics.produce(broker.broker.address, "logs", LINES)
        allow(broker.broker.address, rights)
        yield broker


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


def read(connection: Connection, topic: str) -> list[bytes]:
    """What a worker reads of a topic of a hundred lines."""
    keeper = Keeper()
    read_all(feed_through(connection, topic), keeper, len(LINES))
    return keeper.values(topic)


def write(connection: Connection, topic: str) -> None:
    """Write as the worker does, one line after the other."""
    asyncio.run(_write(connection, topic, transaction=False))


def route(connection: Connection, topic: str) -> None:
    """Write as the router does, in a transaction with the offsets of what was read."""
    asyncio.run(_write(connection, topic, transaction=True))


async def _write(connection: Connection, topic: str, *, transaction: bool) -> None:
    id_ = "tailrace-router-logs-0" if transaction else None
    producer = AIOKafkaProducer(**client_options(connection), transactional_id=id_)
    try:
        await producer.start()
        if not transaction:
            await producer.send_and_wait(topic, b"score")
            return
        async with producer.transaction():
            await asyncio.gather(*[await producer.send(topic, line) for line in LINES])
            read_up_to = {TopicPartition("logs", 0): len(LINES)}
            await producer.send_offsets_to_transaction(read_up_to, "tailrace-router")
    except KafkaError as error:
        raise explained(error, connection, "WRITE") from error
    finally:
        await producer.stop()


def use(connection: Connection, right: Right) -> None:
    """Do what a right is for."""
    match right.operation, right.resource, right.name:
        case "READ", _, "logs" | "tailrace":
            read(connection, "logs")
        case "READ", "topic", topic:
            read(connection, topic)
        case _, _, "tailrace-dead-letters" | "tailrace-scores" as topic:
            write(connection, topic)
        case _:
            route(connection, "tailrace-routed")


def test_the_documented_rights_are_enough(kafka_guarded: Guarded) -> None:
    """Logging in over TLS, a worker reads, routes, reports and sets the group's offsets."""
    connection, address = connection_to(kafka_guarded), kafka_guarded.broker.address
    assert read(connection, "logs") == LINES
    until(lambda: topics.committed(address, "tailrace", "logs") == len(LINES))
    route(connection, "tailrace-routed")
    until(lambda: topics.committed(address, "tailrace-router", "logs") == len(LINES))
    assert read(connection, "tailrace-routed") == LINES
    for topic in ("tailrace-dead-letters", "tailrace-scores"):
        write(connection, topic)


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: " ".join(right[:3]))
def test_a_right_that_is_missing_is_named(kafka_guarded: Guarded, right: Right) -> None:
    """None is superfluous, and the sentence says who lacks which."""
    connection = connection_to(kafka_guarded, user=without(right))
    resource = right.resource.replace("-", " ")
    sentence = f"user {without(right)} may not {right.operation} {resource} {right.name}.*docs/kafka.md"
    with pytest.raises(BadSetup, match=sentence):
        use(connection, right)


@pytest.mark.parametrize("right", RIGHTS[:2], ids=lambda right: " ".join(right[:3]))
def test_a_right_that_is_taken_away_ends_the_worker(kafka_guarded: Guarded, right: Right) -> None:
    """It does not go on without a word."""
    user, keeper = f"dismissed-{right.resource}", Keeper()
    connection = connection_to(kafka_guarded, user=user)
    worker = Running(feed_through(connection), keeper)
    try:
        until(lambda: keeper.count == len(LINES) or worker.has_ended)
        assert worker.error is None
        forbid(kafka_guarded.broker.address, user, right)
        until(lambda: worker.has_ended)
    finally:
        worker.stop()
    assert isinstance(worker.error, BadSetup)
    assert f"{user} may not READ {right.resource} {right.name}" in str(worker.error)


@pytest.mark.parametrize(
    ("door", "changes"),
    [
        ("LOGIN", {"sasl_mechanism": "PLAIN"}),
        ("LOGIN", {"sasl_mechanism": "SCRAM-SHA-256"}),
        ("OPEN", NO_TLS),
        ("TLS", NO_LOGIN),
        ("PLAIN", NO_TLS | NO_LOGIN),
    ],
)
def test_every_way_in_is_known(kafka_guarded: Guarded, door: str, changes: dict[str, Any]) -> None:
    """Each mechanism, with TLS and without."""
    asyncio.run(check(feed_through(connection_to(kafka_guarded, door, **changes))))


def test_a_certificate_is_a_login(kafka_guarded: Guarded) -> None:
    """Its subject is the user, whose rights are asked for."""
    made = kafka_guarded.certificates
    shown: dict[str, Any] = {"cert_file": made.certificate, "key_file": made.key}
    connection = connection_to(kafka_guarded, "MUTUAL", **NO_LOGIN, **shown)
    asyncio.run(check(feed_through(connection)))
    with pytest.raises(BadSetup, match=r"the user of kafka.cert_file may not READ group another"):
        asyncio.run(check(feed_of("", "logs", connection=connection, group="another")))


WRONG_PASSWORD: dict[str, Any] = {"password": SecretStr("wrong-horse")}


@pytest.mark.parametrize(
    ("door", "changes", "sentence"),
    [
        ("LOGIN", WRONG_PASSWORD, "user or the password is refused .* correct kafka.username and kafka.pass"),
        ("LOGIN", WRONG_PASSWORD | {"sasl_mechanism": "PLAIN"}, "the user or the password is refused"),
        ("LOGIN", {"username": "nobody"}, "the user or the password is refused"),
        ("LOGIN", {"ca_file": None}, "cannot be trusted .*: set kafka.ca_file"),
        ("LOGIN", NO_LOGIN, "it wants a login: set kafka.sasl_mechanism"),
        ("OPEN", NO_TLS | NO_LOGIN, "it wants a login: set kafka.sasl_mechanism"),
        ("OPEN", NO_TLS | {"sasl_mechanism": "SCRAM-SHA-256"}, "nobody can log in by SCRAM-SHA-256"),
        ("OPEN", {}, "it does not speak TLS at this port"),
        ("PLAIN", NO_TLS, "nobody logs in there: remove kafka.sasl_mechanism"),
        ("PLAIN", NO_LOGIN, "it does not speak TLS at this port"),
        ("TLS", {}, "nobody logs in there: remove kafka.sasl_mechanism"),
        ("TLS", NO_TLS | NO_LOGIN, "it speaks TLS at this port: set kafka.tls"),
        ("LOGIN", NO_TLS, "it speaks TLS at this port: set kafka.tls"),
        ("MUTUAL", NO_LOGIN, "it does not take our certificate .*: correct kafka.cert_file"),
    ],
)
def test_what_keeps_a_worker_out_is_said(
    kafka_guarded: Guarded, door: str, changes: dict[str, Any], sentence: str
) -> None:
    """With the key to correct; the client itself only says that it could not begin."""
    connection = connection_to(kafka_guarded, door, **changes)
    with pytest.raises(BadSetup, match=sentence) as refused:
        asyncio.run(check(feed_through(connection)))
    assert connection.names in str(refused.value)


def test_a_certificate_for_another_name_is_refused(kafka_guarded: Guarded) -> None:
    """It was made out for 127.0.0.1, and whoever answers to another name is somebody else."""
    other = kafka_guarded.doors["LOGIN"].replace("127.0.0.1", "localhost")
    with pytest.raises(BadSetup, match=r"Hostname mismatch.*name the broker as the certificate does"):
        asyncio.run(check(feed_through(connection_to(kafka_guarded, brokers=(other,)))))


def test_one_broker_that_lets_us_in_is_enough(kafka_guarded: Guarded) -> None:
    """Of several, those that are away are told only where none is there."""
    away, there = f"127.0.0.1:{free_ports(1)[0]}", kafka_guarded.doors["LOGIN"]
    asyncio.run(check(feed_through(connection_to(kafka_guarded, brokers=(away, there)))))


def test_the_password_is_never_shown(
    kafka_guarded: Guarded, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by what the client logs at debug either, which is every request, where it is sent as it is."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.NOTSET, "aiokafka.conn")  # as in a process that has just begun
    right = connection_to(kafka_guarded, sasl_mechanism="PLAIN")
    wrong = msgspec.structs.replace(right, **WRONG_PASSWORD)
    said = f"{right} {wrong!r} {feed_through(right)} {feed_through(wrong)!r}"
    asyncio.run(check(feed_through(right)))
    with pytest.raises(BadSetup) as refused:
        asyncio.run(check(feed_through(wrong)))
    assert "Authenticated as tailrace via PLAIN" in caplog.text
    said += caplog.text + str(capsys.readouterr()) + "".join(traceback.format_exception(refused.value))
    assert password_of("tailrace") not in said
    assert "wrong-horse" not in said
