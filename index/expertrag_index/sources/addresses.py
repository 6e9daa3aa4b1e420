"""Refuses to connect to addresses inside one's own network (server-side request forgery).

A list of sources may come from somebody else, and a page may redirect anywhere. Neither must reach
services that trust this machine, such as the metadata service of a cloud (169.254.169.254).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from expertrag_index.loaders.base import Unreadable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host; raises ``OSError`` if it has none."""

Refuse = Callable[[str], str]
"""Returns why an address is refused; empty if it is not."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system resolves it."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def resolve_address(host: str, port: int, resolve: Resolve, refuse: Refuse) -> str:
    """Resolve a host once, and return the address to connect to.

    :raises Unreadable: one of its addresses is refused, or it has none.
    """
    try:
        addresses = resolve(host, port)
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        raise Unreadable(f"the host {host} has no address", "check the URL and the name server")
    for address in addresses:
        if reason := refuse(address):
            raise Unreadable(
                f"{host} is at the {reason} address {address}, which is refused",
                "if you trust the list of sources, pass --allow-private-addresses",
            )
    return addresses[0]


def refuse_none(_address: str) -> str:
    """Refuse no address."""
    return ""


def refusal(text: str) -> str:
    """Return why an address is refused (``loopback``, ``private``, …); empty if it is public."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "unreadable"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return "IPv4-mapped"
        inner = _inner(address)
        if address in _NAT64_LOCAL:
            return "NAT64"
        if inner is not None:
            reason = _refusal(inner)
            return f"{reason} (inside IPv6)" if reason else ""
    return _refusal(address)


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that packets to a NAT64, 6to4 or Teredo address reach."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def _refusal(address: Address) -> str:
    kinds = {
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "private": address.is_private or getattr(address, "is_site_local", False),
        "reserved": address.is_reserved or not address.is_global,
    }
    return next((name for name, applies in kinds.items() if applies), "")
