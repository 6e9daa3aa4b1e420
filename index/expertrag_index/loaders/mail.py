"""Reads e-mails: the message is a document, and so is each attachment of a type that is read."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path

from expertrag_index.loaders.base import Report, SourceFile, Unreadable, note_hidden, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.html import page_of
from expertrag_index.loaders.mail_heads import date_of, head_of
from expertrag_index.loaders.mail_parts import (
    PartText,
    attachments_of,
    content_of,
    mail_in,
    name_of,
    parse_mail,
    texts_of,
)
from expertrag_index.loaders.mail_texts import (
    calendar,
    fence_file,
    fields,
    join_flowed,
    read_enriched,
)
from expertrag_index.loaders.registry import reader_of, suffix_of
from expertrag_index.types import Document, MetadataValue

_SHOWN = ("from", "to", "cc", "bcc", "date", "subject")
_EXPECTED = ("from", "to", "date", "subject", "message-id", "received", "content-type")
_SEALED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
_DEEPEST = 16
"""Levels of e-mails in e-mails."""


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read an e-mail; its subject is the title, and who wrote it to whom begins its text."""
    message = parse_mail(file.read_bytes())
    if not any(head_of(message, name) for name in _EXPECTED):
        raise Unreadable("not a readable e-mail: it has no heads", "export it again as .eml")
    yield from documents_of(file, message, report)


def documents_of(file: SourceFile, message: Message, report: Report) -> Iterator[Document]:
    """Yield the documents of an e-mail and of what is attached to it.

    :raises Unreadable: there is no text.
    """
    attachments = attachments_of(message)
    if message.get_content_type() in _SEALED:
        report("its text is encrypted", "decrypt it, and export it again", notice=True)
    parts = texts_of(message, _read_part)
    for reason, cure, is_notice in (note for part in parts for note in part.notes):
        report(reason, cure, notice=is_notice)
    note_hidden(report, sum((part.hidden for part in parts), Counter()))
    heads = {name: head for name in _SHOWN if (head := head_of(message, name))}
    shown = [f"{name.capitalize()}: {head}" for name, head in heads.items()]
    shown += [f"Attachments: {', '.join(attachments)}"] if attachments else []
    text = require_text(
        "\n\n".join(filter(None, ("\n".join(shown), *(part.text for part in parts))))
    )
    title = heads.pop("subject", "")
    metadata: dict[str, MetadataValue] = {**heads}
    if "date" in heads:
        metadata["date"] = date_of(message)
    if attachments:
        metadata["attachments"] = list(attachments)
    yield document(file, FrontMatter(title, None, metadata), "", text)
    for name, part in attachments.items():
        for each in _read_attachment(file, name, part, report):
            yield replace(each, metadata={**each.metadata, "attached_to": file.id})


def _read_part(part: Message, number: str) -> PartText:
    """Read a part of the text; of one that cannot be read, the notes tell why."""
    kind = part.get_content_type()
    hidden: Counter[str] = Counter()
    notes: list[tuple[str, str, bool]] = []

    def note(reason: str, cure: str, *, notice: bool = False) -> None:
        notes.append((f"part {number} ({kind}): {reason}", cure, notice))

    text = ""
    try:
        text = _as_text(part, kind, hidden, note).strip()
    except Unreadable as error:
        note(error.reason, error.cure)
    except Exception as error:  # hostile parts make the parsers raise anything
        note(f"cannot be read ({type(error).__name__} in its parser)", "export the e-mail again")
    return PartText(text, hidden, tuple(notes))


def _as_text(part: Message, kind: str, hidden: Counter[str], report: Report) -> str:
    if part.get_content_maintype() == "message":
        return fields(part)
    data, charset = content_of(part), part.get_content_charset()
    if not data.strip():
        return ""
    if kind.endswith("html"):
        return page_of(data, hidden, charset, report)[1]
    text = decode(data, charset, report)
    if kind == "text/calendar":
        return calendar(text)
    if kind in ("text/enriched", "text/richtext"):
        return read_enriched(text)
    if name := name_of(part):
        return fence_file(name, text.strip("\n"))
    if str(part.get_param("format", "")).lower() == "flowed":
        return join_flowed(text, delete_space=str(part.get_param("delsp", "")).lower() == "yes")
    return text


def _read_attachment(
    file: SourceFile, name: str, part: Message, report: Report
) -> Iterator[Document]:
    """Read an attachment as a file of its own; one of an unknown type is only named."""

    def note(reason: str, cure: str, *, notice: bool = False) -> None:
        report(f"attachment {name!r}: {reason}", cure, notice=notice)

    reader = reader_of(suffix_of(name))
    if reader is None:
        return
    if file.id.lower().count(".eml/") >= _DEEPEST:
        note(f"e-mails are attached to each other over {_DEEPEST} levels", "save it as a file")
        return
    own = replace(file, id=f"{file.id}/{name}", type_name=name)
    try:
        if (inner := mail_in(part)) is not None:
            yield from documents_of(own, inner, note)
            return
        with tempfile.TemporaryFile() as kept:  # without a name: nothing remains after a crash
            kept.write(content_of(part))
            kept.seek(0)
            yield from reader(replace(own, path=Path(f"/dev/fd/{kept.fileno()}")), note)
    except Unreadable as error:
        note(error.reason, error.cure)
    except Exception as error:  # hostile files make the parsers raise anything
        note(f"cannot be read ({type(error).__name__} in its parser)", "save it as a file")
