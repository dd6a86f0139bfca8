"""Posts an alert to a server, signed after Standard Webhooks. Network I/O."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from detector.notify.answer import Answer, Outcome, judge
from detector.notify.body import encode_body
from detector.notify.guard import guarded_socket
from detector.notify.queue import Notification, Send
from detector.notify.receivers import WebhookReceiver, tls_context
from detector.notify.signature import parse_secret, sign


@asynccontextmanager
async def open_webhook(receiver: WebhookReceiver, *, clock: Callable[[], float]) -> AsyncIterator[Send]:
    """Hold the connections to one server; gives the function that makes one attempt."""
    keys = [parse_secret(secret) for secret in receiver.secrets]
    async with _session(receiver) as session:

        async def send(notification: Notification) -> Answer:
            now_s = clock()
            body = encode_body(notification.payload)
            headers = sign(keys, f"{notification.alert_id}.{notification.revision}", int(now_s), body)
            return await _post(session, receiver, body, headers, clock=clock)

        yield send


def _session(receiver: WebhookReceiver) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=tls_context(receiver),
            socket_factory=None if receiver.allow_private else guarded_socket,
            force_close=True,  # alerts are rare: a kept connection is mostly one that the server has closed
        ),
        timeout=aiohttp.ClientTimeout(total=receiver.timeout_s),
        headers={"Content-Type": "application/json", "User-Agent": "tailrace"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # nobody reads the body, so nobody unpacks it
    )


async def _post(
    session: aiohttp.ClientSession,
    receiver: WebhookReceiver,
    body: bytes,
    headers: dict[str, str],
    *,
    clock: Callable[[], float],
) -> Answer:
    """Make one attempt; the answer's body stays unread."""
    try:
        async with session.post(receiver.url, data=body, headers=headers, allow_redirects=False) as response:
            return judge(response.status, response.headers.get("Retry-After"), now_s=clock())
    except TimeoutError:
        return Answer(Outcome.FAILED, f"no answer within {receiver.timeout_s:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Answer(Outcome.FAILED, _describe(error))


def _describe(error: Exception) -> str:
    """Say what went wrong without the address, which aiohttp puts into its texts and may hold a token."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "could not connect: the TLS certificate or handshake is not accepted"
        case aiohttp.ClientConnectorError():
            return f"could not connect: {error.os_error}"
        case aiohttp.ServerDisconnectedError():
            return "closed the connection without an answer"
        case aiohttp.ClientResponseError():
            return "did not answer in HTTP"
        case _:
            return f"failed with {type(error).__name__}"
