"""The share of ``eval-office`` as other readers than ours read it, and the questions on it."""

from __future__ import annotations

import email
import html
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from email import policy
from email.message import EmailMessage
from pathlib import Path

import docx
import openpyxl
import pptx
import pypdf
import pytest
from office_markup import Kind, blocks
from office_questions import (
    ANSWERABLE,
    GENERAL,
    KINDS,
    WITHOUT_ANSWER,
    first,
    questions,
    words,
)
from office_share import HALVES, MATERIAL, documents, write

DOCUMENTS = {document.path: document for document in documents()}
QUESTIONS = questions()
COMPUTED = {"several-009"}
"""Questions whose answer is a difference, so that it stands in no document."""


def word(content: bytes) -> str:
    document = docx.Document(io.BytesIO(content))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    author = document.core_properties.author
    return "\n".join([author, *(item.text for item in document.paragraphs), *cells])


def deck(content: bytes) -> str:
    presentation = pptx.Presentation(io.BytesIO(content))
    lines = [presentation.core_properties.author]
    for slide in presentation.slides:
        for shape in slide.shapes:
            if shape.has_text_frame:
                lines.append(shape.text_frame.text)
            if shape.has_table:
                lines += [cell.text for row in shape.table.rows for cell in row.cells]
        if slide.has_notes_slide:
            lines.append(slide.notes_slide.notes_text_frame.text)
    return "\n".join(lines)


def book(content: bytes) -> str:
    workbook = openpyxl.load_workbook(io.BytesIO(content))
    rows = [row for sheet in workbook.worksheets for row in sheet.iter_rows(values_only=True)]
    return "\n".join([workbook.properties.creator, *(str(value) for row in rows for value in row)])


def pages(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)


def markup(content: bytes) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", content.decode()))


def open_document(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return markup(archive.read("content.xml"))


def mail(content: bytes) -> str:
    message = email.message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    parts = [part.get_content() for part in message.walk() if not part.is_multipart()]
    return "\n".join([str(message["from"]), str(message["subject"]), markup(parts[-1].encode())])


def notebook(content: bytes) -> str:
    cells = json.loads(content)["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return "".join(
        text for item in (*cells, *outputs) for text in item.get("source", item.get("text"))
    )


READERS: Mapping[str, Callable[[bytes], str]] = {
    ".docx": word,
    ".pptx": deck,
    ".xlsx": book,
    ".pdf": pages,
    ".html": markup,
    ".odt": open_document,
    ".eml": mail,
    ".csv": lambda content: content.decode().replace(",", ", "),
    ".json": lambda content: json.dumps(json.loads(content), ensure_ascii=False),
    ".ipynb": notebook,
}


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    folder = tmp_path_factory.mktemp("share")
    return {path: (folder / path).read_bytes() for path in write(folder)}


@pytest.fixture(scope="module")
def texts(contents: Mapping[str, bytes]) -> Mapping[str, str]:
    return {
        path: READERS.get(Path(path).suffix, bytes.decode)(content)
        for path, content in contents.items()
    }


def test_the_share_is_large_and_mixed(contents: Mapping[str, bytes]) -> None:
    assert list(contents) == list(DOCUMENTS)
    assert len(contents) >= 150
    assert len({Path(path).suffix for path in contents}) >= 12
    assert sum(path.stat().st_size for path in MATERIAL.rglob("*") if path.is_file()) < 1_000_000


def test_a_document_is_written_with_the_same_bytes_again(contents: Mapping[str, bytes]) -> None:
    by_type = {Path(path).suffix: path for path in contents}
    again = {path: DOCUMENTS[path].content() for path in by_type.values()}
    assert again == {path: contents[path] for path in by_type.values()}


def test_each_format_has_tables_and_some_have_merged_cells() -> None:
    formats = (".docx", ".pptx", ".pdf", ".xlsx", ".html", ".md")
    tables: Counter[str] = Counter()
    merged: Counter[str] = Counter()
    for path, document in DOCUMENTS.items():
        suffix = Path(path).suffix
        for block in blocks(document.body) if suffix in formats else []:
            tables[suffix] += block.kind is Kind.TABLE
            merged[suffix] += any(cell.rows * cell.columns > 1 for cell in block.cells())
    assert min(tables[suffix] for suffix in formats) >= 6
    assert sum(tables[suffix] for suffix in formats) >= 40
    assert min(merged[suffix] for suffix in formats[:-1]) >= 1


def test_answers_stand_in_their_documents_as_other_libraries_read_them(
    texts: Mapping[str, str],
) -> None:
    missing = [
        item.id
        for item in QUESTIONS
        if item.kind in ANSWERABLE
        and {"yes", "no"}.isdisjoint(item.answers or ())
        and all(first(texts[path], item.answers or ()) is None for path in item.documents)
    ]
    assert set(missing) <= COMPUTED


def test_dates_and_authors_stand_in_the_properties(contents: Mapping[str, bytes]) -> None:
    policy_2025 = contents["HR/Policies/Leave Policy 2025.docx"]
    properties = docx.Document(io.BytesIO(policy_2025)).core_properties
    assert (properties.author, f"{properties.modified:%Y-%m-%d}") == ("Ottilie Marsh", "2025-01-06")
    bands = openpyxl.load_workbook(io.BytesIO(contents["HR/Pay/Salary bands 2024.xlsx"]))
    assert bands.properties.creator == "Lucan Treviso"


def test_a_document_and_its_questions_are_of_one_half() -> None:
    for item in QUESTIONS:
        assert {DOCUMENTS[path].half for path in item.documents} <= {item.half}, item.id
        assert bool(item.documents) is (item.kind in ANSWERABLE), item.id
    halves = Counter((item.kind, item.half) for item in QUESTIONS)
    for kind in KINDS:
        few, many = sorted(halves[kind, half] for half in HALVES)
        assert many <= 1.3 * few + 1, kind


def test_number_of_questions() -> None:
    kinds = Counter(item.kind for item in QUESTIONS)
    least = {"fact": 60, "table": 60, "version": 40, "several": 12, "yesno": 20, "howto": 20}
    least |= {"followup": 20, "us_missing": 20, "unanswerable": 24, "general": 24}
    assert {kind: kinds[kind] for kind in least if kinds[kind] < least[kind]} == {}
    formats = Counter(item.format for item in QUESTIONS if item.kind == "table")
    assert min(formats[name] for name in ("docx", "pptx", "pdf", "xlsx", "html", "md")) >= 10
    texts = Counter(item.text for item in QUESTIONS)
    assert texts.most_common(1)[0][1] == 1


def test_forms_are_distinctive() -> None:
    for item in QUESTIONS:
        accepted = item.answers or ()
        assert all(words(form) for form in (*accepted, *item.wrong)), item.id
        assert not [form for form in accepted if first(form, item.wrong) is not None], item.id


def test_each_kind_has_what_it_is_judged_by() -> None:
    for item in QUESTIONS:
        assert (item.answers == ()) is (item.kind in WITHOUT_ANSWER), item.id
        assert item.answers is not None or item.kind == GENERAL, item.id
        assert (item.kind == "followup") is bool(item.history), item.id
        assert item.kind != "version" or item.wrong, item.id
        assert (item.kind == "table") is bool(item.format) or item.kind == "version", item.id
