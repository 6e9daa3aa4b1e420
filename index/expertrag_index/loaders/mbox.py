"""Reads mailboxes: each e-mail of a file is a document, and so is each of its attachments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from expertrag_index.loaders.base import Report, SourceFile, Unreadable, too_large
from expertrag_index.loaders.mail import documents_of
from expertrag_index.loaders.mail_heads import head_of
from expertrag_index.loaders.mail_parts import parse_mail
from expertrag_index.types import Document

_ENVELOPE = re.compile(rb"From \S+.*\d\d:\d\d")
_HEAD = re.compile(rb">?[!-9;-~]+:|>?From ")
_QUOTED = re.compile(rb">+From ")
_BLANK = (b"\n", b"\r\n")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a mailbox, one e-mail in memory at a time.

    The id of an e-mail is its ``Message-ID`` below the file's, or its number.
    """
    ids: set[str] = set()
    number = 0
    with file.path.open("rb") as stream:
        for number, data in enumerate(_mails(stream, file.max_bytes), start=1):
            named = _Named(report, number)
            try:
                if data is None:
                    raise too_large("it", file.max_bytes)
                message = parse_mail(data)
                own = head_of(message, "message-id").strip("<> ").replace("/", "_")
                own = own if own and own not in ids else f"{number}"
                ids.add(own)
                yield from documents_of(replace(file, id=f"{file.id}#{own}"), message, named)
            except Unreadable as error:
                named(error.reason, error.cure)
    if not number:
        raise Unreadable("not a readable mailbox: it has no e-mails", "export it again as .mbox")


class _Named:
    """Names the e-mail in what is reported about it."""

    def __init__(self, report: Report, number: int) -> None:
        self._report = report
        self._number = number

    def __call__(self, reason: str, cure: str, *, notice: bool = False) -> None:
        self._report(f"e-mail {self._number}: {reason}", cure, notice=notice)


def _mails(stream: BinaryIO, max_bytes: int) -> Iterator[bytes | None]:
    """Yield the e-mails of a mailbox; None for one that is larger than the limit.

    One begins after a blank line, with an envelope that has a time, before a head. A line of a text
    that begins with "From " is not taken for one.
    """
    lines: list[bytes] = []
    size, begun, after_blank = 0, False, True
    line = stream.readline(max_bytes + 1)
    while line:
        following = stream.readline(max_bytes + 1)
        if after_blank and _ENVELOPE.match(line) and _HEAD.match(following):
            if begun:
                yield b"".join(lines) if size <= max_bytes else None
            lines, size, begun = [], 0, True
        else:
            size += len(line)
            if begun and size <= max_bytes:
                lines.append(line[1:] if _QUOTED.match(line) else line)
        after_blank = line in _BLANK
        line = following
    if begun:
        yield b"".join(lines) if size <= max_bytes else None
