"""Reaches Redis as the configuration says, and refuses one that would lose states. Talks to Redis.

Secrets go into the connections alone: no error and no representation shows them.
"""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.retry import Retry

from detector.config.kinds import redis_addresses
from detector.config.options import RedisAt
from detector.errors import BadSetup, Unavailable
from detector.store.redis.encoding import Bounds
from detector.store.redis.faults import REPLICA
from detector.store.redis.nodes import Address, Nodes
from detector.store.redis.store import RedisStore

TLS = "rediss"  # the scheme of an address that is reached by it
# What checks rights inside a script came with Redis 7.0; Valkey began as Redis 7.2.
OLDEST = {"redis": (7, 0), "valkey": (7, 2)}


@dataclass(frozen=True, slots=True)
class Server:
    """What was found at the address."""

    name: str  # redis | valkey
    version: str
    nodes: int  # primaries of a cluster, else 1
    is_cluster: bool


def nodes_at(settings: RedisAt) -> Nodes:
    """The server or cluster that the configuration names; connects to nothing yet.

    Raises:
        BadSetup: no address is configured, or a certificate cannot be used.
    """
    if settings.url is None:
        raise BadSetup("no redis is configured: set url of [redis], such as redis://HOST:6379")
    parts = urlsplit(settings.url)
    options = _options(settings)
    kind = SSLConnection if parts.scheme == TLS else Connection

    def pool(address: Address) -> ConnectionPool:
        return ConnectionPool(connection_class=kind, host=address[0], port=address[1], **options)

    return Nodes(redis_addresses(settings.url), pool)


def store_at(settings: RedisAt) -> RedisStore:
    """The store in it, with connections of its own; call `check` on one of them first."""
    bounds = Bounds(settings.kept_revisions, settings.kept_rejects, settings.kept_reject_bytes)
    return RedisStore(nodes_at(settings), settings.key_prefix, bounds)


def check(nodes: Nodes) -> Server:
    """Say what server it is.

    Raises:
        BadSetup: it is too old, or may throw keys away; or several were named that are no cluster.
        Unavailable: it cannot be reached, or is a replica.
    """
    primaries = nodes.primaries()
    if not nodes.is_cluster() and len(nodes.named) > 1:
        raise BadSetup("redis.url names several servers, which are no cluster: name the primary alone")
    servers = [_check_one(nodes, address) for address in primaries]
    name, version = servers[0]
    return Server(name, version, len(primaries), nodes.is_cluster())


def _check_one(nodes: Nodes, address: Address) -> tuple[str, str]:
    about = _fields(nodes.ask_at(address, "INFO", "server"))
    name = "valkey" if "valkey_version" in about else "redis"
    version = about[f"{name}_version"]
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        raise BadSetup(
            f"{name} {version} at {address[0]}:{address[1]} is too old: {oldest} is the first that does"
        )
    # Else a worker would join its group, only to find then that it cannot write.
    if _fields(nodes.ask_at(address, "INFO", "replication")).get("role") == "slave":
        raise Unavailable(f"redis at {address[0]}:{address[1]} {REPLICA}")
    policy = _fields(nodes.ask_at(address, "INFO", "memory"))["maxmemory_policy"]
    # The volatile policies only take keys that have a time to live, and none of ours has.
    if policy.startswith("allkeys"):
        raise BadSetup(
            f"{name} at {address[0]}:{address[1]} throws any key away when its memory is full "
            f"(maxmemory-policy {policy}): run `redis-cli CONFIG SET maxmemory-policy noeviction` there, "
            "and set it in its configuration"
        )
    return name, version


def _fields(info: bytes) -> Mapping[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, _, value in lines}


def _options(settings: RedisAt) -> dict[str, Any]:
    parts = urlsplit(settings.url or "")
    options: dict[str, Any] = {
        "username": unquote(parts.username) if parts.username else None,
        "password": None if settings.password is None else settings.password.get_secret_value(),
        "db": int(parts.path.strip("/") or 0),
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "socket_keepalive": True,
        "protocol": 2,
        # By default it connects up to ten times; how long to wait, and for what, is the worker's to say.
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
    }
    if parts.scheme == TLS:
        for fault in certificate_faults(settings):
            raise BadSetup(fault)
        options |= {
            "ssl_ca_certs": _text(settings.ca_file),
            "ssl_certfile": _text(settings.cert_file),
            "ssl_keyfile": _text(settings.key_file),
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }
    return options


def certificate_faults(settings: RedisAt) -> Iterator[str]:
    """One line for each file that TLS could not use; it would look like a server that is not there."""
    if urlsplit(settings.url or "").scheme != TLS:
        return
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        yield from _unusable("ca_file", partial(context.load_verify_locations, settings.ca_file))
    if settings.cert_file is not None:
        # An empty password: a key that needs one would ask for it at the terminal.
        load = partial(context.load_cert_chain, settings.cert_file, settings.key_file, password="")
        yield from _unusable("cert_file", load)


def _unusable(name: str, load: Callable[[], object]) -> Iterator[str]:
    try:
        load()
    except OSError as error:
        yield f"redis.{name}: not usable ({error}): correct the path or the file"


def _text(path: object) -> str | None:
    return None if path is None else str(path)
