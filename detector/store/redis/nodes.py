"""Sends commands to the server that has the key: the only one, or the right primary of a cluster.

Talks to Redis, over redis-py's connections alone: its clients send a command again when a reply is lost, up
to ten times, and a commit would find its own success and take it for a refusal.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis import exceptions
from redis.connection import Connection, ConnectionPool
from redis.crc import key_slot

from detector.errors import Unavailable
from detector.store.redis.faults import is_reply, meaning

Address = tuple[str, int]
Value = str | bytes | int | float

_REDIRECTS = 5  # a slot moves once; more often only while the cluster is being rebuilt


class Nodes:
    """One server or the primaries of a cluster, each with its own connections."""

    def __init__(self, named: Sequence[Address], pool: Callable[[Address], ConnectionPool]) -> None:
        """Connect to nothing yet; of the nodes of a cluster that are named, one has to be there."""
        self.named = named
        self._make_pool = pool
        self._pools: dict[Address, ConnectionPool] = {}
        self._slots: list[tuple[int, int, Address]] = []  # of a cluster, once it was asked
        self._is_cluster: bool | None = None
        self._is_stale = True

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.disconnect()

    def primaries(self) -> list[Address]:
        """Every server that holds keys."""
        self._locate()
        return sorted({address for _, _, address in self._slots}) or [self.named[0]]

    def is_cluster(self) -> bool:
        """Whether the server is a node of a cluster; it is asked once."""
        if self._is_cluster is None:
            self._is_cluster = b"cluster_enabled:1" in self._ask_one_of(self.named, "INFO", "cluster")[1]
        return self._is_cluster

    def ask(self, key: str, *command: Value, lost: type[Unavailable] = Unavailable) -> Any:
        """Send a command to the server that has the key, and follow the key where it has moved.

        Raises:
            Unavailable: nothing was done; of the kind `lost` where it was sent and no answer came.
            BadSetup: the user may not do it.
        """
        for _ in range(_REDIRECTS):
            address = self._address_of(key)
            try:
                return self.ask_at(address, *command, lost=lost)
            except exceptions.MovedError:
                self._is_stale = True  # it was not carried out there
        raise Unavailable("the redis cluster moves its slots; it has not settled yet")

    def ask_at(self, address: Address, *command: Value, lost: type[Unavailable] = Unavailable) -> Any:
        """Send a command to one server; raises as `ask`, and MovedError."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = self._make_pool(address)
        connection = self._connection(pool, address)
        try:
            return self._exchange(connection, address, command, lost)
        finally:
            pool.release(connection)

    def _connection(self, pool: ConnectionPool, address: Address) -> Connection:
        """A connection that is open now: what fails here was not sent."""
        try:
            return pool.get_connection()
        except exceptions.RedisError as error:
            self._is_stale = True
            raise meaning(_text(address), error) or error from error

    def _exchange(
        self,
        connection: Connection,
        address: Address,
        command: tuple[Value, ...],
        lost: type[Unavailable],
    ) -> Any:
        try:
            connection.send_command(*command, check_health=False)  # type: ignore[no-untyped-call]
            return connection.read_response()
        except exceptions.MovedError:
            raise
        except exceptions.RedisError as error:
            if is_reply(error):
                if isinstance(error, exceptions.ReadOnlyError):
                    # It was the primary once; its name may stand for another server by now.
                    connection.disconnect()  # type: ignore[no-untyped-call]
                raise meaning(_text(address), error) or error from error
            self._is_stale = True
            raise lost(f"redis at {_text(address)} gave no answer: {error}") from error

    def _address_of(self, key: str) -> Address:
        self._locate()
        if not self._slots:
            return self.named[0]
        slot = key_slot(key.encode())
        for start, end, address in self._slots:
            if start <= slot <= end:
                return address
        self._is_stale = True
        raise Unavailable(f"no node of the redis cluster has slot {slot}")

    def _locate(self) -> None:
        """Read which node has which slots, from the first node that answers."""
        if not self._is_stale or not self.is_cluster():
            return
        known = {address: None for _, _, address in self._slots} | dict.fromkeys(self.named)
        address, rows = self._ask_one_of(list(known), "CLUSTER", "SLOTS")
        # A node that does not know its own host leaves it empty.
        self._slots = [
            (start, end, (node[0].decode() if node[0] else address[0], node[1]))
            for start, end, node, *_ in rows
        ]
        self._is_stale = False

    def _ask_one_of(self, addresses: Sequence[Address], *command: Value) -> tuple[Address, Any]:
        """The first of them that answers, and what it says."""
        for address in addresses[:-1]:
            with suppress(Unavailable):
                return address, self.ask_at(address, *command)
        return addresses[-1], self.ask_at(addresses[-1], *command)


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
