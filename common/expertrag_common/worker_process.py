"""A module that runs as a process of its own, with limits: only its own work is lost with it.

Limits of time and memory are the kernel's, which ends a process even inside native code.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import weakref
from multiprocessing import Pipe
from multiprocessing.connection import Connection


class WorkerProcess:
    """A process at the other end of ``link``; it ends when this object does."""

    def __init__(self, module: str) -> None:
        """Start ``python -m module``, with the descriptor of its link as the argument."""
        self.link, theirs = Pipe()
        with theirs:
            descriptor = theirs.fileno()
            # -P: a module of the working directory must not take the place of one of Python's.
            command = [sys.executable, "-P", "-m", module, str(descriptor)]
            self._process = subprocess.Popen(
                command, pass_fds=[descriptor], stderr=subprocess.DEVNULL
            )
        self.end = weakref.finalize(self, _end, self.link, self._process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None


def _end(link: Connection, process: subprocess.Popen[bytes]) -> None:
    link.close()
    process.kill()
    process.wait()


def parent_link(descriptor: int) -> Connection:
    """Return a worker's link to its parent. Ctrl-C, which all processes get, is left to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return Connection(descriptor)


def limit_memory(size_bytes: int) -> None:
    """Limit the address space of this process."""
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_cpu(seconds: float) -> None:
    """End this process once it has used so many more seconds of the CPU; 0: no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
