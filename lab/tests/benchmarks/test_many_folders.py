"""The folders as other readers than ours read them, and the questions on them."""

from __future__ import annotations

import csv
import email
import io
import json
from collections import Counter
from collections.abc import Mapping
from email import policy
from email.message import EmailMessage
from pathlib import PurePosixPath

import docx
import openpyxl
import pypdf
import pytest
from many import brightwater, lindenhof, quillmarlow, tallis
from many.asking import extreme, mistyped
from many.folders import FOLDERS, questions
from many.judge import named
from many.question import (
    AGGREGATE,
    COUNT,
    DOCUMENT,
    GERMAN,
    KINDS,
    LIST,
    PROSE,
    SPLITS,
    TYPOS,
    Question,
)

FILES = {name: folder.write() for name, folder in FOLDERS.items()}
QUESTIONS = questions()
LEAST = {"lookup": 25, LIST: 25, COUNT: 25, AGGREGATE: 25, "exists": 15, "compare": 10}
LEAST |= {"latest": 15, "two_hops": 20, DOCUMENT: 8}


def text_of(path: str, content: bytes) -> str:
    suffix = PurePosixPath(path).suffix
    if suffix == ".xlsx":
        book = openpyxl.load_workbook(io.BytesIO(content))
        rows = [row for sheet in book.worksheets for row in sheet.iter_rows(values_only=True)]
        return "\n".join(str(value) for row in rows for value in row)
    if suffix == ".docx":
        return "\n".join(part.text for part in docx.Document(io.BytesIO(content)).paragraphs)
    if suffix == ".pdf":
        pages = pypdf.PdfReader(io.BytesIO(content)).pages
        return " ".join(" ".join(page.extract_text() for page in pages).split())
    if suffix == ".eml":
        message = email.message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return f"{message['from']} {message['date']}\n{message.get_content()}"
    return content.decode()


@pytest.fixture(scope="module")
def texts() -> Mapping[str, Mapping[str, str]]:
    return {
        name: {path: text_of(path, content) for path, content in files.items()}
        for name, files in FILES.items()
    }


def rows_of(name: str, path: str, mark: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(FILES[name][path].decode()), delimiter=mark))


def one(text: str) -> Question:
    return next(item for item in QUESTIONS if item.text == text)


def test_the_same_bytes_again() -> None:
    for name, folder in FOLDERS.items():
        again = {path: content for path, content in folder.write().items() if path[-4:] != ".pdf"}
        assert again == {path: FILES[name][path] for path in again}


def test_folders_have_their_own_shape() -> None:
    assert all(50 <= len(files) <= 120 for files in FILES.values())
    suffixes = Counter(PurePosixPath(path).suffix for files in FILES.values() for path in files)
    assert {".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".md", ".txt", ".eml", ".html"} <= {
        *suffixes
    }
    folders = [{path.split("/")[0] for path in files if "/" in path} for files in FILES.values()]
    assert len(set.union(*folders)) >= 25


def test_numbers_of_questions() -> None:
    assert len(QUESTIONS) >= 200
    kinds = Counter(item.kind for item in QUESTIONS)
    assert {kind: kinds[kind] for kind in KINDS if kinds[kind] < LEAST[kind]} == {}
    for kind in (LIST, COUNT, AGGREGATE):
        prose = sum(item.basis == PROSE for item in QUESTIONS if item.kind == kind)
        assert 0.3 <= prose / kinds[kind] <= 0.6, kind
    styles = Counter(item.style for item in QUESTIONS)
    assert styles[GERMAN] >= 20
    assert styles[TYPOS] >= 20
    assert len({item.id for item in QUESTIONS}) == len(QUESTIONS)
    assert len({(item.folder, item.text) for item in QUESTIONS}) == len(QUESTIONS)


def test_halves_have_as_many_questions_of_each_kind() -> None:
    halves = Counter((item.kind, item.split) for item in QUESTIONS)
    for kind in KINDS:
        few, many = sorted(halves[kind, split] for split in SPLITS)
        assert many - few <= 2, kind


def test_each_question_has_an_answer_that_is_not_everything() -> None:
    for item in QUESTIONS:
        assert item.needed or item.numbers or item.verdict is not None, item.id
        if item.kind == LIST:
            assert 0 < len(item.needed) < len(item.universe), item.id
            assert set(item.needed) <= set(item.universe), item.id
        assert not (item.kind == "latest" and not item.stale), item.id


