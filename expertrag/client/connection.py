"""How a client reaches a server: address, TLS, token, and the collection that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from expertrag.api.errors import InvalidArgument
from expertrag.api.tls import Tls
from expertrag.client.channel import OPTIONS
from expertrag.client.several import ROUND_ROBIN, hosts_of
from expertrag.runtime.network import is_loopback
from expertrag.runtime.tracing import headers

TOKEN_ENV = "EXPERTRAG_TOKEN"
CA_ENV, CERT_ENV, KEY_ENV = "EXPERTRAG_CA", "EXPERTRAG_CLIENT_CERT", "EXPERTRAG_CLIENT_KEY"

TokenSource = str | Callable[[], str]
"""A bearer token, or a function that returns the current one; it is called before every call, and
must not block."""

TOKEN = re.compile(r"[!-~]+")
_CERTIFICATE = b"CERTIFICATE-----"

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """An address, and what the client sends there with every call."""

    address: str
    token: TokenSource | None = None
    tls: Tls | None = None
    collection: str = ""
    request_id: str = ""
    """Id of the calls in logs and errors; empty for ids that the server chooses."""

    @classmethod
    def of(
        cls,
        address: str,
        *,
        token: TokenSource | None,
        tls: Tls | bool | None,
        collection: str,
        insecure: bool,
    ) -> Connection:
        """Fill in what is not given from the environment.

        :raises InvalidArgument: a token would cross a network in the clear.
        """
        token = token if token is not None else os.environ.get(TOKEN_ENV) or None
        if tls is None and (ca := os.environ.get(CA_ENV)):
            tls = tls_of(ca)
        settings = Tls() if tls is True else tls or None
        local = all(map(is_loopback, hosts_of(address)))
        if token is not None and not (settings or local or insecure):
            raise InvalidArgument(
                f"the token would be sent to {address} in the clear: use TLS (tls=, or {CA_ENV}), "
                "or insecure=True in a network that encrypts",
                reason="INSECURE_TOKEN",
                metadata={"field": "tls"},
            )
        return cls(address, token, settings, collection)

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS of the channel; None for none.

        :raises InvalidArgument: a file cannot be read.
        """
        if self.tls is None:
            return None
        ca, key, cert = (_read(name) for name in (self.tls.ca, self.tls.key, self.tls.cert))
        for name, data in ((self.tls.ca, ca), (self.tls.cert, cert)):
            if name is not None and data is not None and _CERTIFICATE not in data:
                raise _unusable(name, "is not a certificate: it is not PEM")
        credentials: grpc.ChannelCredentials = grpc.ssl_channel_credentials(ca, key, cert)
        return credentials

    @property
    def options(self) -> tuple[tuple[str, str | int], ...]:
        """Options of the channel."""
        hosts = hosts_of(self.address)
        several = len(hosts) > 1
        options = (*OPTIONS, ROUND_ROBIN) if hosts else OPTIONS  # a name may have several
        if self.tls is None or not (self.tls.server_name or several):
            return options
        return (*options, ("grpc.ssl_target_name_override", self._server_name))

    @property
    def _server_name(self) -> str:
        """The name in the servers' certificates.

        :raises InvalidArgument: there are several names, of which gRPC can check one.
        """
        assert self.tls is not None
        names = {host.strip("[]") for host in hosts_of(self.address)}
        if not self.tls.server_name and len(names) > 1:
            raise InvalidArgument(
                "tls: give server_name, a name that is in the certificates of all servers of "
                f"{self.address}",
                reason="INVALID_TLS",
                metadata={"field": "tls"},
            )
        return self.tls.server_name or names.pop()

    def metadata(self) -> Metadata | None:
        """Return the metadata of the next call: its trace, token and request id.

        :raises InvalidArgument: the token is none.
        """
        metadata = headers()
        if self.token is not None:
            text = self.token if isinstance(self.token, str) else self.token()
            if not isinstance(text, str) or not TOKEN.fullmatch(text.strip()):
                raise InvalidArgument(
                    "token: is not a token; give letters, digits and signs without spaces, or a "
                    "function that returns them",
                    reason="INVALID_FIELD",
                    metadata={"field": "token"},
                )
            metadata = (*metadata, ("authorization", f"Bearer {text.strip()}"))
        if self.request_id:
            metadata = (*metadata, ("x-request-id", self.request_id))
        return metadata or None


def tls_of(ca: str, server_name: str = "") -> Tls:
    """Return TLS with certificates of a file, and the client's own from the environment."""
    cert, key = os.environ.get(CERT_ENV) or None, os.environ.get(KEY_ENV) or None
    return Tls(ca, cert, key, server_name)


def _read(name: str | os.PathLike[str] | None) -> bytes | None:
    if name is None:
        return None
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise _unusable(name, f"cannot be read ({error.strerror})") from None


def _unusable(name: str | os.PathLike[str], why: str) -> InvalidArgument:
    return InvalidArgument(
        f"tls: {os.fspath(name)} {why}", reason="INVALID_TLS", metadata={"field": "tls"}
    )
