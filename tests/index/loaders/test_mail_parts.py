"""Which parts of an e-mail are its text: all that a client shows, each once."""

from __future__ import annotations

import base64
import itertools
import quopri
import re
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from pathlib import Path
from typing import cast

import pytest
from index.conftest import load_all, load_whole

CONTAINERS = ("mixed", "alternative", "related", "digest", "report", "signed")
SENTENCES = {
    "utf-8": "Größe Ω 船",
    "iso-8859-1": "déjà vu à la crème",
    "koi8-r": "судно вошло в порт",
    "iso-2022-jp": "船は昨日の夕方に入港",
    "gb2312": "船昨天晚上进了港",
    "windows-1256": "دخلت السفينة الميناء",
}
TRANSFERS: dict[str, Callable[[bytes], bytes]] = {
    "8bit": lambda data: data,
    "quoted-printable": quopri.encodestring,
    "base64": base64.encodebytes,
}


class Maker:
    """Makes parts, each with a mark of its own and a sentence."""

    def __init__(self, charset: str, transfer: str) -> None:
        self._charset = charset
        self._transfer = transfer
        self.marks: list[str] = []

    def mark(self) -> str:
        self.marks.append(f"mark{len(self.marks)}end")
        return self.marks[-1]

    def text(self, kind: str, text: str, name: str = "", disposition: str = "") -> Message:
        """Make a part; its sentence follows the text."""
        written = f"{text} {SENTENCES[self._charset]}"
        if kind == "text/html":
            written = f"<p>{written}</p>"
        if kind == "text/calendar":
            written = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:{written}\nEND:VEVENT\nEND:VCALENDAR"
        part = Message()
        part["Content-Type"] = f'{kind}; charset="{self._charset}"'
        part["Content-Transfer-Encoding"] = self._transfer
        if disposition:
            part.add_header("Content-Disposition", disposition, filename=name)
        data = TRANSFERS[self._transfer](written.encode(self._charset))
        part.set_payload(data.decode("ascii", "surrogateescape"))
        return part

    def container(self, kind: str, inner: Message | None = None) -> Message:
        """Make a container of what it usually holds, and of another one."""
        if kind == "alternative":
            mark = self.mark()
            page = self.text("text/html", mark)
            forms = [self.text("text/plain", mark), of("related", page) if inner else page]
            return of("mixed", of("alternative", *forms), inner) if inner else of(kind, *forms)
        contents: dict[str, Callable[[], list[Message]]] = {
            "mixed": self._mixed,
            "related": lambda: [self.text("text/html", self.mark()), picture()],
            "digest": lambda: [self.mail(), self.mail()],
            "report": lambda: [self.text("text/plain", self.mark()), self.status(), self.mail()],
            "signed": lambda: [self.text("text/plain", self.mark())],
        }
        return of(kind, *contents[kind](), *([inner] if inner else []))

    def _mixed(self) -> list[Message]:
        named = (("text/x-patch", "a.patch"), ("text/plain", "log"), ("text/plain", "notes.txt"))
        return [
            self.text("text/plain", self.mark()),
            self.text("text/html", self.mark()),
            self.text("text/calendar", self.mark()),
            self.text("text/enriched", self.mark()),
            *(self.text(kind, self.mark(), name, "inline") for kind, name in named),
            self.text("text/x-log", self.mark(), "b.log", "attachment"),
            self.mail(),
        ]

    def status(self) -> Message:
        fields = Message()
        fields["Final-Recipient"] = f"rfc822; {self.mark()}"
        part = Message()
        part["Content-Type"] = "message/delivery-status"
        part.set_payload([fields])
        return part

    def mail(self) -> Message:
        inner = self.text("text/plain", self.mark())
        inner["From"] = f"{self.mark()}@example.org"
        inner["Subject"] = "Minutes"
        part = Message()
        part["Content-Type"] = "message/rfc822"
        part.set_payload([inner])
        return part


def of(kind: str, *parts: Message) -> Message:
    whole = Message()
    whole["Content-Type"] = f"multipart/{kind}"
    whole.set_payload(list(parts))
    return whole


def picture() -> Message:
    part = Message()
    part["Content-Type"] = "image/png"
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload("iVBORw0KGgo=")
    return part


def marks_of(data: bytes) -> set[str]:
    """Find the marks of a mail by Python's own reader of each part."""
    parts = parts_of(data)
    texts = [str(value) for part in parts for value in part.values()]
    texts += [str(part.get_content()) for part in parts if part.get_content_maintype() == "text"]
    return {mark for text in texts for mark in re.findall(r"mark\d+end", text)}


def parts_of(data: bytes) -> list[EmailMessage]:
    return cast(list[EmailMessage], list(message_from_bytes(data, policy=policy.default).walk()))


@pytest.mark.parametrize("charset", SENTENCES)
def test_every_text_that_a_client_shows_is_read_once(tmp_path: Path, charset: str) -> None:
    marks: dict[str, list[str]] = {}
    transfers = itertools.cycle(TRANSFERS)
    for _ in range(len(charset) % 3):
        next(transfers)
    for outer, inner in itertools.product(CONTAINERS, (None, *CONTAINERS)):
        transfer = next(transfers)
        maker = Maker(charset, transfer)
        mail = maker.container(outer, maker.container(inner) if inner else None)
        mail["From"] = "ada@example.org"
        name = f"{outer}-{inner}-{transfer}.eml"
        data = mail.as_bytes()
        (tmp_path / name).write_bytes(data)
        marks[f"{tmp_path.name}/{name}"] = maker.marks
        assert len(marks_of(data)) == len(maker.marks)
    texts: dict[str, str] = dict.fromkeys(marks, "")
    for document in load_whole(tmp_path):
        texts[document.source] += document.text + "\n\n"
    for source, own in marks.items():
        counts = {mark: texts[source].count(mark) for mark in own}
        assert set(counts.values()) == {1}, (source, counts)
        assert texts[source].count(SENTENCES[charset]) >= len(own) / 3
        assert "\ufffd" not in texts[source]


