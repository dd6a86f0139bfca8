"""A real HTTP server on the loopback whose answers are a script."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from standardwebhooks import Webhook

from tests.servers.certificates import Certificates

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # nobody's
SLOW = 0  # no answer until the server closes
GARBAGE = 1  # bytes that are not HTTP


@dataclass(frozen=True, slots=True)
class Request:
    """What one attempt sent."""

    path: str
    headers: dict[str, str]
    body: bytes
    answer: int

    def verify(self, secret: str = SECRET) -> Any:
        """Check the signature with the specification's own library; gives the body."""
        return Webhook(secret).verify(self.body, self.headers)

    @property
    def webhook_id(self) -> str:
        """The id that stays the same over retries."""
        return self.headers["webhook-id"]


@dataclass(slots=True)
class Script:
    """The answers in turn, the last one for ever, and what was asked."""

    answers: list[int] = field(default_factory=lambda: [204])
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer_body: bytes = b""
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    certificates: Certificates | None = None  # then it speaks TLS
    arrived: Event = field(default_factory=Event)
    last_asked: Event = field(default_factory=Event)  # for the last answer
    closing: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        """Where it listens; the path stands for a token that no log may show."""
        scheme = "http" if self.certificates is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/token-in-path"

    @property
    def ids(self) -> list[str]:
        """The webhook ids in the order of arrival."""
        return [request.webhook_id for request in self.requests]

    def next_answer(self) -> int:
        """Take the next answer."""
        if len(self.answers) > 1:
            return self.answers.pop(0)
        self.last_asked.set()
        return self.answers[0]


@contextmanager
def serving(script: Script) -> Iterator[Script]:
    """Serve the script on its port, a free one where it has none."""
    server = ThreadingHTTPServer(("127.0.0.1", script.port), _handler(script))
    script.port = server.server_address[1]
    if script.certificates is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(script.certificates.certificate, script.certificates.key)
        # Shaken hands with in the thread of the request: a client that does not trust us ends only its own.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    script.closing.clear()
    # The listening socket is open already: what connects before the thread runs waits in its queue.
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        script.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # the name is the library's
            self._answer(b"")

        def do_POST(self) -> None:  # the name is the library's
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = script.next_answer()
            script.requests.append(Request(self.path, headers, body, answer))
            script.arrived.set()
            if answer == SLOW:
                script.closing.wait()
            elif answer == GARBAGE:
                self.wfile.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            else:
                self._send(answer)

        def _send(self, status: int) -> None:
            self.send_response(status)
            for name, value in script.answer_headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(script.answer_body)))
            self.end_headers()
            self.wfile.write(script.answer_body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's signature
            """Say nothing."""

    return Handler
