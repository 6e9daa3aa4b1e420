"""TLS of a client. Importing this module loads only the standard library."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS of a client; paths of PEM files.

    ``ca``: certificates that sign the server's certificate; None for the system's own. ``cert`` and
    ``key``: the client's own, for mutual TLS. ``server_name``: name in the server's certificate, if
    it is not the host of the address.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str = ""
