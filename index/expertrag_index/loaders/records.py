"""Converts records of JSON and CSV files to documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from expertrag_index.loaders.base import Report, SourceFile, Unreadable
from expertrag_index.loaders.fields import (
    LONGEST_LIST,
    RecordText,
    flatten_record,
    is_row,
    rank,
    text_of,
    title_of,
)
from expertrag_index.loaders.scalars import metadata_within_limits
from expertrag_index.store.metadata import scalars_of
from expertrag_index.types import Document, MetadataValue, Scalar

_OWN = ("title", "domain", "_id", "id")
_TEXT_FIELDS = "text_fields"
_MOST_FIELDS = 100
"""A record with more fields is text as a whole; its first fields are also metadata."""
_LONGEST_CHARS = 200
"""Longest string that is in both text and metadata."""


def record_document(
    file: SourceFile,
    record: object,
    row: int,
    report: Report,
    *,
    typed: Callable[[str], Scalar] = str,
    shared: Mapping[str, MetadataValue] | None = None,
) -> Document:
    """Convert a record to a document.

    ``_id`` or ``id``, ``title``, ``text``, ``domain`` and ``metadata`` map to the document's
    fields; ``loaders.fields`` writes the others. The metadata field ``text_fields`` lists those
    that form its text, unless it would be ``text`` alone. Short values become metadata. A value
    that is not an object is a record with only a text.

    :param row: number of the record in its file; it serves as id for a record without one.
    :param report: told what cannot be metadata.
    :param typed: converts a string to a metadata value.
    :param shared: metadata of all records of the file; the record's own takes precedence.
    :raises Unreadable: the record has no text.
    """
    if not isinstance(record, dict):
        record = {"text": record}
    own = record.get("metadata")
    inner = own if isinstance(own, dict) else {}
    fields = flatten_record({name: value for name, value in record.items() if value is not inner})
    named = {name: plain for name in _OWN if (plain := _plain(fields.get(name)))}
    identifier = next((str(fields[name]) for name in _OWN[2:] if name in named), f"{file.id}#{row}")
    if "_id" in named:
        named.pop("id", None)
    others = {name: value for name, value in fields.items() if name not in named}
    title = named.get("title", "")
    if not title and (chosen := title_of(others, names="text" not in others)):
        title = " ".join(str(others[chosen]).split())
    text = _text(fields, others, title)
    metadata = _metadata(others, text, typed, report)
    if text.fields not in ((), ("text",)):
        metadata[_TEXT_FIELDS] = list(text.fields[:_MOST_FIELDS])
    given = record.get("text")
    whole = given if isinstance(given, str) and text.fields == ("text",) else text.text
    return Document(
        id=identifier,
        text=f"{whole}\n\n{text.beside}" if text.beside else whole,
        title=title,
        metadata={**(shared or {}), **metadata_within_limits(inner, report), **metadata},
        domain=named.get("domain") or file.domain,
        source=file.source,
    )


def _plain(value: object) -> str:
    """Return a scalar as a string; empty for any other value."""
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _text(fields: Mapping[str, object], others: Mapping[str, object], title: str) -> RecordText:
    if not others:
        if not title:
            raise Unreadable("it has no text", 'give it a "text" field')
        return RecordText(title)
    if len(others) <= _MOST_FIELDS and not is_row(others, titled=bool(title)):
        return text_of(
            {name: value for name, value in others.items() if not _repeats(name, value, title)},
            as_row=False,
        )
    row = {name: value for name, value in fields.items() if name != "_id"}
    return text_of(row, as_row=True)


def _repeats(name: str, value: object, title: str) -> bool:
    """Whether a field that is not text says the title again."""
    return isinstance(value, str) and rank(name, value) is None and value.split() == title.split()


def _metadata(
    fields: Mapping[str, object], text: RecordText, typed: Callable[[str], Scalar], report: Report
) -> dict[str, MetadataValue]:
    """Keep the fields that are useful for filters: short ones, and those not in the text."""
    metadata: dict[str, MetadataValue] = {}
    in_text = frozenset(text.fields)
    for field, value in fields.items():
        is_long = isinstance(value, list) and len(value) > LONGEST_LIST
        if is_long or rank(field, value) is not None:
            continue
        for name, limited in metadata_within_limits({field: value}, report).items():
            if field not in in_text or _is_short(name, limited):
                metadata[name] = typed(limited) if isinstance(limited, str) else limited
        if len(metadata) >= _MOST_FIELDS:
            break
    return metadata


def _is_short(name: str, value: MetadataValue) -> bool:
    scalars = scalars_of(value)
    longest = max(len(scalar) if isinstance(scalar, str) else 0 for scalar in scalars)
    return (
        len(scalars) <= LONGEST_LIST
        and longest <= _LONGEST_CHARS
        and rank(name.rpartition(".")[2], scalars[0] if len(scalars) == 1 else "") is None
    )
