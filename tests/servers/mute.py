"""Servers that take connections and never answer, as behind a broken firewall. Opens loopback ports."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class Mute:
    """Where they listen, and whether anybody has come."""

    def __init__(self, listening: list[socket.socket]) -> None:
        """Accept nothing: the system takes the connections."""
        self._listening = listening
        self.addresses = ["{}:{}".format(*one.getsockname()) for one in listening]

    def has_guest(self) -> bool:
        """Whether somebody is connected to one of them."""
        return bool(select.select(self._listening, [], [], 0)[0])


@contextmanager
def mute(count: int) -> Iterator[Mute]:
    """So many of them, until the end."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
            one.listen(64)
        yield Mute(sockets)
