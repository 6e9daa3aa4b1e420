"""Reads JSON files (an object, a list, or an object around a list) and JSON lines, also gzipped."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import starmap
from typing import NoReturn, TypeGuard

from expertrag_index.loaders.base import Report, SourceFile, Unreadable, too_large
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.fields import TITLES, opened, rank
from expertrag_index.loaders.lines import bounded_lines
from expertrag_index.loaders.records import record_document
from expertrag_index.loaders.scalars import flat_metadata
from expertrag_index.types import Document, MetadataValue

_OF_A_WRAPPER = ("$schema", "schema", "version", "language", "lang")


def read_whole(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a JSON file: one document for its object, or one for each object of its list.

    The list may be inside an object that is not itself a document.
    """
    content = _parse(decode(_unpacked(file), report=report))
    if isinstance(content, dict):
        records, shared = _collection(content)
    else:
        records, shared = (content if isinstance(content, list) else None), {}
    if records is None:
        document = record_document(file, content, 1)
        yield document if document.id != f"{file.id}#1" else replace(document, id=file.id)
        return
    for row, record in enumerate(records, 1):
        try:
            yield record_document(file, record, row, shared=shared)
        except Unreadable as error:
            report(f"record {row}: {error.reason}", error.cure)


def _collection(content: dict[str, object]) -> tuple[list[object] | None, dict[str, MetadataValue]]:
    """Unwrap an object that only contains records, ``{"version": 2, "entries": [{…}, …]}``.

    :return: its records, and its other fields, which become metadata of each record; None and an
        empty dict if the object has text of its own, which makes it a document.
    """
    fields = opened(content)
    lists: dict[str, list[object]] = {
        name: value for name, value in fields.items() if _are_objects(value)
    }
    if len(lists) != 1:
        return None, {}
    (name, records), *_ = lists.items()
    del fields[name]
    is_own = name in TITLES or rank(name, records) is not None
    if is_own or any(starmap(_says_something, fields.items())):
        return None, {}
    return records, flat_metadata(fields)


def _are_objects(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _says_something(name: str, value: object) -> bool:
    if isinstance(value, str):
        return name not in _OF_A_WRAPPER and any(map(str.isalpha, value))
    return isinstance(value, list)


def read_lines(file: SourceFile, report: Report) -> Iterator[Document]:
    """Stream JSON lines, one document per line; a broken line is reported and skipped."""
    for number, line in bounded_lines(file, report):
        try:
            if line is None:
                raise too_large("the record", file.max_bytes)
            text = decode(line).strip()
            if text:
                yield record_document(file, _parse(text), number)
        except Unreadable as error:
            report(f"line {number}: {error.reason}", error.cure)


def _unpacked(file: SourceFile) -> bytes:
    data = file.read_bytes()
    if not file.is_packed:
        return data
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(data, file.max_bytes + 1)
    except zlib.error:
        unpacked = b""
    if len(unpacked) > file.max_bytes:
        raise too_large("the unpacked file", file.max_bytes)
    if not unpacker.eof:
        raise Unreadable("the gzip file is damaged or truncated", "download or create it again")
    return unpacked


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"broken JSON: {error.msg} ({place})", "correct or remove it") from None
    except RecursionError:
        raise Unreadable("the JSON is nested too deeply", "flatten it") from None
    except ValueError:
        raise Unreadable("a number has too many digits", "write it as a string") from None


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is not valid JSON", "write null, or omit the field")