def test_names_and_facts_stand_in_the_files(texts: Mapping[str, Mapping[str, str]]) -> None:
    whole = {name: "\n".join([*some, *some.values()]) for name, some in texts.items()}
    missing = [
        (item.id, forms)
        for item in QUESTIONS
        for forms in item.needed
        if not named([forms], whole[item.folder])
    ]
    assert missing == []


def test_stale_values_stand_in_older_files(texts: Mapping[str, Mapping[str, str]]) -> None:
    for item in QUESTIONS:
        whole = "\n".join(texts[item.folder].values())
        assert not item.stale or named([item.stale], whole), item.id


def test_sums_from_the_rows_of_the_files() -> None:
    rows = rows_of("brightwater", "finance/expenses-2025.csv", ",")
    travel = sum(
        float(row["amount"])
        for row in rows
        if (row["category"], row["currency"]) == ("Travel", "GBP")
        and row["date"][5:7] in ("04", "05", "06")
    )
    (expected,) = one("What did we spend on travel in Q2 2025, in pounds?").numbers
    assert travel == pytest.approx(expected)
    assert len(rows) >= 150

    belege = rows_of("lindenhof", "Finanzen/Reisekosten 2025.csv", ";")
    francs = sum(
        float(row["Betrag"].replace(".", "").replace(",", "."))
        for row in belege
        if row["Währung"] == "CHF"
    )
    (expected,) = one("What is the total of all travel expenses in Swiss francs?").numbers
    assert francs == pytest.approx(expected)
    assert len(belege) >= 150

    orders = rows_of("tallis", "procurement/orders.tsv", "\t")
    okeanos = sum(
        float(row["Amount"].replace(",", ""))
        for row in orders
        if (row["Vendor"], row["Currency"]) == ("Okeanos GmbH", "USD")
    )
    (expected,) = one("How much did we pay Okeanos in dollars?").numbers
    assert okeanos == pytest.approx(expected)


def test_counts_from_records_and_front_matter() -> None:
    lines = FILES["tallis"]["helpdesk/tickets.jsonl"].decode().splitlines()
    still_open = sum(json.loads(line)["closed"] is None for line in lines)
    assert one("How many tickets are still open?").numbers == (still_open,)
    texts = [
        content.decode()
        for path, content in FILES["brightwater"].items()
        if path.startswith("incidents/")
    ]
    may = sum("\ndate: 2025-05-" in text for text in texts)
    assert one("How many incidents did we have in May 2025?").numbers == (may,)
    book = openpyxl.load_workbook(io.BytesIO(FILES["quillmarlow"]["Rent roll.xlsx"]))
    assert len(book.worksheets) == 2
    card = sum(row[3] == "card" for row in book.worksheets[1].iter_rows(values_only=True))
    assert one("How many payments were received by card?").numbers == (card,)


def test_prose_has_its_facts_and_no_fields(texts: Mapping[str, Mapping[str, str]]) -> None:
    some = texts["brightwater"]
    for contract in brightwater.CONTRACTS:
        (text,) = (t for p, t in some.items() if "contracts/" in p and contract.party in t)
        assert not text.startswith("---")
        assert f"{contract.monthly_fee:,}" in text
        assert str(contract.end.year) in text
    for lease in quillmarlow.LEASES:
        (text,) = (
            t for p, t in texts["quillmarlow"].items() if "Shops/" in p and lease.tenant in t
        )
        assert f"{lease.annual:,}" in text
    for agreement in tallis.AGREEMENTS:
        (text,) = (
            t for p, t in texts["tallis"].items() if "agreements/" in p and agreement.partner in t
        )
        assert f"{agreement.records:,} records" in text
    for vertrag in lindenhof.VERTRAEGE:
        text = texts["lindenhof"][f"Verträge/{vertrag.haus}.txt"]
        assert f"{vertrag.tonnen} Tonnen" in text
        assert str(vertrag.ende.year) in text


def test_facts_of_a_report_stand_in_one_file(texts: Mapping[str, Mapping[str, str]]) -> None:
    for item in QUESTIONS:
        if item.kind == DOCUMENT:
            best = max(len(named(item.needed, text)) for text in texts[item.folder].values())
            assert best == len(item.needed) >= 6, item.id


def test_typos_spare_names_and_numbers() -> None:
    text = "How many expenses did Amara Bell file in September 2025?"
    typed = mistyped(text)
    assert typed != text
    assert "Amara Bell" in typed
    assert "September 2025" in typed
    assert typed == mistyped(text)


def test_a_tie_has_two_answers() -> None:
    assert extreme([1, 3, 2], lambda x: x) == 3
    assert extreme([1, 3, 2], lambda x: x, least=True) == 1
    with pytest.raises(ValueError, match="tied"):
        extreme([1, 3, -3], abs)
