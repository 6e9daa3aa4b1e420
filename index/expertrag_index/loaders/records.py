"""Converts records of JSON and CSV files to documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.loaders.fields import (
    LONGEST_LIST,
    RecordText,
    is_row,
    opened,
    rank,
    text_of,
    title_of,
)
from expertrag_index.loaders.scalars import flat_metadata
from expertrag_index.metadata import scalars_of
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
    *,
    typed: Callable[[str], Scalar] = str,
    shared: Mapping[str, MetadataValue] | None = None,
) -> Document:
    """Convert a record to a document.

    ``_id`` or ``id``, ``title``, ``text``, ``domain`` and ``metadata`` map to the document's
    fields; ``loaders.fields`` chooses which other fields form its text. The metadata field
    ``text_fields`` lists them, unless it would be ``text`` alone. Short values become metadata. A
    string is a record with only a text.

    :param row: number of the record in its file; it serves as id for a record without one.
    :param typed: converts a string to a metadata value.
    :param shared: metadata of all records of the file; the record's own takes precedence.
    :raises Unreadable: the record is not an object or has no text.
    """
    if isinstance(record, str):
        record = {"text": record}
    if not isinstance(record, dict):
        raise Unreadable("it is not an object", 'write it as {"_id": …, "title": …, "text": …}')
    identifier = _identifier(record) or f"{file.id}#{row}"
    title, domain = _string(record, "title"), _string(record, "domain").strip()
    own = record.get("metadata")
    inner = own if isinstance(own, dict) else {}
    fields = opened({name: value for name, value in record.items() if value is not inner})
    given = record.get("text")
    if not isinstance(given, str | list | dict | None):
        raise Unreadable("its text is not a string", 'put the value of "text" in quotation marks')
    own_fields = _OWN[:-1] if fields.get("_id") else _OWN
    others = {name: value for name, value in fields.items() if name not in own_fields}
    if not title.strip():
        named = title_of(others, names="text" not in others)
        title = "" if named is None else " ".join(str(others[named]).split())
    text = _text(fields, others, title)
    metadata = _metadata(others, text, typed)
    if text.fields not in ((), ("text",)):
        metadata[_TEXT_FIELDS] = list(text.fields[:_MOST_FIELDS])
    return Document(
        id=identifier,
        text=given if isinstance(given, str) and text.fields == ("text",) else text.text,
        title=title.strip(),
        metadata={**(shared or {}), **flat_metadata(inner), **metadata},
        domain=domain or file.domain,
        source=file.source,
    )


def _text(fields: Mapping[str, object], others: Mapping[str, object], title: str) -> RecordText:
    if not others:
        if not title.strip():
            raise Unreadable("it has no text", 'give it a "text" field')
        return RecordText(title)
    if len(others) <= _MOST_FIELDS and not is_row(others, titled=bool(title.strip())):
        return text_of(others, as_row=False)
    row = {name: value for name, value in fields.items() if name != "_id"}
    return text_of(row, as_row=True)


def _string(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(
            f"its {name} is not a string", f'put the value of "{name}" in quotation marks'
        )
    return value


def _identifier(fields: Mapping[str, object]) -> str:
    for name in ("_id", "id"):
        value = fields.get(name)
        if isinstance(value, str | int | float) and str(value).strip():
            return str(value)
        if value is not None and value != "":
            raise Unreadable(f"its {name} is neither a string nor a number", "give it a plain id")
    return ""


def _metadata(
    fields: Mapping[str, object], text: RecordText, typed: Callable[[str], Scalar]
) -> dict[str, MetadataValue]:
    """Keep the fields that are useful for filters: short ones, and those not in the text."""
    metadata: dict[str, MetadataValue] = {}
    in_text = frozenset(text.fields)
    for field, value in fields.items():
        is_long = isinstance(value, list) and len(value) > LONGEST_LIST
        if is_long or rank(field, value) is not None:
            continue
        for name, found in flat_metadata({field: value}).items():
            if field in in_text and not _is_short(name, found):
                continue
            metadata[name] = typed(found) if isinstance(found, str) else found
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
