"""Chooses what of an e-mail is its text, and what is attached to it.

Of several forms of the same text (``multipart/alternative``) one is read. It is the plain one,
unless that only says that there is a page, or has no words. Everything else that is text is read,
in its order.
"""

from __future__ import annotations

import mimetypes
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import Message
from email.policy import Compat32
from pathlib import PurePosixPath
from typing import cast

from expertrag_index.loaders.base import Unreadable
from expertrag_index.loaders.mail_heads import decode_head, head_of
from expertrag_index.loaders.registry import reader_of, suffix_of


@dataclass(frozen=True, slots=True)
class PartText:
    """The text of a part, and what is to be told about it if it is chosen."""

    text: str
    hidden: Counter[str] = field(default_factory=Counter)
    """Number of elements that a client does not show, by kind."""
    notes: tuple[tuple[str, str, bool], ...] = ()
    """Reason, cure, and whether it is a notice."""


TextOf = Callable[[Message, str], PartText]
"""Reads a part that holds text, given its number, such as 2.1."""

_DEEPEST_PART = 32
_MOST_ATTACHMENTS = 1_000
_LONGEST_NAME = 100
_LONGEST_TYPE = 4096
_TIMES_THE_WORDS = 3
"""A page with so many times the words of the plain form is not the same text."""
_LONGEST_STUB = 40
"""Words of a plain form that says that there is a page."""
_SAYS_STUB = re.compile(
    r"\bhtml|\b(?:e-?)?mail[- ]?(?:client|program|software|reader|viewer)", re.IGNORECASE
)
"""What a plain form says that only stands for a page."""
_PLACE_OF_PICTURE = re.compile(r"\[(?:cid|image|bild|imagen?|immagine):[^\[\]\n]*\]", re.IGNORECASE)
_MAILS = ("message/rfc822", "message/global", "message/news", "message/partial")
_ELSEWHERE = "message/external-body"
_NOT_TEXTS = ("text/css", "text/javascript", "text/rtf", _ELSEWHERE)
_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
_TAG = re.compile(rb"<[^<>]*>")
_WORD_OF_BYTES = re.compile(rb"[0-9A-Za-z]+|[\x80-\xff]{2}")
_TYPES = mimetypes.MimeTypes()


