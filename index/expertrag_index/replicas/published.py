"""What a URL says of a generation: ``CURRENT``, and the file that it names.

Both come from elsewhere: names that are not hashes are refused, so that no path is ever taken from
them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from expertrag_common.extras import install_command
from expertrag_index.errors import (
    RemoteDamagedError,
    StoreCorruptError,
    StoreFormatError,
    StoreNotFoundError,
)
from expertrag_index.replicas.remote import Remote
from expertrag_index.store.layout import generation_name, parse_generation
from expertrag_index.store.manifest import FileEntry, Manifest, dumps, loads

CURRENT = "CURRENT"
_FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OBJECT = re.compile(r"generations/(gen-\d+)-[0-9a-f]{64}\.json")
_SUFFIXES = {".faiss", ".rows", ".postings"}
_BLOCK_BYTES = range(1 << 12, (1 << 24) + 1)
_MOST_LINE_BYTES = 1 << 10
_MOST_GENERATION_BYTES = 1 << 28
"""Names the blocks of a database of a terabyte."""
_ATTEMPTS = 5  # a writer may drop a generation while it is being read


@dataclass(frozen=True, slots=True)
class DatabaseBlocks:
    """The database of a generation: its size, and the sha256 of each block of ``block_bytes``."""

    bytes: int
    block_bytes: int
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublishedGeneration:
    """A generation at a URL. ``line`` is what CURRENT holds of it."""

    manifest: Manifest
    database: DatabaseBlocks
    line: str = ""

    @property
    def generation(self) -> int:
        """Its number."""
        return self.manifest.generation

    @property
    def objects(self) -> frozenset[str]:
        """Names of the objects that it needs."""
        files = (file_object(entry) for entry in self.manifest.files)
        return frozenset((*files, *map(block_object, self.database.blocks)))


def file_object(entry: FileEntry) -> str:
    """Return the name of the object with a file of ``segments/``."""
    return f"files/{entry.sha256}"


def block_object(digest: str) -> str:
    """Return the name of the object with a block."""
    return f"blocks/{digest}"


def generation_object(number: int, data: bytes) -> str:
    """Return the name of the object that describes a generation.

    Two processes that push at the same time do not overwrite the file of the other.
    """
    return _generation_object(number, hashlib.sha256(data).hexdigest())


def generations_at(remote: Remote) -> dict[int, list[str]]:
    """Return the names of the objects that describe generations, by number."""
    objects: dict[int, list[str]] = {}
    for name in remote.listing("generations"):
        if (match := _OBJECT.fullmatch(name)) and (number := parse_generation(match[1])):
            objects.setdefault(number, []).append(name)
    return objects


def read_generation(remote: Remote, name: str) -> PublishedGeneration:
    """Read a generation by the name of its object.

    :raises RemoteDamagedError: it is damaged or missing.
    :raises StoreFormatError: it was pushed by another version.
    """
    data, match = remote.read(name, _MOST_GENERATION_BYTES), _OBJECT.fullmatch(name)
    number = parse_generation(match[1]) if match else None
    if data is None or number is None or generation_object(number, data) != name:
        raise make_damage_error(remote, name, missing=data is None)
    return _parse(data, number, remote)


def serialise(published: PublishedGeneration) -> bytes:
    """Return the content of a generation's file."""
    body = {
        "format": _FORMAT,
        "manifest": dumps(published.manifest).decode(),
        "files": [asdict(entry) for entry in published.manifest.files],
        "database": asdict(published.database),
    }
    return (json.dumps(body, indent=1) + "\n").encode()


def current_line(number: int, data: bytes) -> str:
    """Return the line of CURRENT for a generation and the content of its file."""
    return f"{generation_name(number)} {hashlib.sha256(data).hexdigest()}\n"


def read_line(remote: Remote) -> str:
    """Return the line of CURRENT; empty if nothing has been pushed."""
    line = remote.read(CURRENT, _MOST_LINE_BYTES)
    return "" if line is None else line.decode("ascii", "replace")


def need_line(remote: Remote) -> str:
    """Return the line of CURRENT.

    :raises StoreNotFoundError: nothing has been pushed.
    """
    line = read_line(remote)
    if not line:
        raise StoreNotFoundError(
            f"no generations at {remote.address}: publish one with "
            f"'expertrag index push STORE {remote.address}'"
        )
    return line


def read_published(remote: Remote) -> PublishedGeneration:
    """Read the generation that CURRENT names.

    :raises StoreNotFoundError: nothing has been pushed.
    :raises RemoteDamagedError: what is there is damaged.
    :raises StoreFormatError: it was pushed by another version.
    """
    line = need_line(remote)
    for _ in range(_ATTEMPTS):
        number, digest = parse_line(remote, line)
        try:
            return replace(read_generation(remote, _generation_object(number, digest)), line=line)
        except RemoteDamagedError:
            before, line = line, need_line(remote)
            if line == before:
                raise
    raise make_damage_error(remote, CURRENT)


def parse_line(remote: Remote, line: str) -> tuple[int, str]:
    """Return the number of a generation and the sha256 of its file.

    :raises RemoteDamagedError: it is not a line of CURRENT.
    """
    name, _, digest = line.rstrip("\n").partition(" ")
    number = parse_generation(name)
    if number is None or not _SHA256.fullmatch(digest):
        raise make_damage_error(remote, CURRENT)
    return number, digest


def _parse(data: bytes, number: int, remote: Remote) -> PublishedGeneration:
    name = generation_object(number, data)
    try:
        body = json.loads(data)
        if body["format"] != _FORMAT:
            raise StoreFormatError(
                f"{remote.address}/{name} has format {body['format']!r:.20}, this version reads "
                f"{_FORMAT}: upgrade with {install_command('server', option='-U')}"
            )
        manifest = loads(body["manifest"].encode(), f"the manifest in {remote.address}/{name}")
        database = _database(body["database"])
        described = [asdict(entry) for entry in manifest.files] == body["files"]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, StoreCorruptError):
        raise make_damage_error(remote, name) from None
    named = all(map(_is_named_by_hash, manifest.files))
    if not (described and named and manifest.generation == number):
        raise make_damage_error(remote, name)
    return PublishedGeneration(manifest, database)


def make_damage_error(remote: Remote, name: str, missing: bool = False) -> RemoteDamagedError:
    """Return the error for an object that is damaged or missing."""
    return RemoteDamagedError(
        f"{remote.address}/{name} is {'missing' if missing else 'damaged'}: upload it again with "
        f"'expertrag index push STORE {remote.address} --again'"
    )


def _generation_object(number: int, digest: str) -> str:
    return f"generations/{generation_name(number)}-{digest}.json"


def _database(body: Mapping[str, Any]) -> DatabaseBlocks:
    size, block_bytes, blocks = body["bytes"], body["block_bytes"], tuple(body["blocks"])
    if not (
        isinstance(size, int)
        and isinstance(block_bytes, int)
        and block_bytes in _BLOCK_BYTES
        and size > 0
        and len(blocks) == -(-size // block_bytes)
        and all(_SHA256.fullmatch(digest) for digest in blocks)
    ):
        raise ValueError("is not a list of blocks")
    return DatabaseBlocks(size, block_bytes, blocks)


def _is_named_by_hash(entry: FileEntry) -> bool:
    stem, dot, suffix = entry.file.partition(".")
    return (
        bool(_SHA256.fullmatch(entry.sha256))
        and stem == entry.sha256[:16]
        and dot + suffix in _SUFFIXES
    )
