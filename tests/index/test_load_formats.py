from __future__ import annotations

from pathlib import Path

import pytest
from index.conftest import load_whole

from expertrag_index.build.sections import sections
from expertrag_index.types import Document

SAMPLES = Path(__file__).parents[1] / "data" / "documents"


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    loaded = load_whole(SAMPLES)
    assert len({document.id for document in loaded}) == len(loaded)
    return {document.id: document for document in loaded}


def read(path: Path, content: str | bytes) -> Document:
    """Write a file, load it alone, and expect one document."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (document,) = load_whole(path)
    return document


def test_files_are_found_in_order_with_their_folder_as_domain(
    documents: dict[str, Document],
) -> None:
    assert list(documents) == [
        "7", "facts.json#2", "q1", "faq.csv#2", "guide.md", "a", "letters.jsonl#3", "limits.json",
        "memo.docx", "notes.txt", "g1", "people.csv#1", "people.csv#2", "report.pdf", "d1", "d2",
        "manual/page.html", "manual/setup.rst",
    ]  # fmt: skip
    assert documents["manual/setup.rst"].domain == "manual"
    assert documents["notes.txt"].domain is None
    assert documents["manual/setup.rst"].source == "documents/manual/setup.rst"
    assert documents["a"].source == "documents/letters.jsonl"


def test_markdown_keeps_text_and_code_and_takes_front_matter(
    documents: dict[str, Document],
) -> None:
    guide = documents["guide.md"]
    assert guide.title == "Backup guide"
    assert guide.domain == "operations"
    assert guide.metadata == {
        "year": 2024, "reviewed": "2024-05-01", "tags": ["backup", "restore"]
    }  # fmt: skip
    fields = "year: 2024\ntags: [backup, restore]\nreviewed: 2024-05-01"
    assert guide.text.startswith(f"# Backups at a glance\n\n{fields}\n\n")
    assert "Run pg_dump every night; see the manual." in guide.text
    assert "# this is a comment, no heading\npsql mydb < [backup](file)" in guide.text
    assert "internal note" not in guide.text
    assert "postgresql.org" not in guide.text


def test_plain_text_loses_its_byte_order_mark_and_carriage_returns(
    documents: dict[str, Document],
) -> None:
    notes = documents["notes.txt"]
    assert notes.title == "Office hours"
    assert notes.text.splitlines()[3] == "The office is open from nine to five."
    assert "\r" not in notes.text
    assert "\ufeff" not in notes.text


def test_rest_keeps_text_code_and_headings_only(documents: dict[str, Document]) -> None:
    setup = documents["manual/setup.rst"]
    assert setup.title == "Setup"
    for kept in ("# Setup", "## Install", "### Remove", "Needs Python 3.11 or later."):
        assert kept in setup.text
    for kept in ("Use pip, see the guide and `pip --help`:", "import expertrag  # kept"):
        assert kept in setup.text
    for dropped in ("toctree", "maxdepth", "hidden", "linenos", "A comment", "over two lines"):
        assert dropped not in setup.text


def test_html_keeps_what_a_reader_sees(documents: dict[str, Document]) -> None:
    page = documents["manual/page.html"]
    assert page.title == "Leave & holidays"
    assert page.text.startswith(
        "Home\n\n# Leave\n\nEveryone has thirty days of leave.\n\nAsk your lead.\nEarly.\n\n"
        "- Christmas\n"
    )
    assert "if x:\n    leave()" in page.text
    assert "Month: May | Days: 2" in page.text
    for dropped in ("color", "hidden", "a comment"):
        assert dropped not in page.text


def test_pdf_and_docx_give_text_and_properties(documents: dict[str, Document]) -> None:
    report, memo = documents["report.pdf"], documents["memo.docx"]
    assert report.title == "Yearly report"
    assert report.metadata == {"pages": 2, "author": "A. Writer", "modified": "2024-01-01"}
    assert report.text == (
        "Sales grew by four percent in the first half.\n\nCosts fell in the second half."
    )
    assert memo.title == "Memo on travel"
    assert memo.text == (
        "# Travel\n\nBook trains, not flights.\n\n## Costs\n\n- Hotels: up to 120 a night.\n\n"
        "City | Limit\nRome | 120"
    )


def test_csv_rows_are_documents(documents: dict[str, Document]) -> None:
    assert documents["q1"] == Document(
        "q1",
        "Refunds take three days.\n\nvotes: 7",
        "Refunds",
        {"votes": 7},
        "finance",
        "documents/faq.csv",
    )
    assert documents["faq.csv#2"].text == "Send it back;\nwe pay."
    grace = documents["people.csv#2"]
    assert grace.text == 'name: Grace "Amazing" H.\nrole: admiral\ncity: New York'
    assert grace.metadata["city"] == "New York"


def test_json_records_are_documents(documents: dict[str, Document]) -> None:
    assert documents["limits.json"].metadata == {"plan": "free", "seats": 10, "nested.a": 1}
    assert documents["7"].domain == "maths"
    assert documents["facts.json#2"].text == "Eight is not."
    assert documents["a"].metadata == {"rank": 1, "greek": True}
    assert documents["letters.jsonl#3"].metadata == {}
    assert documents["g1"].text == "Packed line."


def test_reads_only_the_corpus_of_a_beir_folder() -> None:
    loaded = load_whole(SAMPLES / "beir")
    assert [(document.id, document.title) for document in loaded] == [("d1", "Tides"), ("d2", "")]
    assert loaded[0].domain is None


def test_a_file_given_directly_has_its_name_as_id() -> None:
    (document,) = load_whole(SAMPLES / "manual" / "page.html")
    assert (document.id, document.source, document.domain) == ("page.html", "page.html", None)


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("a.md", "Text\n\n## First # heading ##\n", "First # heading"),
        ("a.md", "```\n# code\n```\n\nSetext\n---\n", "Setext"),
        ("a.md", "---\ntitle: 2024\n---\nText", "2024"),
        ("a.md", "---\nno mapping\n\n---\nText", "a"),
        ("a.txt", "Just text.", "a"),
        ("a.html", "<h1>Heading <i>one</i></h1><p>Text", "Heading one"),
        ("a.rst", "First\n*****\n\nText", "First"),
        ("A.B.TXT", "Just text.", "A.B"),
    ],
)
def test_the_title_is_found(tmp_path: Path, name: str, content: str, title: str) -> None:
    assert read(tmp_path / name, content).title == title


XHTML = """<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "xhtml1-strict.dtd">
<!-- {comment} -->
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>VPN</title><script src="a.js"/></head>
<body><h1>VPN</h1><p>Caf\xe9&nbsp;and <a id="x"/>M&uuml;nchen.</p><br/>
<pre><![CDATA[vpn --user <badge> && ok]]></pre><p><![CDATA[open</p></body></html>"""


def test_reads_xhtml(tmp_path: Path) -> None:
    """Warnings are errors in these tests: the parser must give none."""
    for comment in ("short", "long " * 200):  # beyond what the parser looks at for <html
        page = XHTML.format(comment=comment).encode("latin-1")
        document = read(tmp_path / "a.html", page)
        assert document.title == "VPN"
        assert document.text.startswith("# VPN\n\nCaf\xe9 and M\xfcnchen.")
        assert "vpn --user <badge> && ok" in document.text
        assert "comment" not in document.text
    plain = XHTML.format(comment="").split("\n", 1)[1]
    assert "vpn --user <badge> && ok" in read(tmp_path / "a.html", plain).text


@pytest.mark.parametrize(
    "page",
    [
        '<?xml version="1.0"?>\n<article><para>Text of a book.</para></article>',
        '<?xml version="1.0"?>' + "\n" * 600 + "<html><p>Text of a book.</p></html>",
        "https://example.com/Text of a book.",
    ],
    ids=["XML that is not HTML", "a late root", "an address for a page"],
)
def test_the_html_parser_gives_no_warnings(tmp_path: Path, page: str) -> None:
    assert "Text of a book." in read(tmp_path / "a.html", page).text


@pytest.mark.parametrize(
    ("lines", "metadata"),
    [
        ("tags: [a, b]", {"tags": ["a", "b"]}),
        ("tags:\n  - a\n  - b", {"tags": ["a", "b"]}),
        ("tags: [only]", {"tags": ["only"]}),
        (
            "mixed: [a, 2, 2.5, true, null, 2024-05-01]",
            {"mixed": ["a", 2, 2.5, True, "2024-05-01"]},
        ),
        ("author:\n  name: Ada\n  team: {id: 7}", {"author.name": "Ada", "author.team.id": 7}),
        ("authors: [{name: Ada}, {name: Bob}]", {"authors.name": ["Ada", "Bob"]}),
        ("deep: [[1, [2]], 3]", {"deep": [1, 2, 3]}),
        ("a.b: 1\na: {b: 2}", {"a.b": [1, 2]}),
        ("none: []\nempty: {}\nnull:", {}),
        ("set: !!set {b, a}", {"set": ["a", "b"]}),
    ],
)
def test_lists_and_maps_of_front_matter_are_metadata(
    tmp_path: Path, lines: str, metadata: dict[str, object]
) -> None:
    for name in ("a.md", "a.txt", "a.rst"):
        assert read(tmp_path / name, f"---\n{lines}\n---\nText").metadata == metadata


def test_title_and_domain_of_front_matter_may_be_lists(tmp_path: Path) -> None:
    document = read(tmp_path / "a.md", "---\ntitle: [One, Two]\ndomain: [law, tax]\n---\nText")
    assert (document.title, document.domain, document.metadata) == ("One, Two", "law", {})


def test_encodings_that_a_file_declares_are_followed(tmp_path: Path) -> None:
    page = '<meta charset="iso-8859-1"><p>caf\xe9</p>'
    assert read(tmp_path / "a.html", page.encode("latin-1")).text == "caf\xe9"
    assert read(tmp_path / "a.txt", "caf\xe9".encode("utf-16")).text == "caf\xe9"


def test_a_title_alone_is_a_valid_text(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", '{"title": "Only this", "text": ""}').text == "Only this"


def test_large_integers_become_strings(tmp_path: Path) -> None:
    document = read(tmp_path / "a.json", '{"text": "t", "n": 9223372036854775808, "m": 1}')
    assert document.metadata == {"n": "9223372036854775808", "m": 1}


def test_a_comment_in_the_code_of_a_page_is_not_a_heading(tmp_path: Path) -> None:
    page = "<h1>Set-up</h1><pre># install\napt install sluice\n<b># run</b>\nsluice</pre>"
    text = read(tmp_path / "a.html", page).text
    assert [section.heading for section in sections(text)] == ["Set-up"]
    assert "```\n# install\napt install sluice\n# run\nsluice\n```" in text


def test_underlined_titles_of_plain_text_are_headings(tmp_path: Path) -> None:
    body = "Values are sent every hour unless the battery is low or the probe is asleep. " * 3
    text = f"Probe guide\n===========\n\n{body}\n\nReset\n-----\n\n{body}\n"
    document = read(tmp_path / "guide.rst.txt", text)
    assert document.title == "Probe guide"
    assert [item.heading for item in sections(document.text)] == ["Probe guide", "Reset"]
