"""Several servers of one store in one channel: gRPC gives each call to the next that is up."""

from __future__ import annotations

import json
import socket

from expertrag.api.errors import InvalidArgument, Unavailable

ROUND_ROBIN = (
    "grpc.service_config",
    json.dumps({"loadBalancingConfig": [{"round_robin": {}}]}),
)
"""Option of a channel: calls go in turn to all addresses that are named, or that a name has."""


def hosts_of(address: str) -> list[str]:
    """Return the hosts of an address, which may name several servers; none for a Unix socket."""
    if address.startswith("unix:"):
        return []
    return [server.rpartition(":")[0] for server in address.split(",")]


def grpc_target(address: str) -> str:
    """Return what gRPC connects to.

    gRPC takes a list of numeric addresses, so the names in a list are looked up here, once.

    :raises Unavailable: a name is unknown.
    :raises InvalidArgument: addresses of IPv4 and IPv6 are mixed, which gRPC does not take.
    """
    if address.startswith("unix:") or "," not in address:
        return address
    servers_by_family: dict[socket.AddressFamily, list[str]] = {}
    for server in address.split(","):
        family, numeric = _numeric(server)
        servers_by_family.setdefault(family, []).append(numeric)
    if len(servers_by_family) > 1:
        raise InvalidArgument(
            f"{address} mixes addresses of IPv4 and IPv6: give addresses of one kind",
            reason="INVALID_TARGET",
            metadata={"field": "target"},
        )
    ((family, servers),) = servers_by_family.items()
    return f"{'ipv6' if family == socket.AF_INET6 else 'ipv4'}:{','.join(servers)}"


def _numeric(server: str) -> tuple[socket.AddressFamily, str]:
    host, _, port = server.rpartition(":")
    try:
        known = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(
            f"{host} is unknown ({error.strerror}): correct the address", reason="UNREACHABLE"
        ) from None
    # IPv4 first, so that names with addresses of both kinds go together
    family, _, _, _, (address, *_) = min(known, key=lambda each: each[0] != socket.AF_INET)
    return family, f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
