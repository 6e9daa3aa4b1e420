"""The texts of mails as Python's ``email`` finds them: of two forms of one text, the longer."""

from __future__ import annotations

import mailbox
from collections.abc import Callable, Iterator
from contextlib import closing
from email import message_from_bytes, policy
from email.message import Message
from pathlib import Path

Page = Callable[[str], str]
"""Returns the text of an HTML page."""

_HEADERS = ("from", "to", "cc", "subject")  # the date stays as it is written


def read(path: Path, page: Page) -> str:
    """Return the headers and texts of a mail, or of all mails of a mailbox."""
    if path.suffix == ".mbox":
        with closing(mailbox.mbox(path, create=False)) as mails:
            return "\n".join(text for mail in mails for text in _texts(mail, page))
    mail = message_from_bytes(path.read_bytes(), policy=policy.compat32)
    shown = message_from_bytes(path.read_bytes(), policy=policy.default)
    return "\n".join([str(mail.get("date", "")), *_headers(shown), *_texts(mail, page)])


def _headers(mail: Message) -> Iterator[str]:
    for name in _HEADERS:
        try:
            yield str(mail.get(name, ""))
        except (ValueError, IndexError, AttributeError):  # the parser of a header gives up
            continue


def _texts(part: Message, page: Page) -> Iterator[str]:
    main, form = part.get_content_maintype(), part.get_content_subtype()
    inner = part.get_payload() if part.is_multipart() else []
    children = [each for each in inner if isinstance(each, Message)]
    if form == "alternative":
        forms = [each for each in children if each.get_content_maintype() == "text"]
        if forms:
            yield max((_text(each, page) for each in forms), key=lambda text: len(text.split()))
        children = [each for each in children if each not in forms]
    elif main == "text" and not part.get_filename():
        yield _text(part, page)
    for child in children:
        if main == "message":
            yield str(child.get("subject", ""))
        yield from _texts(child, page)


def _text(part: Message, page: Page) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset() or "utf-8"
    try:
        text = data.decode(charset)
    except (UnicodeDecodeError, LookupError):
        text = data.decode("utf-8", "replace")
    return page(text) if part.get_content_subtype() == "html" else text
