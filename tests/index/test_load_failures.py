from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fpdf import FPDF
from index.conftest import load_all, zip_of

from expertrag_index.loaders import ReadLimits, load
from expertrag_index.types import LoadFailure

DAMAGED = b"na\xc3\xafve caf\xe9 \xc3\xa0 la carte\n"
BAD_FILES = {
    "a PDF that is not one": ("a.pdf", b"hello, I am text", "not a readable PDF"),
    "a PDF cut off": ("a.pdf", b"%PDF-1.7\n1 0 obj\n<</Type /Catalog", "not a readable PDF"),
    "a DOCX that is not one": ("a.docx", b"hello", "not a readable DOCX"),
    "a zip that is not DOCX": ("a.docx", zip_of({"x": b"y"}), "not a readable DOCX"),
    "a zip bomb": ("a.docx", zip_of({"word/document.xml": bytes(10**6)}), "larger than"),
    "an empty file": ("a.txt", b"", "is empty"),
    "an empty line file": ("a.jsonl", b"", "is empty"),
    "an empty table": ("a.csv", b"", "is empty"),
    "white space": ("a.md", b" \n\n", "contains no text"),
    "front matter alone": ("a.md", b"---\ntitle: x\n---\n", "contains no text"),
    "a page without text": ("a.html", b"<script>x</script>", "contains no text"),
    "too large a text": ("a.txt", b"word " * 20_000, "larger than 0.0625 MiB"),
    "too large a JSON": ("a.json", b"[" + b" " * 70_000 + b"]", "larger than"),
    "damaged UTF-8": ("a.txt", DAMAGED * 4, "not valid UTF-8: byte 0xe9 at offset 10"),
    "damaged UTF-8 in a table": (
        "a.csv",
        b"a,b\n1,caf\xe9 na\xc3\xafve",
        "line 2: not valid UTF-8",
    ),
    "damaged UTF-8 in JSON": ("a.json", b'{"text": "%s"}' % (DAMAGED * 4), "not valid UTF-8"),
    "bytes of no encoding": ("a.txt", b"text \x81\x8d\xff text", "not valid UTF-8"),
    "binary": ("a.txt", b"\x7fELF\0\0\1", "NUL"),
    "JSON that was cut off": ("a.json", b'[{"a": "Text"}, {"b"', "broken JSON: Expecting"),
    "JSON that was cut off after a record": ("a.json", b'[{"a": "Text"}', "broken JSON: Expecting"),
    "JSON cut off": ("a.json", b'[{"text": "half', "broken JSON: Unterminated string"),
    "XML cut off": ("a.xml", b"<a>Text<b>ha", "not well-formed XML in line 1"),
    "deep JSON": ("a.json", b"[" * 60_000, "nested too deep"),
    "JSON without text": ("a.json", b'{"id": 1, "a": null, "b": [""], "c": {}}', "no text"),
    "gzip of nothing": ("a.csv.gz", gzip.compress(b""), "is empty"),
    "gzip that is not": ("a.jsonl.gz", b"{}", "gzip file is damaged"),
    "gzip cut off": ("a.jsonl.gz", gzip.compress(b'{"text": "t"}\n' * 99)[:-9], "damaged"),
    "JSON gzip that is not": ("a.json.gz", b"{}", "gzip file is damaged"),
    "JSON gzip cut off": ("a.json.gz", gzip.compress(b'{"text": "t"}')[:-1], "damaged"),
    "a JSON bomb": ("a.json.gz", gzip.compress(b" " * 10**6), "larger than"),
    "a bomb of lines": ("a.jsonl.gz", gzip.compress(b"\n" * 10**6), "more than 200 times"),
    "a bomb of one line": ("a.jsonl.gz", gzip.compress(b" " * 10**6), "more than 200 times"),
    "too long a row": ("a.csv", b"id,text\n1," + b"x" * 70_000, "larger than"),
    "text gzip cut off": ("a.txt.gz", gzip.compress(b"text")[:-1], "damaged"),
    "a text bomb": ("a.txt.gz", gzip.compress(b" " * 10**6), "larger than"),
    "an unknown type": ("a.xyz", b"text", "a file of unknown type .xyz"),
    "an old type": ("a.doc", b"text", "a file of the format .doc of Office before 2007"),
    "no suffix": ("unnamed", b"text", "a file without a suffix"),
}


