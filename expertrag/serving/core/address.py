"""Addresses that a server listens at: ``HOST:PORT`` or ``unix:PATH``."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path

from expertrag.api.errors import Conflict, InvalidArgument

PROBE_S = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address; ``port`` 0 lets the system choose, ``path`` is set for a Unix socket.

    ``option`` is the one that it was given by, for errors.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    option: str = "--address"

    @classmethod
    def parse(cls, text: str, option: str = "--address") -> Address:
        """Parse ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:PATH``.

        :raises InvalidArgument: if it is none of them.
        """
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if path:
                return cls(path=path, option=option)
        host, colon, port = text.rpartition(":")
        if colon and host and port.isascii() and port.isdigit() and int(port) < 2**16:
            return cls(host=host, port=int(port), option=option)
        raise InvalidArgument(
            f"address {text!r} is neither HOST:PORT nor unix:PATH",
            reason="INVALID_ADDRESS",
            metadata={"field": "address"},
        )

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"

    def check_free(self) -> None:
        """Check that no other server listens there, before gRPC logs its own errors.

        gRPC would also silently take over the Unix socket of a running server.

        :raises Conflict: if the address is in use.
        :raises InvalidArgument: if the address does not belong to this machine.
        """
        if self.path:
            self._check_path()
        else:
            self._check_port()

    @property
    def _cure(self) -> str:
        return f"choose another {self.option} or stop the other server"

    def _check_path(self) -> None:
        path = Path(self.path)
        if path.exists() and not path.is_socket():
            raise _in_use(f"{self.path} exists and is not a socket; choose another {self.option}")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PROBE_S)
            try:
                probe.connect(self.path)
            except OSError:
                return
        raise _in_use(f"another server listens at {self}; {self._cure}")

    def _check_port(self) -> None:
        host = self.host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, self.port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    in_use = f"port {self.port} on {host} is in use; {self._cure}"
                    raise _in_use(in_use) from error
                raise InvalidArgument(
                    f"cannot listen at {self} ({error.strerror}); choose another {self.option}",
                    reason="INVALID_ADDRESS",
                ) from error


def _in_use(message: str) -> Conflict:
    return Conflict(message, reason="ADDRESS_IN_USE")
