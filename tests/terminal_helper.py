"""A command in a terminal: a pseudo-terminal of the system, read and typed into."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from types import TracebackType

TIMEOUT_S = 60.0


def _take_terminal() -> None:
    """Let stdin be the terminal whose Ctrl-C interrupts this process."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's job ignores


class Terminal:
    """Runs ``expertrag`` with a terminal for stdin, stdout and stderr."""

    def __init__(self, *arguments: str) -> None:
        self._end, end = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "expertrag", *arguments],
            stdin=end,
            stdout=end,
            stderr=end,
            env={**os.environ, "TERM": "xterm"},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(end)
        self._unread = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def types_at(self, prompt: str, text: str) -> None:
        """Wait until a text is shown, then type: what comes too early, a terminal may swallow."""
        self.shows(prompt)
        os.write(self._end, text.encode())

    def shows(self, text: str) -> None:
        """Wait until a text is shown, below what was waited for before."""
        while text not in self._unread:
            read = self._read()
            assert read, f"{text!r} is not shown, but {self._unread!r}"
            self._unread += read.decode(errors="replace")
        self._unread = self._unread.partition(text)[2]

    def _read(self) -> bytes:
        """Return what comes next; nothing if the command has ended, or is silent for too long."""
        if not select.select([self._end], [], [], TIMEOUT_S)[0]:
            return b""
        try:
            return os.read(self._end, 4096)
        except OSError:  # the command has ended
            return b""

    def ends(self) -> int:
        """Wait for the end, and return the exit code."""
        return self._process.wait(TIMEOUT_S)
