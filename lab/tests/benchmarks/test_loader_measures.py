"""Measures of what a loader keeps, and references that need no other program."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path

import loader_mails
import pytest
from loader_corpus import PACKAGES, Package, RealFile, choose
from loader_measures import Reading, compare, missed, summarise, words_of
from loader_references import NoReference, Reference, decode, read_reference, text_of_page

WORDS = "one two three four five six seven eight nine ten eleven twelve 13 14 15 16 17 18 19 20"
OTHER = Package("pip", "made", "MIT", ("csv", "json", "txt"))


def test_a_lost_word_an_invented_word_and_a_lost_number_are_seen() -> None:
    reference = Reference(WORDS, {"code": ["one two three"], "cells": ["four five", "six 13"]})
    ours = WORDS.replace("eleven ", "").replace(" 20", "") + " invented invented"
    one = compare("a", "txt", Reading("one", ours), reference)
    assert one.kept == pytest.approx(18 / 20)
    assert one.numbers == pytest.approx(7 / 8)
    assert one.noise == pytest.approx(2 / 21)
    assert one.parts == {"code": (1, 1), "cells": (1, 2)}
    assert set(one.lost) == {"eleven", "20"}


def test_words_are_compared_without_case_marks_and_width() -> None:
    assert words_of("Über\u00ad\u200b \uff21\uff22, 中文 ไ") == ["über", "ab", "中", "文", "ไ"]


def test_halves_of_words_in_pdf_files_count_once() -> None:
    reading, reference = Reading("", f"{WORDS} hyphen-\nated"), Reference(f"{WORDS} hyphenated")
    assert compare("a", "pdf", reading, reference).kept == 1
    assert compare("a", "txt", reading, reference).kept < 1


def test_a_refused_file_and_the_worst_files_stand_in_the_table() -> None:
    reference = Reference(WORDS)
    whole = [compare(str(n), "md", Reading("", WORDS), reference) for n in range(30)]
    half = [compare("half", "md", Reading("", WORDS[: len(WORDS) // 2]), reference)] * 2
    refused = compare("refused", "md", Reading(note="it is damaged"), reference)
    row = summarise([*whole, *half, refused])["md"]
    assert (row["files"], row["refused"], row["unfair"]) == (33, 1, 1)
    assert (row["median"], row["p5"]) == (1.0, half[0].kept)
    table = summarise([*whole, refused])
    assert missed(table, ["md:p5>=.95", "unfair<=1", "pdf:p5>=.99"]) == []
    assert missed(table, ["unfair<=0"]) == ["md: unfair is 1.0000, not <= 0"]
    with pytest.raises(ValueError, match="write it as"):
        missed(table, ["unfair=0"])


def test_records_and_texts_are_read_without_our_loaders(tmp_path: Path) -> None:
    files = {
        "a.csv": ("name;age\nAda;36\n", "name\tage\nAda\t36"),
        "a.json": ('{"a": [1, {"b": "two"}], "c": null}', "1\ntwo"),
        "a.txt": ("plain", "plain"),
    }
    for name, (text, expected) in files.items():
        path = tmp_path / name
        path.write_text(text)
        assert read_reference(RealFile(path, name[2:], OTHER)).text == expected
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(NoReference):
        read_reference(RealFile(tmp_path / "bad.json", "json", OTHER))


def test_a_known_encoding_wins_over_a_declared_one() -> None:
    data = '<meta charset="latin-1">Größe'
    assert decode(data.encode("cp1250"), "cp1250") == data
    assert decode(data.encode()) == data
    assert decode(data.encode("utf-16")) == data
    with pytest.raises(ValueError, match="not known"):
        decode("Größe".encode("latin-1"))


def test_mails_inside_mails_and_the_longer_form_are_read(tmp_path: Path) -> None:
    inner = EmailMessage()
    inner["Subject"] = "inner subject"
    inner.set_content("inner text")
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "ada@example.org", "outer subject"
    mail.set_content("see HTML")
    mail.add_alternative("<p>the whole page</p>", subtype="html")
    mail.add_attachment(inner)
    (tmp_path / "a.eml").write_bytes(bytes(mail))
    words = loader_mails.read(tmp_path / "a.eml", text_of_page).split()
    for text in ("outer", "whole", "inner subject", "inner text", "ada@example.org"):
        assert set(text.split()) <= set(words)
    assert "see" not in words
    box = mailbox.mbox(tmp_path / "a.mbox")
    box.add(mail)
    box.close()
    assert "whole" in loader_mails.read(tmp_path / "a.mbox", text_of_page)


def test_the_same_files_are_chosen_each_time(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text("text")
        (tmp_path / f"{number}.bin").write_text("text")
    (tmp_path / "empty.txt").touch()
    first = list(choose(OTHER, tmp_path, 5, 1000))
    assert first == list(choose(OTHER, tmp_path, 5, 1000))
    assert len(first) == 5
    assert {file.kind for file in first} == {"txt"}


def test_every_package_names_its_licence_and_kinds() -> None:
    assert len({package.key for package in PACKAGES}) == len(PACKAGES)
    assert all(package.licence and package.kinds for package in PACKAGES)
