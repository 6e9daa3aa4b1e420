"""Archives that are damaged, encrypted or made to unpack to too much."""

from __future__ import annotations

from pathlib import Path

import pytest
from index.conftest import load_all, zip_of
from index.loaders.test_xlsx import sheet_of

OFFICE = ("docx", "pptx", "xlsx")
COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


@pytest.mark.parametrize("suffix", [*OFFICE, "epub"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", "not a readable"),
        (zip_of({"x": b"y"}), "not a readable"),
        (zip_of({"x.xml": bytes(10**6)}), "the unpacked file is larger than"),
        (zip_of({"x.xml": b"<x/>"})[:-30], "not a readable"),
        (COMPOUND_FILE, "has a password or is of an older format"),
        (zip_of({f"{number}": b"" for number in range(20_001)}), "over 20,000 parts"),
    ],
    ids=["text", "another zip", "a bomb", "cut off", "a password", "many parts"],
)
def test_a_bad_archive_is_named_and_the_others_are_read(
    tmp_path: Path, suffix: str, content: bytes, reason: str
) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(content)
    (tmp_path / "z.txt").write_text("Good text.")
    (document,), (failure,) = load_all(tmp_path, limit=2**22 if len(content) > 2**16 else 2**16)
    assert document.text == "Good text."
    assert reason in failure.reason
    assert failure.source == f"{tmp_path.name}/a.{suffix}"


def test_a_member_with_a_password_is_told(tmp_path: Path) -> None:
    data = bytearray(zip_of({"x": b"y"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption in the central directory
    (tmp_path / "a.docx").write_bytes(bytes(data))
    _, (failure,) = load_all(tmp_path)
    assert (failure.reason, failure.cure) == ("the file is encrypted", "remove its password")


def test_entities_are_refused_before_they_are_expanded(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(9))
    prologue = f"<?xml version='1.0'?><!DOCTYPE x [{entities}]>"
    row = '<row r="1"><c r="A1" t="inlineStr"><is><t>&e8;</t></is></c></row>'
    (tmp_path / "a.xlsx").write_bytes(sheet_of(row, prologue))
    _, (failure,) = load_all(tmp_path, limit=2**20)
    assert failure.reason == "'xl/worksheets/sheet1.xml' declares XML entities"
