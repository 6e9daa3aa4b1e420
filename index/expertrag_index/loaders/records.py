"""Records of JSON and CSV files as documents."""

from __future__ import annotations

from collections.abc import Mapping

from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.loaders.scalars import scalar
from expertrag_index.types import Document, Scalar

OWN_FIELDS = ("_id", "id", "title", "text", "domain", "metadata")


def record_document(file: SourceFile, fields: object, row: int) -> Document:
    """Make a document of a record.

    Fields ``_id`` or ``id``, ``title``, ``text`` and ``domain`` are the document's own; other
    scalar fields, and those of an object called ``metadata``, are its metadata.

    :param row: number of the record in its file, the id of a record without one.
    :raises Unreadable: the record is no object or has no text.
    """
    if not isinstance(fields, dict):
        raise Unreadable("it is no object", 'write it as {"_id": …, "title": …, "text": …}')
    title = _string(fields, "title")
    text = _string(fields, "text") or title
    if not text.strip():
        raise Unreadable("it has no text", 'give it a "text" field')
    inner = fields.get("metadata")
    metadata = _metadata(inner) if isinstance(inner, dict) else {}
    return Document(
        id=_identifier(fields) or f"{file.id}#{row}",
        text=text,
        title=title.strip(),
        metadata=metadata | _metadata(fields, leave_out=OWN_FIELDS),
        domain=_string(fields, "domain").strip() or file.domain,
        source=file.source,
    )


def _string(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(f"its {name} is no string", f'write "{name}" in quotation marks')
    return value


def _identifier(fields: Mapping[str, object]) -> str:
    for name in ("_id", "id"):
        value = fields.get(name)
        if isinstance(value, str | int | float) and str(value).strip():
            return str(value)
        if value is not None and value != "":
            raise Unreadable(f"its {name} is neither string nor number", "give it a plain id")
    return ""


def _metadata(fields: Mapping[str, object], leave_out: tuple[str, ...] = ()) -> dict[str, Scalar]:
    values = {name: scalar(value, name) for name, value in fields.items() if name not in leave_out}
    return {name: value for name, value in values.items() if value is not None}
