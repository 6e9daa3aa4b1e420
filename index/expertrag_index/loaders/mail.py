"""Reads e-mails: the message is a document, and so is each attachment of a type that is read."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from pathlib import Path, PurePosixPath
from typing import cast

from expertrag_index.loaders.base import Report, SourceFile, Unreadable, note_hidden, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.html import page_of
from expertrag_index.loaders.registry import reader_of, suffix_of
from expertrag_index.types import Document, MetadataValue

_SHOWN = ("from", "to", "cc", "date")
_EXPECTED = ("from", "to", "date", "subject", "message-id", "received", "content-type")
_DEEPEST = 3
"""Levels of e-mails that are attached to e-mails."""
_DEEPEST_PART = 32
_MOST_ATTACHMENTS = 1_000


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read an e-mail; its subject is the title, and who wrote it to whom begins its text."""
    message = message_from_bytes(file.read_bytes(), policy=default)
    if not any(_head(message, name) for name in _EXPECTED):
        raise Unreadable("not a readable e-mail: it has no heads", "export it again as .eml")
    leaves = list(_leaves(message))
    attachments = _named([part for part, _ in leaves if part.get_filename()])
    hidden: Counter[str] = Counter()
    try:
        body = _body(message, leaves, partial(_text, hidden=hidden, report=report))
    except Unreadable as error:  # the attachments may be readable
        report(f"the text of the e-mail: {error.reason}", error.cure)
        body = ""
    note_hidden(report, hidden)
    heads = {name: head for name in _SHOWN if (head := _head(message, name))}
    shown = [f"{name.capitalize()}: {head}" for name, head in heads.items()]
    shown += [f"Attachments: {', '.join(attachments)}"] if attachments else []
    text = require_text("\n\n".join(filter(None, ("\n".join(shown), body))))
    metadata = _metadata(message, heads, list(attachments))
    yield document(file, FrontMatter(_head(message, "subject"), None, metadata), "", text)
    for name, part in attachments.items():
        yield from _attached(file, name, part, report)


def _head(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message[name] or "").split())
    except Exception:  # the parser of heads raises many things for a damaged one
        return ""


def _metadata(
    message: EmailMessage, heads: dict[str, str], attachments: list[str]
) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {
        name: head for name, head in heads.items() if name != "date"
    }
    try:
        metadata["date"] = message["date"].datetime.isoformat()
    except Exception:  # missing or damaged, see above
        metadata.update({"date": heads["date"]} if "date" in heads else {})
    if attachments:
        metadata["attachments"] = attachments
    return metadata


def _leaves(
    part: EmailMessage, among: bool = False, depth: int = 0
) -> Iterator[tuple[EmailMessage, bool]]:
    """Yield the parts that hold content, and whether each is one of several forms of the same."""
    if part.get_content_maintype() != "multipart":
        yield part, among
    elif depth < _DEEPEST_PART and part.is_multipart():
        forms = among or part.get_content_subtype() == "alternative"
        for inner in part.get_payload():
            yield from _leaves(cast(EmailMessage, inner), forms, depth + 1)


def _body(
    message: EmailMessage,
    leaves: Sequence[tuple[EmailMessage, bool]],
    text_of: Callable[[EmailMessage], str],
) -> str:
    """Return the text: the plain form, else that of the page, and plain texts that follow it."""
    first: EmailMessage | None = None
    texts: list[str] = []
    for form in ("plain", "html"):
        first = cast(EmailMessage | None, message.get_body(preferencelist=(form,)))
        text = text_of(first) if first is not None and not first.get_filename() else ""
        if text:
            texts.append(text)
            break
    for part, is_form in leaves:
        plain = part.get_content_type() == "text/plain" and not part.get_filename()
        if plain and not is_form and part is not first:
            texts.append(text_of(part))
    return "\n\n".join(filter(None, texts))


def _text(part: EmailMessage, hidden: Counter[str], report: Report) -> str:
    data = _content(part)
    charset = str(part.get_content_charset() or "") or None
    for declared in (charset, None):  # programs declare wrongly
        try:
            if part.get_content_subtype() == "html":
                return page_of(data, hidden, declared, report)[1].strip()
            return decode(data, declared, report).strip()
        except Unreadable:
            if declared is None:
                raise
    return ""


def _content(part: EmailMessage) -> bytes:
    if part.get_content_maintype() == "message":
        return b"".join(cast(EmailMessage, inner).as_bytes() for inner in part.get_payload())
    return cast(bytes, part.get_payload(decode=True) or b"")


def _named(parts: Sequence[EmailMessage]) -> dict[str, EmailMessage]:
    """Give each attachment a name of its own, without folders."""
    if len(parts) > _MOST_ATTACHMENTS:
        raise Unreadable(f"it has over {_MOST_ATTACHMENTS:,} attachments", "save them as files")
    found: dict[str, EmailMessage] = {}
    for part in parts:
        given = PurePosixPath(str(part.get_filename()).replace("\\", "/").replace("\0", ""))
        name = " ".join(given.name.split()) or "attachment"
        number = 1
        while name in found:
            number += 1
            name = f"{given.stem} ({number}){given.suffix}"
        found[name] = part
    return found


def _attached(
    file: SourceFile, name: str, part: EmailMessage, report: Report
) -> Iterator[Document]:
    """Read an attachment as a file of its own; one of an unknown type is only named."""

    def noted(reason: str, cure: str, *, notice: bool = False) -> None:
        report(f"attachment {name!r}: {reason}", cure, notice=notice)

    reader = reader_of(suffix_of(name))
    if reader is None:
        return
    if file.id.lower().count(".eml/") >= _DEEPEST:
        noted(f"e-mails are attached to each other over {_DEEPEST} levels", "save it as a file")
        return
    with tempfile.TemporaryFile() as kept:  # without a name: nothing remains if the process ends
        kept.write(_content(part))
        kept.seek(0)
        path = Path(f"/dev/fd/{kept.fileno()}")
        try:
            own = replace(file, path=path, id=f"{file.id}/{name}", type_name=name)
            for each in reader(own, noted):
                yield replace(each, metadata={**each.metadata, "attached_to": file.id})
        except Unreadable as error:
            noted(error.reason, error.cure)
        except Exception as error:  # hostile files make the parsers raise anything
            noted(f"cannot be read ({type(error).__name__} in its parser)", "save it as a file")
