"""TLS of the server, and the rule that nothing else listens beyond loopback."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

import structlog

from expertrag.api.errors import InvalidArgument
from expertrag.config import AuthConfig, TlsConfig
from expertrag.runtime.files import file_state
from expertrag.runtime.network import is_loopback
from expertrag.serving.core.address import Address

MOST_PEM_BYTES = 1024 * 1024

_log = structlog.get_logger("expertrag.service")


def is_local(address: Address) -> bool:
    """Return whether only this machine reaches an address."""
    return bool(address.path) or is_loopback(address.host)


def check_exposure(address: Address, auth: AuthConfig, tls: TlsConfig) -> None:
    """Refuse to send tokens and documents over a network in the clear; warn of an open server.

    :raises InvalidArgument: if the address is beyond loopback, without TLS or ``--insecure``.
    """
    if is_local(address):
        return
    if not tls.cert and not auth.insecure:
        raise InvalidArgument(
            f"{address} can be reached from other machines, and there is no TLS: give --tls-cert "
            "and --tls-key, or --insecure behind a proxy that encrypts, or listen at 127.0.0.1",
            reason="INSECURE_ADDRESS",
            metadata={"field": "address"},
        )
    if not (auth.tokens or auth.jwt_keys or tls.client_ca):
        _log.warning(
            "anyone who reaches this address may call; --tokens or --tls-client-ca restricts it",
            address=str(address),
        )


def server_context(tls: TlsConfig) -> ssl.SSLContext | None:
    """Return the TLS of an HTTP server, which follows changes of its files; None without one.

    :raises InvalidArgument: if a file cannot be read or is not a certificate or key.
    """
    if not tls.cert:
        return None
    files = TlsFiles(tls)
    files.read()
    latest = [_context(tls)]

    def follow(connection: ssl.SSLObject, _name: str | None, _context_: ssl.SSLContext) -> None:
        if files.read_changes() is not None:
            latest[0] = _context(tls)
        connection.context = latest[0]

    listening = _context(tls)
    listening.sni_callback = follow  # called in every handshake, with a name or without
    return listening


def _context(tls: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    context.set_alpn_protocols(["http/1.1"])
    if tls.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.client_ca)
    return context


@dataclass(frozen=True, slots=True)
class Certificates:
    """Contents of the files, PEM; ``roots`` sign the certificates of clients, None for none."""

    key: bytes
    chain: bytes
    roots: bytes | None


class TlsFiles:
    """The certificate, key and CA of a server, which may change while it runs."""

    def __init__(self, tls: TlsConfig) -> None:
        self._tls = tls
        self._stamp: tuple[object, ...] = ()

    def read(self) -> Certificates:
        """Read the files.

        :raises InvalidArgument: if one cannot be read or is not PEM.
        """
        tls = self._tls
        self._stamp = self._stamps()
        key, chain = _pem("tls.key", tls.key), _pem("tls.cert", tls.cert)
        _check_pair(tls)
        return Certificates(key, chain, _roots(tls.client_ca) if tls.client_ca else None)

    def read_changes(self) -> Certificates | None:
        """Return the new files; None if nothing has changed, or if they cannot be used."""
        if self._stamps() == self._stamp:
            return None
        try:
            certificates = self.read()
        except InvalidArgument as error:
            _log.error("the changed TLS files cannot be used", reason=error.message)
            return None
        _log.info("TLS files changed")
        return certificates

    def _stamps(self) -> tuple[object, ...]:
        names = (self._tls.cert, self._tls.key, self._tls.client_ca)
        return tuple(file_state(name) for name in names if name)


def _pem(field: str, name: str) -> bytes:
    try:
        status = Path(name).stat()
        if not S_ISREG(status.st_mode) or status.st_size > MOST_PEM_BYTES:
            # read by the thread that accepts connections: a pipe would end that, a gigabyte delay
            raise _unusable(field, f"{name} is not a file of at most {MOST_PEM_BYTES:,} bytes")
        data = Path(name).read_bytes()
    except OSError as error:
        raise _unusable(field, f"{name} cannot be read ({error.strerror})") from None
    if b"-----BEGIN " not in data:
        raise _unusable(field, f"{name} is not a PEM file")
    return data


def _roots(name: str) -> bytes:
    data = _pem("tls.client_ca", name)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(name)
    except ssl.SSLError:
        raise _unusable("tls.client_ca", f"{name} holds no certificate that can be read") from None
    return data


def _check_pair(tls: TlsConfig) -> None:
    """Reject what gRPC would only call an address where it cannot listen."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.cert, tls.key, password="")  # never asks for one
    except (ssl.SSLError, ValueError):
        raise _unusable(
            "tls.key",
            f"{tls.key} is not the private key of the certificate {tls.cert}, or has a password",
        ) from None
    except OSError as error:
        raise _unusable("tls.cert", f"{tls.cert} cannot be read ({error.strerror})") from None


def _unusable(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(
        f"{field}: {message}", reason="INVALID_CONFIG", metadata={"field": field}
    )
