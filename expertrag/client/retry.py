"""When a call is repeated: while its server restarts or loads its models, until the deadline.

gRPC's own retries end after a few seconds, and its throttling then fails thousands of calls at
once; a restart takes longer than that.
"""

from __future__ import annotations

import random
import time

from expertrag.api.errors import ExpertRAGError, Unavailable

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 1.0
_UNKNOWN_SERVER_S = 1.0
"""Seconds to try a server that has never answered: its address may be wrong."""


class KnownServer:
    """Whether a server has answered yet, so that it may be expected to come back."""

    answered = False


class Attempts:
    """The attempts of one call."""

    def __init__(self, server: KnownServer, timeout: float, *, repeatable: bool = True) -> None:
        """Start the clock.

        :param timeout: seconds that all attempts together may take.
        :param repeatable: whether the call may run twice; after a lost connection nobody knows
            whether it has run.
        """
        self._server = server
        self._timeout = timeout
        self._repeatable = repeatable
        self._started = time.monotonic()
        self._wait_s = _FIRST_WAIT_S

    def remaining(self) -> float:
        """Return the seconds that the next attempt may take."""
        return max(0.001, self._timeout - (time.monotonic() - self._started))

    def wait_s(self, error: ExpertRAGError) -> float:
        """Return the seconds to wait before the next attempt.

        :raises ExpertRAGError: the error itself, if there is to be none.
        """
        wait = self._wait_s * random.uniform(0.8, 1.2)  # so that callers do not come all at once
        if time.monotonic() - self._started + wait > min(self._timeout, self._patience_s(error)):
            raise error
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
        return wait

    def _patience_s(self, error: ExpertRAGError) -> float:
        if error.reason != "UNREACHABLE":
            self._server.answered = True
        if not isinstance(error, Unavailable):
            return 0.0
        if error.reason == "LOADING":  # the call has not run
            return self._timeout
        if error.reason != "UNREACHABLE" or not self._repeatable:
            return 0.0
        return self._timeout if self._server.answered else _UNKNOWN_SERVER_S
