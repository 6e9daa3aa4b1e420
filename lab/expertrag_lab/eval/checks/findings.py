"""Collect the problems that checkers find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument
from expertrag.runtime.json_lines import parse_object
from expertrag_lab.json_lines import read_bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its location. It is a fault or only a note."""

    path: Path
    line: int | None
    message: str
    fault: bool

    def __str__(self) -> str:
        """Format as one line that editors can parse: file, line, message."""
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {'' if self.fault else 'note: '}{self.message}"


@dataclass(frozen=True, slots=True)
class Checked:
    """Result for one path. ``what`` is the type of its content, empty if it is unknown."""

    path: Path
    what: str
    counts: Mapping[str, int]
    problems: tuple[Problem, ...]

    @property
    def faults(self) -> int:
        """Number of problems that are faults."""
        return sum(problem.fault for problem in self.problems)


class Findings:
    """The problems of one path, in the order of discovery."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def fault(self, path: Path, line: int | None, message: str) -> None:
        """Add a problem that must be fixed."""
        self._problems.append(Problem(path, line, message, fault=True))

    def note(self, path: Path, message: str) -> None:
        """Add a problem that is not a fault."""
        self._problems.append(Problem(path, None, message, fault=False))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems."""
        return tuple(self._problems)

    def content(self, path: Path) -> bytes | None:
        """Read a file; one that cannot be unpacked is a fault."""
        try:
            return read_bytes(path)
        except InvalidArgument as error:
            self.fault(path, None, error.message.removeprefix(f"{path} "))
            return None

    def objects(self, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Read the objects of a JSON-lines file with their line numbers; other lines are faults."""
        for number, line in enumerate((self.content(path) or b"").splitlines(), 1):
            if not line.strip():
                continue
            try:
                item = parse_object(line)
            except ValueError as error:
                self.fault(path, number, str(error))
                continue
            yield number, item


class Ids:
    """Ids and their lines; a repeated id is a fault."""

    def __init__(self, path: Path, findings: Findings) -> None:
        self._path = path
        self._findings = findings
        self._lines: dict[str, int] = {}

    def add(self, identifier: str, line: int) -> None:
        """Add an id."""
        first = self._lines.setdefault(identifier, line)
        if first != line:
            message = f"has the _id {identifier!r} of line {first}"
            self._findings.fault(self._path, line, message)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)