@pytest.mark.parametrize(("name", "content", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_a_failure_with_a_cure(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    _, failures = load_all(tmp_path / name)
    assert failures
    assert reason in failures[0].reason
    assert failures[0].source == name
    (tmp_path / "z.txt").write_text("Good text.")
    documents, failures = load_all(tmp_path)
    assert documents[-1].text == "Good text."
    assert [failure.source.split("/")[0] for failure in failures] == [tmp_path.name]


FOLDED = b"".join(
    b"%c: &%c [%s]\n" % (new, new, b", ".join([b"*%c" % old] * 9))
    for old, new in zip(b"abcdefgh", b"bcdefghi", strict=True)
)
SALVAGED = {
    "broken front matter": ("a.md", b"---\ntitle: [a\n---\nText", "broken front matter"),
    "a colon in a title": ("a.md", b"---\ntitle: Text: a: b\n---\nText", "broken front matter"),
    "a template": ("a.md", b"---\ntitle: {{x}}\n---\nText", "broken front matter"),
    "odd front matter": ("a.md", b"---\nday: 2024-99-99\n---\nText", "broken front matter"),
    "deep front matter": ("a.md", b"---\nx: " + b"[" * 5000 + b"\n---\nText", "front matter"),
    "an endless list": ("a.md", b"---\na: &a [x, *a]\n---\nText", "deeper than 32 levels"),
    "a list of billions": (
        "a.md",
        b"---\na: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + FOLDED + b"---\nText",
        "more than 10,000 values",
    ),
    "a comma too many": ("a.json", b'{"a": "Text",}', "broken JSON: Expecting property name"),
    "JSON with a comment": ("a.json", b'{"a": "Text" /* b */}', "broken JSON"),
    "deep metadata": (
        "a.json",
        b'{"text": "Text", "metadata": %s1%s}' % (b'{"a":' * 40, b"}" * 40),
        "deeper than 32 levels",
    ),
    "long metadata": (
        "a.json",
        b'{"text": "Text", "metadata": {"a": [%s 1], "b": 2}}' % (b"1.5," * 10_000),
        "left out of the metadata: 'a': it has more than 10,000 values",
    ),
    "a NUL in a list": ("a.json", b'{"text": "Text", "x": ["a", "\\u0000"]}', "U+0000"),
    "a lone surrogate in a list": ("a.json", b'{"text": "Text", "x": ["\\ud800"]}', "U+D800"),
    "a lone surrogate in a name": ("a.json", b'{"text": "Text", "\\ud800x": 1}', "U+D800"),
    "an escaped NUL": ("a.jsonl", b'{"_id": "a\\u0000", "text": "Te\\u0000xt"}', "U+0000"),
    "too many fields": ("a.csv", b"id,b\n1,a,Text\n", "row 1 cannot be split into 2 columns"),
    "a stray quote": ("a.csv", b'id,b\n1,"a, Text\n2,t\n', "row 1 cannot be split"),
    "broken XML": ("a.xml", b"<a>Text<b></a>", "not well-formed XML in line 1"),
    "a notebook that is not one": ("a.ipynb", b'{"cells": [7, "Text"]}', "not a notebook"),
}


@pytest.mark.parametrize(("name", "content", "reason"), SALVAGED.values(), ids=SALVAGED.keys())
def test_what_is_broken_in_a_file_is_noted_and_its_text_is_kept(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    documents, (notice, *more) = load_all(tmp_path / name)
    assert "Text" in documents[0].text
    assert reason in notice.reason
    assert notice.notice and more == []


@pytest.mark.parametrize(
    "fields",
    [
        '{"text": "Text", "x": ' + "[" * 40 + '"deep"' + "]" * 40 + "}",
        '{"text": "Text", "x": ' + '{"a": ' * 40 + '"deep"' + "}" * 40 + "}",
        '{"text": "Text", "x": NaN, "y": 1e999, "z": "deep"}',
        '{"text": "Text deep", "x": ' + "9" * 5000 + "}",
        '{"id": [1], "text": "Text", "title": ["deep"], "domain": {"x": 1}}',
        '[["Text", "deep"]]',
        '[7, "Text deep"]',
        '{"text": 7, "x": "Text deep"}',
    ],
)
def test_odd_values_of_records_are_text(tmp_path: Path, fields: str) -> None:
    (tmp_path / "a.json").write_text(fields)
    documents, failures = load_all(tmp_path / "a.json")
    assert failures == []
    assert "Text" in documents[-1].text and "deep" in documents[-1].text


def test_a_record_of_what_is_left_out_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "\\ud800\\u200b"}\n{"text": "b"}\n')
    (document,), (failure, _) = load_all(tmp_path / "a.jsonl")
    assert (document.text, failure.reason) == ("b", "a.jsonl#1 contains no text")


def encrypted(user_password: str) -> bytes:
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner", user_password=user_password)
    pdf.add_page()
    pdf.set_font("Helvetica")
    pdf.cell(text="Secret numbers")
    return bytes(pdf.output())


def test_a_pdf_is_read_unless_it_needs_a_password(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(encrypted("user"))
    (tmp_path / "b.pdf").write_bytes(encrypted(""))
    (document,), (failure,) = load_all(tmp_path)
    assert (document.id, document.text) == ("b.pdf", "Secret numbers")
    assert failure.source == f"{tmp_path.name}/a.pdf"
    assert "encrypted" in failure.reason
    assert "qpdf" in failure.cure


def test_a_pdf_without_text_names_a_cure(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.add_page()
    (tmp_path / "a.pdf").write_bytes(bytes(pdf.output()))
    _, (failure,) = load_all(tmp_path)
    assert "--ocr" in failure.cure and "ocrmypdf" in failure.cure


LONG_LINE = json.dumps({"text": "x" * 200_000})


@pytest.mark.parametrize(
    ("name", "lines", "kept", "reasons"),
    [
        (
            "a.jsonl",
            ['{"text": "one"}', '{"text": ', "[]", '{"text": "four"}', "", '{"text": "six"}'],
            ["a.jsonl#1", "a.jsonl#4", "a.jsonl#6"],
            ["line 2: ", "line 3: "],
        ),
        (
            "a.jsonl",
            ['{"text": "one"}', LONG_LINE, '{"text": "three"}'],
            ["a.jsonl#1", "a.jsonl#3"],
            ["line 2: it is larger"],
        ),
    ],
    ids=["broken lines", "a line over the limit"],
)
def test_a_bad_record_loses_only_itself(
    tmp_path: Path, name: str, lines: list[str], kept: list[str], reasons: list[str]
) -> None:
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    documents, failures = load_all(tmp_path)
    assert [document.id for document in documents] == kept
    for failure, reason in zip(failures, reasons, strict=True):
        assert failure.reason.startswith(reason)
        assert ("files.max_mb" in failure.cure) is ("larger" in reason)


def test_a_line_file_may_be_larger_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "some words"}\n' * 10_000)
    documents, failures = load_all(tmp_path)
    assert (len(documents), failures) == (10_000, [])


def test_many_broken_lines_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("x\n" * 1000)
    _, failures = load_all(tmp_path)
    assert len(failures) == 11
    assert failures[-1].reason == "990 more records cannot be read"


def test_unread_types_are_named_once_each_with_a_cure_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("sub/a.png", "b.png", "c", "d.txt", ".hidden.png", "~$d.docx", "e.doc", "f.q"):
        (tmp_path / name).write_text("x")
    documents, failures = load_all(tmp_path)
    assert [document.id for document in documents] == ["d.txt"]
    assert [failure.reason for failure in failures] == [
        "c without a suffix, skipped",
        "e.doc of the format .doc of Office before 2007, skipped",
        "2 files, such as b.png, of unknown type .png, skipped",
        "f.q of unknown type .q, skipped",
    ]
    assert [failure.notice for failure in failures] == [True, False, True, True]
    assert "soffice --headless --convert-to docx" in failures[1].cure
    assert "--ocr" in failures[2].cure


def test_documents_that_a_labels_field_leaves_to_everyone_are_counted(tmp_path: Path) -> None:
    for name, head in (("a", "team: hr"), ("b", "team: [hr, legal]"), ("c", "Team: hr")):
        (tmp_path / f"{name}.md").write_text(f"---\n{head}\n---\nRoses are red.\n")
    failures: list[LoadFailure] = []
    limits = ReadLimits(labels_field="team")
    documents = list(load([tmp_path], on_failure=failures.append, limits=limits))
    assert [item.labels for item in documents] == [("hr",), ("hr", "legal"), ()]
    (notice,) = failures
    assert notice.notice
    assert notice.reason.startswith("1 document has no metadata field 'team': every caller sees")
    assert notice.source == str(tmp_path)
    limits = ReadLimits(labels=["x"], labels_field="team")
    labelled = load([tmp_path], on_failure=failures.append, limits=limits)
    assert [item.labels for item in labelled][2] == ("x",)
    assert len(failures) == 1


def test_a_missing_path_and_a_dead_link_are_failures(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("nowhere.txt")
    _, failures = load_all(tmp_path / "missing", tmp_path)
    assert [failure.source for failure in failures] == ["missing", f"{tmp_path.name}/a.txt"]
    assert {failure.reason for failure in failures} == {"no such file or folder"}


def test_circular_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "x.txt").write_text("Text.")
    (tmp_path / "b" / "c" / "up").symlink_to(tmp_path)
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "self").symlink_to("self")
    documents, _ = load_all(tmp_path)
    assert [document.id for document in documents] == ["b/c/x.txt"]


def test_pipes_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").symlink_to("a.txt")
    assert load_all(tmp_path) == ([], [])
    _, (failure,) = load_all(tmp_path / "a.txt")
    assert failure.reason == "neither a file nor a folder"


def test_a_file_name_that_is_not_utf8_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("Text.")
    documents, (failure,) = load_all(tmp_path)
    assert documents == []
    assert failure.cure == "rename the file"


def test_missing_read_permission_is_a_failure(tmp_path: Path) -> None:
    """Root can read everything: if the tests run as root, the loader runs as another user."""
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "a.txt").write_text("Text.")
    (tmp_path / "a.txt").chmod(0)
    program = (
        "import os, sys; from pathlib import Path; import expertrag_index.loaders.plain\n"
        "from expertrag_index.loaders.load import files_of\n"
        "from expertrag_index.loaders.parse import parse\n"
        "from expertrag_index.loaders.patterns import Patterns\n"
        "from expertrag_index.types import LoadFailure\n"
        "os.chdir(sys.argv[1])\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"  # who may start no worker from root's Python
        "for file in files_of(Path('.'), None, 2**20, Patterns()):\n"
        "    for f in [file] if isinstance(file, LoadFailure) else parse(file):\n"
        "        print(f.source, '|', f.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        f"{tmp_path.name}/a.txt | no permission to read it",
        f"{tmp_path.name}/closed | no permission to read it",
    ]