def test_a_forwarded_mail_has_its_own_heads(tmp_path: Path) -> None:
    inner = Message()
    inner["From"] = "bob@example.org"
    inner["Date"] = "Wed, 01 May 2024 10:00:00 +0200"
    inner["Subject"] = "=?iso-8859-1?q?F=E4hre?= 24/7"
    inner.set_payload("At noon.")
    part = Message()
    part["Content-Type"] = "message/rfc822"
    part.set_payload([inner])
    mail = of("mixed", part)
    mail["From"] = "ada@example.org"
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    outer, forwarded = load_whole(tmp_path / "a.eml")
    assert outer.text == "From: ada@example.org\nAttachments: Fähre 24 7.eml"
    assert forwarded.id == "a.eml/Fähre 24 7.eml"
    assert forwarded.title == "Fähre 24/7"
    assert forwarded.metadata["date"] == "2024-05-01T10:00:00+02:00"
    assert forwarded.metadata["attached_to"] == "a.eml"
    assert forwarded.text.endswith("Subject: Fähre 24/7\n\nAt noon.")


@pytest.mark.parametrize("transfer", ["base64", "quoted-printable"])
def test_a_mail_that_is_packed_against_the_rules_is_read(tmp_path: Path, transfer: str) -> None:
    inner = TRANSFERS[transfer](b"From: bob@example.org\nSubject: x\n\nAt noon.\n").decode()
    head = f"Subject: y\nContent-Type: message/rfc822\nContent-Transfer-Encoding: {transfer}\n\n"
    (tmp_path / "a.eml").write_text(head + inner)
    assert load_whole(tmp_path / "a.eml")[1].text.endswith("At noon.")


@pytest.mark.parametrize(
    ("plain", "page", "is_page"),
    [
        ("Your client does not support HTML.", "The ferry leaves at noon. " * 8, True),
        ("Ihr Programm zeigt keine Seiten.", "The ferry leaves from pier two.", True),
        ("", "The ferry leaves.", True),
        (" \n\t\n", "The ferry leaves.", True),
        (
            "This message is in HTML format, please view it in an HTML capable client.",
            "The ferry leaves.",
            True,
        ),
        (
            "Diese Nachricht ist im HTML-Format und kann nicht angezeigt werden.",
            "The ferry leaves.",
            True,
        ),
        (
            "Your email client cannot show this message, so open it elsewhere.",
            "The ferry leaves.",
            True,
        ),
        ("[cid:logo.png@01DB]", "The ferry leaves.<img src='cid:logo.png@01DB'>", True),
        ("[image: harbour.png]", "The ferry leaves.", True),
        ("The ferry leaves. View the times in your browser.", "Times", False),
        ("The ferry leaves at noon.", "<b>The ferry leaves at noon.</b> Unsubscribe", False),
        ("The ferry leaves at noon. " * 20, "<style>p { color: red }</style>" * 90, False),
        ("The ferry leaves at noon.", "<img src='cid:1'>", False),
    ],
)
def test_a_stub_of_a_page_gives_way_to_it(
    tmp_path: Path, plain: str, page: str, is_page: bool
) -> None:
    maker = Maker("utf-8", "8bit")
    parts = [maker.text("text/plain", plain), maker.text("text/html", page)]
    for part, text in zip(parts, (plain, f"<p>{page}</p>"), strict=True):
        part.set_payload(text)
    mail = of("alternative", *parts)
    mail["Subject"] = "x"
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    (document,) = load_whole(tmp_path / "a.eml")
    assert ("The ferry leaves" in document.text) is (is_page or plain.startswith("The ferry"))
    assert (plain.strip() in document.text) is (not is_page or not plain.strip())


def test_what_is_hidden_in_a_form_that_is_not_read_is_not_told(tmp_path: Path) -> None:
    maker = Maker("utf-8", "8bit")
    page = maker.text("text/html", "The ferry leaves.<i hidden>Never</i>")
    mail = of("alternative", maker.text("text/plain", "The ferry leaves."), page)
    mail["Subject"] = "x"
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    assert load_all(tmp_path / "a.eml")[1] == []


def test_one_bad_part_does_not_lose_the_others(tmp_path: Path) -> None:
    maker = Maker("utf-8", "8bit")
    bad = maker.text("text/plain", "")
    bad.set_payload(b"\x81\x8d\xff\xfe\x81".decode("ascii", "surrogateescape"))
    mail = of("mixed", maker.text("text/plain", "First."), bad, maker.text("text/plain", "Last."))
    mail["Subject"] = "x"
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    (document,), (failure,) = load_all(tmp_path / "a.eml")
    assert "First." in document.text
    assert "Last." in document.text
    assert failure.reason.startswith("part 2 (text/plain): not valid UTF-8")


def test_an_attachment_without_a_name_is_read_by_its_type(tmp_path: Path) -> None:
    part = Message()
    part["Content-Type"] = "application/json"
    part.set_payload('{"text": "The ferry leaves at noon."}')
    mail = of("mixed", part)
    mail["Subject"] = "x"
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    assert load_whole(tmp_path / "a.eml")[1].text == "The ferry leaves at noon."


def test_an_encrypted_mail_is_told(tmp_path: Path) -> None:
    mail = of("encrypted", picture())
    mail["Subject"] = "x"
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    _, (failure,) = load_all(tmp_path / "a.eml")
    assert failure.notice
    assert "encrypted" in failure.reason
