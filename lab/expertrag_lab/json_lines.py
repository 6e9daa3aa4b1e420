"""Read the files of data sets and rows, plain or gzipped; errors name file and line."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.runtime.json_lines import parse_object


def find_file(path: Path) -> Path:
    """Return ``path`` or ``path`` with ``.gz``, whichever exists.

    :raises NotFound: neither exists.
    """
    for candidate in (path, path.with_name(f"{path.name}.gz")):
        if candidate.is_file():
            return candidate
    raise NotFound(f"no file {path} or {path.name}.gz; check the path", reason="FILE_NOT_FOUND")


def read_bytes(path: Path) -> bytes:
    """Read a whole file, unpacked if its name ends in ``.gz``.

    :raises InvalidArgument: the gzip file is damaged.
    """
    data = path.read_bytes()
    if path.suffix != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidArgument(f"{path} is a damaged gzip file ({error}); fetch it again") from None


def read_lines(path: Path) -> tuple[list[tuple[int, Mapping[str, Any]]], str]:
    """Read the objects of a JSON-lines file with their line numbers, and the sha256 of its text.

    :raises InvalidArgument: a line is not a JSON object.
    """
    data = read_bytes(path)
    return list(_objects(path, data)), hashlib.sha256(data).hexdigest()


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can encode ``text``; JSON escapes can make strings that it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_string_list(value: object) -> bool:
    """Whether a value is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def write_lines(path: Path, items: Iterable[Mapping[str, object]]) -> None:
    """Write objects as a JSON-lines file."""
    lines = "".join(f"{json.dumps(item, ensure_ascii=False)}\n" for item in items)
    path.write_text(lines, encoding="utf-8")


def _objects(path: Path, data: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield number, parse_object(line)
        except ValueError as error:
            raise InvalidArgument(f"{path} line {number} {error}; fix it") from None
