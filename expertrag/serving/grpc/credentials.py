"""TLS of the gRPC server."""

from __future__ import annotations

import grpc

from expertrag.config import TlsConfig
from expertrag.serving.core.tls import Certificates, TlsFiles


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials | None:
    """Return the TLS of a server, which follows changes of its files; None without a certificate.

    gRPC asks for changes at every connection.

    :raises InvalidArgument: if a file cannot be read or is not a certificate or key.
    """
    if not tls.cert:
        return None
    files = TlsFiles(tls)

    def read_configuration() -> grpc.ServerCertificateConfiguration | None:
        certificates = files.read_changes()
        return None if certificates is None else _configuration(certificates)

    credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
        _configuration(files.read()),
        read_configuration,  # type: ignore[arg-type]  # may return None, by its documentation
        require_client_authentication=bool(tls.client_ca),
    )
    return credentials


def _configuration(files: Certificates) -> grpc.ServerCertificateConfiguration:
    configuration: grpc.ServerCertificateConfiguration = grpc.ssl_server_certificate_configuration(
        [(files.key, files.chain)], root_certificates=files.roots
    )
    return configuration
