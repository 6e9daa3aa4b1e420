"""The files of a store.

    STORE/
    ├── store.db                       SQLite (WAL), the source of truth: documents, vectors
    ├── segments/                      derived, immutable
    │   ├── <sha256[:16]>.faiss        vector index over chunks of one expert
    │   ├── <sha256[:16]>.rows         the same vectors by row
    │   └── <sha256[:16]>.postings     which chunks contain which words
    ├── generations/
    │   ├── gen-000006/manifest.json   the previous generation, kept for fallback
    │   └── gen-000007/manifest.json   names every file with size and sha256
    ├── CURRENT                        one line: generation and checksum; swapped atomically
    ├── sources.db                     which source documents came from (see sources/ledger.py)
    └── LOCK                           flock of the one writer

A generation is published by renaming its folder into place and then replacing CURRENT. Everything
that CURRENT does not reach is left over from a crash and dropped by the next writer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_GENERATION = re.compile(r"gen-(\d{6,})")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths inside one store."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.root / "store.db"

    @property
    def segments(self) -> Path:
        """Folder of the derived files."""
        return self.root / "segments"

    @property
    def generations(self) -> Path:
        """Folder of the manifests."""
        return self.root / "generations"

    @property
    def current(self) -> Path:
        """The file that names the published generation."""
        return self.root / "CURRENT"

    @property
    def lock(self) -> Path:
        """The writer's lock file."""
        return self.root / "LOCK"

    @property
    def ledger(self) -> Path:
        """The record of where documents came from; losing it costs only work."""
        return self.root / "sources.db"

    def generation(self, number: int) -> Path:
        """Folder of generation ``number``."""
        return self.generations / generation_name(number)

    def manifest(self, number: int) -> Path:
        """Manifest of generation ``number``."""
        return self.generation(number) / "manifest.json"

    def generation_numbers(self) -> list[int]:
        """Numbers of the generations on disk, newest first."""
        if not self.generations.is_dir():
            return []
        names = (parse_generation(entry.name) for entry in self.generations.iterdir())
        return sorted((number for number in names if number is not None), reverse=True)

    @property
    def cure(self) -> str:
        """The command that repairs this store, for error messages."""
        return f"run 'expertrag index repair {self.root}'"


def generation_name(number: int) -> str:
    """Folder name of a generation, ``gen-000007``."""
    return f"gen-{number:06d}"


def parse_generation(name: str) -> int | None:
    """Read the number in a generation's folder name; None for any other name."""
    match = _GENERATION.fullmatch(name)
    return int(match[1]) if match else None
