"""``expertrag health``: whether a server accepts calls, for probes of containers and balancers."""

from __future__ import annotations

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flags_of, with_config
from expertrag.config import Config

TIMEOUT_S = 3.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
"""Hosts that a server listens at, and how this machine reaches it there."""

flag = flags_of("HEALTH")


@click.command()
@click.argument("address", required=False)
@flag(
    "--ca",
    metavar="FILE",
    env="EXPERTRAG_CA",
    help="Use TLS; certificates (PEM) that sign the server's. For mutual TLS, see "
    "EXPERTRAG_CLIENT_CERT and EXPERTRAG_CLIENT_KEY.",
)
@flag(
    "--server-name",
    default="",
    metavar="HOST",
    help="Host name in the server's certificate, if ADDRESS has another.",
)
@flag(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=TIMEOUT_S,
    help="Seconds to wait for the server to accept calls.",
)
@with_config()
def health(
    config: Config, address: str | None, ca: str | None, server_name: str, timeout: float
) -> None:
    """Check that the server at ADDRESS accepts calls, by the standard health service.

    ADDRESS is HOST:PORT or unix:PATH; without it, the one that `expertrag serve` would listen at
    with the same configuration. Exits with 7 while the server loads its models, once it stops, or
    if there is none. Needs no token.
    """
    from expertrag.client.blocking import complete
    from expertrag.client.blocking_remote import BlockingRemoteBackend
    from expertrag.client.connection import Connection, tls_of
    from expertrag.client.target import is_address

    if server_name and not ca:
        raise click.UsageError("--server-name needs --ca, which checks it; add --ca FILE")
    target = address or _make_reachable(config.service.address)
    if not is_address(target):
        raise InvalidArgument(
            f"address {target!r} is neither HOST:PORT nor unix:PATH", metadata={"field": "address"}
        )
    tls = tls_of(ca, server_name) if ca else None
    server = BlockingRemoteBackend(Connection(target, tls=tls))
    try:
        complete(server.wait_ready(timeout))
    finally:
        complete(server.close())
    click.echo(f"the server at {target} accepts calls")


def _make_reachable(address: str) -> str:
    host, colon, port = address.rpartition(":")
    return f"{EVERYWHERE.get(host, host)}{colon}{port}"
