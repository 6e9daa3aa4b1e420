"""File descriptors of the process, shared between the connections of its ports and everything else.

Without a limit on connections, strangers who only connect use up all descriptors. Then no file of a
store can be opened, and no process started.
"""

from __future__ import annotations

import resource
from contextlib import suppress

RESERVED = 256
"""Descriptors of files, processes and connections to other servers."""
PORTS = 2
"""gRPC and HTTP."""
_LEAST, _MOST = 16, 10_000


def raise_limit() -> None:
    """Let this process open as many files as the system allows; the usual limit is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_of_a_port() -> int:
    """Return the number of connections that each port may hold."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _MOST
    return min(_MOST, max(_LEAST, (limit - RESERVED) // PORTS))
