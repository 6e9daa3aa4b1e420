"""Chooses files of a folder by patterns in the syntax of ``.gitignore``."""

from __future__ import annotations

from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from expertrag_index.errors import PatternError


class Patterns:
    """Which files are read: those that ``include`` matches, if it is given, less ``exclude``."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """Compile the patterns.

        :raises PatternError: a pattern is invalid.
        """
        self._include = _compile("include", include)
        self._exclude = _compile("exclude", exclude)

    def enters(self, folder: str) -> bool:
        """Return whether to look into a folder, given by its path below the root."""
        return not self._exclude.match_file(f"{folder}/")

    def reads(self, file: str) -> bool:
        """Return whether to read a file, given by its path below the root."""
        included = not self._include.patterns or self._include.match_file(file)
        return included and not self._exclude.match_file(file)


def _compile(name: str, patterns: Sequence[str]) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise PatternError(f"{name}: {error}; write it as in .gitignore") from error


EVERY_FILE = Patterns()
