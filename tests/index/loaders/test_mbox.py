"""Mailboxes: a document for each e-mail, as Python's own reader finds them."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest
from index.conftest import load_all, load_whole

ENVELOPE = b"From ada@example.org Wed May  1 10:00:00 2024\n"


def mail(number: int, text: str, *, named: bool = True) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"sender{number}@example.org"
    message["Subject"] = f"Mail {number}"
    if named:
        message["Message-ID"] = f"<{number}/a@example.org>"
    message.set_content(text)
    return message


def test_each_mail_is_a_document(tmp_path: Path) -> None:
    texts = [
        "At noon.\n",
        "From here to there.\n\nFrom ada at 10:00 it is far.\n",
        ">From quoted\n\nFrom ada Wed May 1 10:00:00 2024\nnot a head\n",
        "Zoë.\n",
    ]
    box = mailbox.mbox(tmp_path / "a.mbox")
    for number, text in enumerate(texts):
        box.add(mail(number, text))
    inner = mail(9, "Outer.")
    inner.add_attachment(mail(8, "Inner."))
    box.add(inner)
    box.close()
    box = mailbox.mbox(tmp_path / "a.mbox")
    theirs = [message["subject"] for message in box]
    box.close()
    documents = load_whole(tmp_path)
    assert [document.title for document in documents[:-1]] == theirs
    assert documents[0].id == "a.mbox#0_a@example.org"
    assert documents[-1].id == "a.mbox#9_a@example.org/Mail 8.eml"
    for document, text in zip(documents, texts, strict=False):
        assert document.text.split("\n\n", 1)[1] == text.strip().replace(">From ", "From ")


def test_ids_are_unique_without_names_and_in_copies(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "a.mbox")
    for message in (mail(1, "a"), mail(1, "b"), mail(2, "c", named=False)):
        box.add(message)
    box.close()
    assert [document.id.partition("#")[2] for document in load_whole(tmp_path)] == [
        "1_a@example.org",
        "2",
        "3",
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_mail_that_cannot_be_read_does_not_lose_the_others(tmp_path: Path, end: bytes) -> None:
    mails = [b"Subject: a\n\nA.\n\n", b"Subject: b\n\n" + b"x " * 40_000 + b"\n\n"]
    mails += [b"Message-ID: <c>\n\n\n", b"Subject: d\n\nD.\n"]
    data = b"".join(ENVELOPE + each for each in mails).replace(b"\n", end)
    (tmp_path / "a.mbox").write_bytes(data)
    documents, failures = load_all(tmp_path)
    assert [document.title for document in documents] == ["a", "d"]
    assert [failure.reason for failure in failures] == [
        "e-mail 2: it is larger than 0.0625 MiB",
        "e-mail 3: the file contains no text",
    ]


def test_what_is_no_mailbox_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.mbox").write_text("Just a text.\n")
    _, (failure,) = load_all(tmp_path)
    assert failure.reason == "not a readable mailbox: it has no e-mails"
