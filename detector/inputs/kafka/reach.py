"""Make the first connection to Kafka, and find out why none can be made. Talks to Kafka.

aiokafka's clients only say that they could not begin. No password is sent to whoever fails the checks here.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from detector.errors import BadSetup, Unavailable
from detector.inputs.kafka.connection import CLIENT_ID, Connection, security_options
from detector.inputs.kafka.faults import refusal

WHOLE_S = 10.0  # to find out about all brokers
ANSWER_S = 4.0  # for one answer: a broker that gives none may still give one when asked otherwise
CLOSE_S = 0.2  # to let go of a connection
NOTHING = MetadataRequest([])  # asks for no topic


async def reach(connection: Connection) -> None:
    """Come back when one of the brokers has let us in.

    Raises:
        BadSetup: the configuration does not fit what the brokers speak or whom they know.
        Unavailable: nobody is there.
    """
    # All at once: each that takes connections and never answers would cost as long again.
    tries = [
        asyncio.ensure_future(_try(host, port, connection))
        for host, port, _ in collect_hosts(list(connection.brokers))
    ]
    faults: list[BadSetup | Unavailable] = []
    try:
        for one in asyncio.as_completed(tries):
            fault = await one
            if fault is None:
                return
            faults.append(fault)
    finally:
        for one in tries:
            one.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
    setup = [fault for fault in faults if isinstance(fault, BadSetup)]
    raise setup[0] if setup else Unavailable("; ".join(map(str, faults)))


async def _try(host: str, port: int, connection: Connection) -> BadSetup | Unavailable | None:
    """What is wrong with one broker, as far as that can be known in time."""
    try:
        async with asyncio.timeout(WHOLE_S):
            return await _fault(host, port, connection)
    except TimeoutError:
        return Unavailable(f"Kafka at {host}:{port} has not answered in {WHOLE_S:.0f} s")


async def _fault(host: str, port: int, connection: Connection) -> BadSetup | Unavailable | None:
    try:
        async with _connected(host, port, connection) as broker:
            await broker.send(NOTHING)
    except (KafkaError, OSError) as error:  # a timeout is an OSError
        refused = refusal(error, connection)
        if refused is not None:
            return refused
        advice = _about_certificates(error) or await _about_doors(host, port, connection)
        if advice:
            return BadSetup(f"Kafka at {host}:{port}: {advice}")
        return Unavailable(f"Kafka at {host}:{port} cannot be reached: {error or type(error).__name__}")
    return None


@asynccontextmanager
async def _connected(host: str, port: int, connection: Connection) -> AsyncIterator[AIOKafkaConnection]:
    timeout_ms, options = int(ANSWER_S * 1000), security_options(connection)
    broker = AIOKafkaConnection(host, port, client_id=CLIENT_ID, request_timeout_ms=timeout_ms, **options)
    try:
        await broker.connect()
        yield broker
    finally:
        await asyncio.wait([broker.close()], timeout=CLOSE_S)


def _about_certificates(error: BaseException) -> str:
    """What to do about a certificate that one side does not take; empty where it is something else."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate cannot be trusted ({error.verify_message}): set kafka.ca_file to the authority "
            "that signed it, and name the broker as the certificate does"
        )
    # Alerts about what we have shown, or have not (https://www.rfc-editor.org/rfc/rfc8446#section-6.2).
    if isinstance(error, ssl.SSLError) and re.search("ALERT.*(CERTIFICATE|UNKNOWN_CA)", error.reason or ""):
        return f"it does not take our certificate ({error.reason}): correct kafka.cert_file and key_file"
    return "" if error.__cause__ is None else _about_certificates(error.__cause__)


async def _about_doors(host: str, port: int, connection: Connection) -> str:
    """Whether the broker would speak to us otherwise; nobody is logged in to find out."""
    with suppress(KafkaError, OSError):
        if connection.tls:
            async with _connected(host, port, Connection(brokers=connection.brokers)):
                return "it does not speak TLS at this port: name the port that does, or unset kafka.tls"
        async with asyncio.timeout(ANSWER_S):
            await _shake_hands(host, port)
        return "it speaks TLS at this port: set kafka.tls"
    with suppress(KafkaError, OSError):
        nobody = msgspec.structs.replace(connection, sasl_mechanism=None)
        async with _connected(host, port, nobody) as broker:
            answer = await broker.send(SaslHandShakeRequest("PLAIN"))
        if answer.enabled_mechanisms:
            known = ", ".join(answer.enabled_mechanisms)
            return f"it wants a login: set kafka.sasl_mechanism, username and password ({known})"
    return ""


async def _shake_hands(host: str, port: int) -> None:
    """Begin to speak TLS with whoever it is, and say nothing."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=anybody)
    writer.close()
    await writer.wait_closed()
