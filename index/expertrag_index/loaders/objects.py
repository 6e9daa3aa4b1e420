"""JSON files (an object or a list of objects) and JSON lines, compressed or not."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

from expertrag_index.loaders.base import Report, SourceFile, Unreadable, too_large
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.lines import bounded_lines
from expertrag_index.loaders.records import record_document
from expertrag_index.types import Document


def read_whole(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a JSON file: a document for its object, or for each object of its list."""
    content = _parse(decode(_unpacked(file)))
    if not isinstance(content, list):
        document = record_document(file, content, 1)
        yield document if document.id != f"{file.id}#1" else replace(document, id=file.id)
        return
    for row, record in enumerate(content, 1):
        try:
            yield record_document(file, record, row)
        except Unreadable as error:
            report(f"record {row}: {error.reason}", error.cure)


def read_lines(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read JSON lines as a stream, a document a line; a broken line is reported and left out."""
    for number, line in bounded_lines(file):
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
    if file.path.suffix.lower() != ".gz":
        return data
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(data, file.max_bytes + 1)
    except zlib.error:
        unpacked = b""
    if len(unpacked) > file.max_bytes:
        raise too_large("the unpacked file", file.max_bytes)
    if not unpacker.eof:
        raise Unreadable("the gzip file is damaged or cut off", "get it again")
    return unpacked


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"broken JSON: {error.msg} ({place})", "correct or remove it") from None
    except RecursionError:
        raise Unreadable("the JSON is nested too deep", "flatten it") from None
    except ValueError:
        raise Unreadable("a number has too many digits", "write it as a string") from None


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is not JSON", "write null, or leave the field out")
