"""The texts of e-mails that are not plain, heads in their encodings, and what takes long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.header import Header
from email.message import Message
from pathlib import Path

import pytest

from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.mail_heads import decode_head, head_of
from expertrag_index.loaders.mail_texts import calendar, fence_file, join_flowed, read_enriched
from expertrag_index.loaders.parse import parse
from expertrag_index.types import Document

FLOWED = [
    ("One \ntwo \nthree.\nFour.", "One two three.\nFour."),
    ("> One \n> two.\n>> Deep \n> not.", "> One two.\n>> Deep \n> not."),
    (" From here \nto there.", "From here to there."),
    (" >no quote", ">no quote"),
    ("Text \n-- \nAda", "Text \n-- \nAda"),
    ("\n\nOne \n\nTwo", "\n\nOne \nTwo"),
]


@pytest.mark.parametrize(("text", "joined"), FLOWED)
def test_lines_that_flow_are_joined(text: str, joined: str) -> None:
    assert join_flowed(text, delete_space=False) == joined


def test_a_space_that_only_joins_is_deleted() -> None:
    assert join_flowed("船は昨 \n日入 \n港した", delete_space=True) == "船は昨日入港した"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<bold>Now</bold> is\nthe <italic>time</italic>.", "Now is the time."),
        ("One.\n\nTwo.\n\n\nThree.", "One.\nTwo.\n\nThree."),
        ("<color><param>red</param>Red</color> <<b>", "Red <b>"),
        ("a < b", "a < b"),
    ],
)
def test_enriched_text_is_read_without_its_commands(text: str, plain: str) -> None:
    assert read_enriched(text) == plain


def test_an_invitation_says_what_when_where_and_who() -> None:
    text = (
        "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nDTSTART:19700101T000000\nEND:VTIMEZONE\nBEGIN:VEVENT\n"
        "SUMMARY:Berth\\, pier 2\nDTSTART;TZID=Europe/Berlin:20240501T100000\n"
        "DTEND:20240501T090000Z\nDUE;VALUE=DATE:20240502\nLOCATION:Room\n  7\n"
        'ORGANIZER;CN="Ada, L":mailto:ada@example.org\nATTENDEE:MAILTO:bob@example.org\n'
        "DESCRIPTION:Line one.\\nLine two.\nUID:1\nBEGIN:VALARM\nDESCRIPTION:Reminder\nEND:VALARM\n"
        "END:VEVENT\nEND:VCALENDAR\n"
    )
    assert calendar(text) == (
        "Summary: Berth, pier 2\nStart: 2024-05-01 10:00 Europe/Berlin\n"
        "End: 2024-05-01 09:00 UTC\nDue: 2024-05-02\nLocation: Room 7\n"
        "Organizer: Ada, L <ada@example.org>\nAttendee: bob@example.org\n\nLine one.\nLine two."
    )


def test_a_fence_is_longer_than_those_inside() -> None:
    assert fence_file("a.patch", "````\n# x") == "a.patch:\n\n`````\n````\n# x\n`````"


@pytest.mark.parametrize(
    "charset", ["utf-8", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16-be"]
)
@pytest.mark.parametrize("length", [10, 40, 200])
def test_encoded_heads_are_decoded(charset: str, length: int) -> None:
    text = ("Größere Schiffe, déjà vu " * 20)[:length].strip()
    message = Message()
    message["Subject"] = Header(text, charset).encode()
    assert head_of(message, "subject") == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("=?utf-8?b?8J+P?= =?utf-8?b?gw==?=", "\U0001f3c3"),  # a character in two words
        ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        ("=?utf-8?q?a?=\n =?iso-8859-1?q?=E9?=", "aé"),
        ("=?utf-8*de?q?=C3=A4_b?=", "ä b"),
        ("=?no-such?q?plain?=", "plain"),
        ("=?utf-8?b?not base64", "=?utf-8?b?not base64"),
        ("=?utf-8?b?w6Q?=", "ä"),
        ("Gr\udcc3\udcb6\udcc3\udc9fe", "Größe"),
        ("d\udce9j\udce0 vu, tr\udce8s t\udcf4t", "déjà vu, très tôt"),
        ("a\0b", "ab"),
        ("", ""),
    ],
)
def test_odd_heads(raw: str, text: str) -> None:
    assert decode_head(raw) == text


HEAD = b"Subject: x\n"
TYPED = HEAD + b"Content-Type: %s\n\n"
MEGABYTE = {
    "a long head": b"To: " + b"a@b.c, " * 150_000 + b"\n" + HEAD + b"\nText.",
    "a folded head": b"To: " + b"a@b.c,\n " * 130_000 + b"\n" + HEAD + b"\nText.",
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 70_000 + b"\n\nText.",
    "begun words": b"Subject: " + b"=?a?b?" * 170_000 + b"\n\nText.",
    "a paragraph that flows": TYPED % b"text/plain; format=flowed" + b"word \n" * 170_000,
    "commands": TYPED % b"text/enriched" + b"<" * 2**20,
    "events": TYPED % b"text/calendar" + b"BEGIN:VEVENT\nSUMMARY:x\n" * 45_000,
    "folded lines": TYPED % b"text/calendar" + b"BEGIN:VEVENT\nSUMMARY:x" + b"\n y" * 340_000,
    "parts": TYPED % b"multipart/mixed; boundary=b" + b"--b\n\nx\n" * 20_000,
    "forms": TYPED % b"multipart/alternative; boundary=b" + b"--b\n\nx\n" * 20_000,
    "deep parts": b"".join(
        b"Subject: x\nContent-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level)
        for level in range(30)
    )
    + b"\n"
    + b"line\n" * 100_000,
    "parameters": HEAD + b"Content-Type: text/plain" + b"; a=b" * 200_000 + b"\n\nText.",
    "no space": HEAD + b"\n" + b"x" * 2**20 + b"\xe9",
}


def read(path: Path) -> Iterator[Document]:
    file = SourceFile(path, path.name, path.name, None, 32 << 20)
    return (item for item in parse(file) if isinstance(item, Document))


@pytest.mark.parametrize("content", MEGABYTE.values(), ids=MEGABYTE.keys())
def test_a_hostile_mail_takes_linear_time(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.eml").write_bytes(content)
    started = time.process_time()
    assert len(list(read(tmp_path / "a.eml"))) == 1
    assert time.process_time() - started < 20  # quadratic time is minutes
