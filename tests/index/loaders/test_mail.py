"""E-mails: heads, bodies in several forms, and attachments as documents."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from index.conftest import load_all, load_whole


def mail(text: str = "The pilot boards at noon.") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Arrival of the F\xe4hre"
    message["From"] = "Ada Lovelace <ada@example.org>"
    message["To"] = "crew@example.org, Bob <bob@example.org>"
    message["Date"] = "Wed, 01 May 2024 10:00:00 +0200"
    if text:
        message.set_content(text)
    return message


def write(path: Path, message: EmailMessage) -> Path:
    path.write_bytes(message.as_bytes(policy=SMTP))
    return path


def test_heads_become_title_metadata_and_first_lines(tmp_path: Path) -> None:
    (document,) = load_whole(write(tmp_path / "a.eml", mail()))
    assert document.title == "Arrival of the F\xe4hre"
    assert document.metadata == {
        "from": "Ada Lovelace <ada@example.org>",
        "to": "crew@example.org, Bob <bob@example.org>",
        "date": "2024-05-01T10:00:00+02:00",
    }
    assert document.text == (
        "From: Ada Lovelace <ada@example.org>\nTo: crew@example.org, Bob <bob@example.org>\n"
        "Date: Wed, 01 May 2024 10:00:00 +0200\nSubject: Arrival of the F\xe4hre\n\n"
        "The pilot boards at noon."
    )


def test_of_two_forms_the_plain_one_is_read_unless_it_is_blank(tmp_path: Path) -> None:
    for plain, expected in (("Plain form.", "Plain form."), (" ", "# Page\n\nform.")):
        message = mail(plain)
        message.add_alternative("<h1>Page</h1><p>form.</p>", subtype="html")
        (document,) = load_whole(write(tmp_path / "a.eml", message))
        assert document.text.split("\n\n", 1)[1] == expected


def test_hidden_parts_of_a_page_are_left_out(tmp_path: Path) -> None:
    message = mail("")
    message.set_content('<p>Seen.</p><p style="display:none">Unseen</p>', subtype="html")
    (document,), (failure,) = load_all(write(tmp_path / "a.eml", message))
    assert document.text.endswith("\n\nSeen.")
    assert failure.notice and "display: none (1)" in failure.reason


def test_attachments_are_documents_or_named(tmp_path: Path) -> None:
    message = mail()
    for name in ("../tides.txt", "tides.txt"):
        message.add_attachment(f"High at six, in {name}.", filename=name)
    message.add_attachment(b'{"text": "One record."}\n', "x", "y", filename="b.jsonl")
    message.add_attachment(b"\x89PNG", "image", "png", filename="map.png")
    message.add_attachment(b"%PDF", "application", "pdf", filename="bad.pdf")
    inner = mail("Inner text.")
    inner.add_attachment("Deep text.", filename="deep.md")
    message.add_attachment(inner, filename="inner.eml")
    documents, (failure,) = load_all(write(tmp_path / "a.eml", message))
    assert {document.id: document.text.split("\n\n")[-1] for document in documents} == {
        "a.eml": "The pilot boards at noon.",
        "a.eml/tides.txt": "High at six, in ../tides.txt.",
        "a.eml/tides (2).txt": "High at six, in tides.txt.",
        "a.eml/b.jsonl#1": "One record.",
        "a.eml/inner.eml": "Inner text.",
        "a.eml/inner.eml/deep.md": "Deep text.",
    }
    assert {document.source for document in documents} == {"a.eml"}
    assert documents[1].metadata["attached_to"] == "a.eml"
    assert documents[-1].metadata["attached_to"] == "a.eml"
    assert "map.png" in str(documents[0].metadata["attachments"])
    assert "Attachments: tides.txt, tides (2).txt, b.jsonl, map.png" in documents[0].text
    assert failure.reason.startswith("attachment 'bad.pdf': not a readable PDF")


def test_mails_in_mails_end_somewhere(tmp_path: Path) -> None:
    message = mail("Level 19")
    for level in range(18, -1, -1):
        outer = mail(f"Level {level}")
        outer.add_attachment(message, filename="inner.eml")
        message = outer
    documents, (failure,) = load_all(write(tmp_path / "a.eml", message))
    ends = [document.text.rpartition(" ")[2] for document in documents]
    assert ends == [str(level) for level in range(17)]
    assert "over 16 levels" in failure.reason


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("iso-8859-1", b"caf\xe9 \x80 5", "caf\xe9 \u20ac 5"),  # declared so, and windows-1252
        ("utf-8", "caf\xe9".encode(), "caf\xe9"),
        ("us-ascii", b"un caf\xe9 tr\xe8s chaud", "un caf\xe9 tr\xe8s chaud"),
        ("no-such", b"plain", "plain"),
    ],
)
def test_charsets_are_followed_unless_they_are_wrong(
    tmp_path: Path, charset: str, data: bytes, text: str
) -> None:
    heads = b"Subject: x\nContent-Type: text/plain; charset=%s\n\n" % charset.encode()
    (tmp_path / "a.eml").write_bytes(heads + data)
    documents, _ = load_all(tmp_path / "a.eml")
    assert documents[0].text == f"Subject: x\n\n{text}"


def test_a_text_that_cannot_be_read_does_not_lose_the_attachments(tmp_path: Path) -> None:
    message = mail()
    message.add_attachment("Attached.", filename="a.txt")
    data = message.as_bytes().replace(b"pilot boards", b"\x81\x8d\xff")
    (tmp_path / "a.eml").write_bytes(data)
    documents, (failure,) = load_all(tmp_path / "a.eml")
    assert [document.id for document in documents] == ["a.eml", "a.eml/a.txt"]
    assert failure.reason.startswith("part 1 (text/plain): not valid UTF-8")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Just a text.\n", "not a readable e-mail"),
        (b"From: a@b\n\n", None),
        (b"Date: not a date\nFrom: <<<>>>@@\nTo: \xff\xfe\n\nText.", None),
        (b"Subject: x\nContent-Type: multipart/mixed\n\nno parts", None),
        (b"Message-ID: <x>\n\n", "contains no text"),
    ],
    ids=["no heads", "a head only", "damaged heads", "no parts", "no text"],
)
def test_damaged_mails(tmp_path: Path, content: bytes, reason: str | None) -> None:
    (tmp_path / "a.eml").write_bytes(content)
    documents, failures = load_all(tmp_path / "a.eml")
    if reason is None:
        assert documents or failures[0].reason == "the file contains no text"
    else:
        assert reason in failures[0].reason
