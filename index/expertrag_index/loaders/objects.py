"""Reads JSON files (an object, a list, or an object around a list) and JSON lines, also gzipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice, starmap
from typing import TypeGuard

from expertrag_index.loaders.base import Report, SourceFile, Unreadable
from expertrag_index.loaders.chat_exports import HEAD, chats_in, read_chats, read_records
from expertrag_index.loaders.chat_records import is_chat
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.fields import TITLES, flatten_record, rank
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.lines import decode_lines
from expertrag_index.loaders.records import record_document
from expertrag_index.loaders.scalars import metadata_within_limits
from expertrag_index.loaders.verbatim import fence_code
from expertrag_index.types import Document, MetadataValue

_OF_A_WRAPPER = ("$schema", "schema", "version", "language", "lang")


def read_whole(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a JSON file: one document for its object, or one for each object of its list.

    The list may be inside an object that is not itself a document. A whole file that is not JSON,
    such as one with comments, is read as it is. One that was cut off is refused, so that a store
    keeps the records that it had.
    """
    text = decode(file.read_bytes(), report=report)
    try:
        content = _parse(text)
    except Unreadable as error:
        content = _each_line(text)
        if content is None:
            if not _is_whole(text):
                raise
            report(f"{error.reason}; it is read as text", error.cure, notice=True)
            yield document(file, FrontMatter(), "", fence_code(text.strip("\n"), "json"))
            return
    if chats := chats_in(content):
        yield from read_chats(file, chats, report)
        return
    shared: dict[str, MetadataValue] = {}
    records: object = content
    if isinstance(content, dict):
        records, shared = _collection(content, report)
    if not isinstance(records, list) or not any(isinstance(x, dict | str | list) for x in records):
        whole = record_document(file, content, 1, report)
        yield whole if whole.id != f"{file.id}#1" else replace(whole, id=file.id)
        return
    for row, record in enumerate(records, 1):
        try:
            yield record_document(file, record, row, report, shared=shared)
        except Unreadable as error:
            report(f"record {row}: {error.reason}", error.cure)


def _collection(
    content: dict[str, object], report: Report
) -> tuple[list[object] | None, dict[str, MetadataValue]]:
    """Unwrap an object that only contains records, ``{"version": 2, "entries": [{…}, …]}``.

    :return: its records, and its other fields, which become metadata of each record; None and an
        empty dict if the object has text of its own, which makes it a document.
    """
    fields = flatten_record(content)
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
    return records, metadata_within_limits(fields, report)


def _are_objects(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _says_something(name: str, value: object) -> bool:
    if isinstance(value, str):
        return name not in _OF_A_WRAPPER and any(map(str.isalpha, value))
    return isinstance(value, list)


def read_lines(file: SourceFile, report: Report) -> Iterator[Document]:
    """Stream JSON lines, one document per line; a broken line is reported and skipped.

    Messages of a chat are one document.
    """
    records = _records(file, report)
    head = list(islice(records, HEAD))
    if is_chat([record for _, record in head]):
        yield from read_records(file, chain(head, records), FrontMatter(), report)
        return
    for number, record in chain(head, records):
        try:
            yield record_document(file, record, number, report)
        except Unreadable as error:
            report(f"line {number}: {error.reason}", error.cure)


def _records(file: SourceFile, report: Report) -> Iterator[tuple[int, object]]:
    for number, line in decode_lines(file, report):
        text = line.strip()
        try:
            if text:
                yield number, _parse(text)
        except Unreadable as error:
            report(f"line {number}: {error.reason}", error.cure)


def _is_whole(text: str) -> bool:
    """Whether a text ends as it begins, with the bracket of an object or a list, around words."""
    text = text.strip()
    return text[:1] + text[-1:] in ("{}", "[]") and any(map(str.isalnum, text))


def _each_line(text: str) -> list[object] | None:
    """Return the records of JSON lines in a file that is named ``.json``; None if it is not so."""
    try:
        return [_parse(line) for line in text.split("\n") if line.strip()]
    except Unreadable:
        return None


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"broken JSON: {error.msg} ({position})", "correct or remove it") from None
    except RecursionError:
        raise Unreadable("the JSON is nested too deeply", "flatten it") from None
    except ValueError:  # Python converts up to 4,300 digits
        return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < 1_000 else digits
