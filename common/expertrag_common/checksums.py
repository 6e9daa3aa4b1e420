"""Checksums of trained and fitted files, so that damage is found before a file is parsed.

The file ``SHA256SUMS`` has the format of sha256sum: ``sha256sum -c SHA256SUMS`` checks it by hand.
Folders of earlier versions have none, and are read unchecked.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from expertrag_common.durable import write_durably

NAME = "SHA256SUMS"


def seal(folder: Path, *names: str) -> None:
    """Record the checksums of files that were just written."""
    fresh = {(_hash(folder / name), name) for name in names}
    kept = {(known, name) for known, name in _read(folder) if name not in names}
    _write(folder, kept | fresh)


def forget(folder: Path, name: str) -> None:
    """Drop the checksum of a file that is about to be deleted."""
    _write(folder, {entry for entry in _read(folder) if entry[1] != name})


def replace(folder: Path, name: str, data: bytes) -> None:
    """Replace a file atomically; killed at any moment, the folder can be read."""
    fresh = (hashlib.sha256(data).hexdigest(), name)
    known = set(_read(folder))
    _write(folder, known | {fresh})  # the old file and the new one are right for a moment
    write_durably(folder / name, data)
    _write(folder, {entry for entry in known if entry[1] != name} | {fresh})


def verify(folder: Path) -> None:
    """Check all files whose checksums are recorded.

    :raises ValueError: a file differs; the message names it.
    :raises OSError: a file is missing.
    """
    wanted: dict[str, set[str]] = {}
    for known, name in _read(folder):
        wanted.setdefault(name, set()).add(known)
    for name, known_sums in wanted.items():
        if _hash(folder / name) not in known_sums:
            raise ValueError(f"{name} does not have its checksum in {NAME}")


def first_line(error: Exception) -> str:
    """Return the first line of an error that files caused, or its type if it has no text."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _read(folder: Path) -> list[tuple[str, str]]:
    path = folder / NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if any(line[64:66] != "  " for line in lines):
        raise ValueError(f"{NAME} is not a list of checksums")
    return [(line[:64], line[66:]) for line in lines]


def _write(folder: Path, entries: set[tuple[str, str]]) -> None:
    present = sorted((name, known) for known, name in entries if (folder / name).is_file())
    text = "".join(f"{known}  {name}\n" for name, known in present)
    write_durably(folder / NAME, text.encode())


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
