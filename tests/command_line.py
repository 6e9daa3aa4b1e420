"""What a command printed and how it ended, shared by the tests of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of a command."""

    code: int
    out: str
    err: str

    def ok(self) -> Ran:
        """Expect that it succeeded."""
        assert self.code == 0, self.err
        return self

    def json(self, code: int = 0) -> Any:
        """Expect an exit code, and return the value that the command printed."""
        assert self.code == code, self.err
        return json.loads(self.out)

    def fails(self, code: int, *reported: str) -> None:
        """Expect an exit code, and one line with all of ``reported`` below the progress, if any."""
        assert (self.code, self.out) == (code, ""), self.err
        *progress, line = self.err.splitlines()
        assert line.startswith("error: "), self.err
        assert all(text in line for text in reported), self.err
        assert not [above for above in progress if ": " not in above or "error" in above], self.err


Run = Callable[..., Ran]