class _ShortTypes(Compat32):
    """Cuts the heads that describe content: Python takes quadratic time for their parameters."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_LONGEST_TYPE] if name.lower().startswith("content-") else value


def parse_mail(data: bytes) -> Message:
    """Parse an e-mail; a damaged one is parsed as far as it goes."""
    return message_from_bytes(data, policy=_ShortTypes())


def content_of(part: Message) -> bytes:
    """Return the decoded content of a part."""
    return cast(bytes, part.get_payload(decode=True) or b"")


def name_of(part: Message) -> str:
    """Return the file name of a part, without folders; empty if it has none."""
    given = decode_head(part.get_filename() or "").replace("\\", "/")
    return " ".join(PurePosixPath(given).name.split())


def mail_in(part: Message) -> Message | None:
    """Return the e-mail that a part is, such as one that is forwarded; None if it is none."""
    if part.get_content_type() not in _MAILS:
        return None
    payload = part.get_payload()
    if not isinstance(payload, list) or len(payload) != 1:
        return parse_mail(content_of(part))
    inner = cast(Message, payload[0])
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    if encoding not in ("base64", "quoted-printable"):
        return inner
    packed = Message()  # against the rules, but in use
    packed["Content-Transfer-Encoding"] = encoding
    packed.set_payload(inner.as_string().lstrip("\n"))
    return parse_mail(content_of(packed))


def texts_of(message: Message, read: TextOf) -> list[PartText]:
    """Return the texts of an e-mail, without what is attached; they may be empty.

    :param read: reads a part; it does not raise for one that cannot be read.
    """
    return list(_texts(message, read, ""))


def attachments_of(message: Message) -> dict[str, Message]:
    """Return the attachments, each by a name of its own.

    :raises Unreadable: there are too many.
    """
    named: dict[str, Message] = {}
    for part in _leaves(message):
        given = _name_attachment(part)
        if not given:
            continue
        if len(named) >= _MOST_ATTACHMENTS:
            raise Unreadable(f"it has over {_MOST_ATTACHMENTS:,} attachments", "save them as files")
        path, name, number = PurePosixPath(given), given, 1
        while name in named:
            number += 1
            name = f"{path.stem} ({number}){path.suffix}"
        named[name] = part
    return named


def _name_attachment(part: Message) -> str:
    """Name a part that is a document of its own, or that is only named; empty if it is text."""
    name, kind = name_of(part), part.get_content_type()
    if kind in _MAILS:
        inner = mail_in(part)
        subject = head_of(inner, "subject").replace("/", " ") if inner is not None else ""
        name = name or subject[:_LONGEST_NAME].strip() or "message"
        return name if name.lower().endswith(".eml") else f"{name}.eml"
    if kind == _ELSEWHERE:
        return ""
    if reader_of(suffix_of(name)) is not None:
        return name
    if _is_text(part):
        return ""
    guessed = _TYPES.guess_extension(kind) or ""
    return f"{name or 'attachment'}{guessed}" if reader_of(guessed) is not None else name


def _is_text(part: Message) -> bool:
    main = part.get_content_maintype()
    return main in ("text", "message", "multipart") and part.get_content_type() not in _NOT_TEXTS


def _inner(part: Message) -> list[Message]:
    """Return the parts of a part that consists of some."""
    payload = part.get_payload() if part.get_content_maintype() == "multipart" else None
    return cast(list[Message], payload) if isinstance(payload, list) else []


def _leaves(part: Message, depth: int = 0) -> Iterator[Message]:
    inner = _inner(part)
    for each in inner if depth < _DEEPEST_PART else ():
        yield from _leaves(each, depth + 1)
    if not inner:
        yield part


def _texts(part: Message, read: TextOf, number: str) -> Iterator[PartText]:
    inner = _inner(part)
    if not inner:
        if _is_text(part) and not _name_attachment(part):
            yield read(part, number or "1")
        return
    if number.count(".") >= _DEEPEST_PART:
        reason = f"parts are nested over {_DEEPEST_PART} levels"
        yield PartText("", notes=((reason, "export the e-mail again", False),))
        return
    numbered = {f"{number}.{at}".lstrip("."): each for at, each in enumerate(inner, start=1)}
    if part.get_content_subtype() == "alternative":
        yield from _best_forms(numbered, read)
        return
    for at, each in numbered.items():
        yield from _texts(each, read, at)


def _best_forms(forms: dict[str, Message], read: TextOf) -> list[PartText]:
    """Return the texts of one of several forms, and what an invitation says next to it."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    for at, form in forms.items():
        by_kind[_kind_of(form)].append(at)
    plain, pages = by_kind["text/plain"], by_kind["text/html"]
    best = _first_texts(forms, plain, read)
    if any(_may_say_more(forms[at], best) for at in pages):
        page = _first_texts(forms, reversed(pages), read)
        best = page if _says_more(page, best) else best
    best = best if _words(best) else best + _first_texts(forms, reversed(by_kind[""]), read)
    said = " ".join(" ".join(each.text for each in best).split())
    for at in by_kind["text/calendar"]:
        for event in _texts(forms[at], read, at):
            what, _, description = event.text.partition("\n\n")
            repeats = " ".join(description.split()) in said
            best.append(replace(event, text=what) if repeats else event)
    return best


def _first_texts(forms: dict[str, Message], numbers: Iterable[str], read: TextOf) -> list[PartText]:
    """Return the texts of the first form that has some, else of all: they tell why."""
    blank: list[PartText] = []
    for at in numbers:
        texts = list(_texts(forms[at], read, at))
        if any(each.text for each in texts):
            return texts
        blank += texts
    return blank


def _says_more(page: Sequence[PartText], plain: Sequence[PartText]) -> bool:
    """Whether a page has another text than the plain form, which only stands for it."""
    words, stub = _words(page), _words(plain)
    if len(words) >= _TIMES_THE_WORDS * len(stub):
        return bool(words)
    if not words or len(stub) >= _LONGEST_STUB:
        return False
    is_other = 2 * len(set(stub).intersection(words)) < len(set(stub))
    may_be_short = any(_SAYS_STUB.search(each.text) for each in plain)
    return is_other and (may_be_short or len(stub) < len(words))


def _may_say_more(form: Message, plain: Sequence[PartText]) -> bool:
    """Whether a page can have so many words, without parsing it."""
    stub = len(_words(plain))
    if stub < _LONGEST_STUB:
        return True
    pages = (part for part in _leaves(form) if part.get_content_type() == "text/html")
    most = sum(len(_WORD_OF_BYTES.findall(_TAG.sub(b" ", content_of(page)))) for page in pages)
    return most >= _TIMES_THE_WORDS * stub


def _kind_of(form: Message) -> str:
    """Return the type that a form counts as; empty if it is none of the usual ones."""
    kinds = {part.get_content_type() for part in _leaves(form) if not _name_attachment(part)}
    if kinds == {"text/calendar"}:
        return "text/calendar"
    return next((kind for kind in ("text/html", "text/plain") if kind in kinds), "")


def _words(texts: Sequence[PartText]) -> list[str]:
    """Return the words of texts, without what stands for a picture: ``[cid:logo.png]``."""
    written = (_PLACE_OF_PICTURE.sub(" ", each.text) for each in texts)
    return [word for text in written for word in _WORD.findall(text)]
