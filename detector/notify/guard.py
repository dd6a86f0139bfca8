"""Opens sockets to public addresses only: a webhook must not reach into our own network.

The address is checked where the socket is made, after the name was resolved, so that neither a literal
nor a name that resolves differently the second time gets past.
"""

import ipaddress
import socket

from aiohttp.connector import AddrInfoType

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddress(OSError):
    """The receiver's name leads into a network that it may not reach."""


def guarded_socket(address: AddrInfoType) -> socket.socket:
    """Make the socket for an address, for aiohttp's `socket_factory`; PrivateAddress if it is not public."""
    family, kind, protocol, _, where = address
    if not is_public(where[0]):
        raise PrivateAddress("its address is not a public one; allow_private permits that")
    return socket.socket(family, kind, protocol)


def is_public(host: str) -> bool:
    """Say whether an address literal belongs to the public Internet."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Find the IPv4 address that an IPv6 address stands for, where it is a translated one."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
