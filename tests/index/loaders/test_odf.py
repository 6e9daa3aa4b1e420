"""OpenDocument files: texts, sheets and slides, and what they do not show."""

from __future__ import annotations

from pathlib import Path

import pytest
from index.loaders.office_files import Parts, parsed, read

KINDS = "office text table draw style presentation meta"
SPACES = {kind: f"urn:oasis:names:tc:opendocument:xmlns:{kind}:1.0" for kind in KINDS.split()}
SPACES |= {
    "dc": "http://purl.org/dc/elements/1.1/",
    "svg": "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0",
}
NAMESPACES = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())


def odf(kind: str, body: str, styles: str = "", margins: str = "") -> Parts:
    content = (
        f"<office:document-content {NAMESPACES}><office:automatic-styles>{styles}"
        f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}>"
        "</office:body></office:document-content>"
    )
    about = (
        f"<office:document-meta {NAMESPACES}><office:meta><dc:title>Fees</dc:title>"
        "<dc:creator>A. Writer</dc:creator></office:meta></office:document-meta>"
    )
    page = (
        f"<office:document-styles {NAMESPACES}><style:master-page>{margins}</style:master-page>"
        "</office:document-styles>"
    )
    return {
        "content.xml": content.encode(),
        "meta.xml": about.encode(),
        "styles.xml": page.encode(),
    }


def hides(family: str, properties: str) -> str:
    return (
        f'<style:style style:name="H" style:family="{family}"><style:{properties}/></style:style>'
    )


def p(text: str, style: str = "") -> str:
    return f'<text:p text:style-name="{style}">{text}</text:p>'


TEXTS = {
    "a heading": ('<text:h text:outline-level="2">Fees</text:h>', "## Fees"),
    "spaces and breaks": (p('a<text:s text:c="2"/>b<text:tab/>c<text:line-break/>d'), "a  b\tc\nd"),
    "a list": (
        f"<text:list><text:list-item>{p('one')}</text:list-item><text:list-item>{p('two')}"
        "</text:list-item></text:list>",
        "- one\n\n- two",
    ),
    "a section": (f"<text:section>{p('inside')}</text:section>", "inside"),
    "spans and links": (p("a <text:span>b</text:span><text:a> c</text:a> d"), "a b c d"),
    "a field": (p("on <text:date>May 1</text:date>"), "on May 1"),
    "a note": (
        p("a<text:note><text:note-citation>1</text:note-citation><text:note-body>"
          f"{p('Of 1871.')}</text:note-body></text:note> b"),
        "a b\n\nNote: Of 1871.",
    ),
    "a comment": (
        p(f"a<office:annotation><dc:creator>X</dc:creator><dc:date>2024</dc:date>{p('Check')}"
          "</office:annotation>"),
        "a\n\nComment: Check",
    ),
    "a text box": (
        p(f"a<draw:frame><draw:text-box>{p('box')}</draw:text-box></draw:frame>"), "a\n\nbox"
    ),
    "a described picture": (
        p("a<draw:frame><draw:image/><svg:desc>A mast</svg:desc></draw:frame>"),
        "a\n\n[Image: A mast]",
    ),
    "a shape": (f"<draw:custom-shape>{p('shape')}</draw:custom-shape>", "shape"),
    "a prompt": (p("# reboot"), " # reboot"),
    "a deletion": (f"<text:tracked-changes>{p('gone')}</text:tracked-changes>{p('here')}", "here"),
    "a table": (
        "<table:table><table:table-header-rows><table:table-row>"
        '<table:table-cell table:number-rows-spanned="2">'
        f"{p('North')}</table:table-cell><table:table-cell>{p('Tug')}</table:table-cell></table:table-row>"
        "</table:table-header-rows><table:table-row><table:covered-table-cell/><table:table-cell>"
        f"{p('Ferry')}</table:table-cell></table:table-row></table:table>",
        "North | Tug\nNorth | Ferry",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_what_a_text_shows_is_read(tmp_path: Path, case: str) -> None:
    body, text = TEXTS[case]
    parts = odf("text", p("before") + body + p("after"))
    assert read(tmp_path, "a.odt", parts) == f"before\n\n{text}\n\nafter"


def test_headers_and_footers_are_read_once_and_hidden_paragraphs_are_not(tmp_path: Path) -> None:
    contract = p("Contract 47-11")
    margins = f"<style:header>{contract}</style:header><style:footer>{contract}</style:footer>"
    parts = odf(
        "text",
        p("seen") + p("unseen", "H"),
        hides("paragraph", 'text-properties text:display="none"'),
        margins,
    )
    text, (failure,) = parsed(tmp_path, "a.odt", parts)
    assert text == "seen\n\nContract 47-11"
    assert failure.reason == "hidden text is left out: hidden (1)"


def cells(*texts: str, more: str = "") -> str:
    return "".join(f"<table:table-cell {more}>{p(text)}</table:table-cell>" for text in texts)


def test_a_sheet_is_a_page_with_its_cells_as_they_are_shown(tmp_path: Path) -> None:
    note = f"<office:annotation>{p('Since May')}</office:annotation>"
    rows = [
        cells("Port", "Share"),
        f"{cells('North')}<table:table-cell>{p('15.5%')}{note}</table:table-cell>",
        '<table:table-cell table:number-columns-repeated="16383"/>',
        cells("0%", more='table:number-columns-repeated="2"'),
    ]
    sheet = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    hidden = f'<table:table-row table:visibility="collapse">{cells("unseen")}</table:table-row>'
    filtered = f'<table:table-row table:visibility="filter">{cells("South")}</table:table-row>'
    body = (
        f'<table:table table:name="Fees">{sheet}{hidden}{filtered}</table:table>'
        f'<table:table table:name="Secret" table:style-name="H">{sheet}</table:table>'
    )
    text, (failure,) = parsed(
        tmp_path,
        "a.ods",
        odf("spreadsheet", body, hides("table", 'table-properties table:display="false"')),
    )
    assert text.split("\n") == [
        "# Fees", "", "Port | Share", "Port: North | Share: 15.5%", "Comment: Since May",
        "Port: 0% | Share: 0%", "Port: South",
    ]  # fmt: skip
    assert "hidden row (1)" in failure.reason and "hidden sheet (1)" in failure.reason


def test_repeated_cells_are_bounded(tmp_path: Path) -> None:
    row = cells("x" * 1_000, more='table:number-columns-repeated="16384"')
    sheet = f"<table:table>{f'<table:table-row>{row}</table:table-row>' * 2}</table:table>"
    text, (failure,) = parsed(tmp_path, "a.ods", odf("spreadsheet", sheet))
    assert text == ""
    assert failure.reason.startswith("the text of the sheets is larger than")


def test_a_slide_is_a_page_with_its_notes(tmp_path: Path) -> None:
    def box(text: str, kind: str = "") -> str:
        inner = f"<draw:text-box>{p(text)}</draw:text-box>"
        return f'<draw:frame presentation:class="{kind}">{inner}</draw:frame>'

    style = 'drawing-page-properties presentation:visibility="hidden"'
    notes = f"<presentation:notes>{box('Ask about boats')}</presentation:notes>"
    body = (
        f"<draw:page>{box('Body')}{box('Harbour', 'title')}"
        f"<draw:g>{box('Grouped')}</draw:g>{notes}</draw:page>"
        f'<draw:page draw:style-name="H">{box("unseen")}</draw:page>'
    )
    text, (failure,) = parsed(
        tmp_path, "a.odp", odf("presentation", body, hides("drawing-page", style))
    )
    assert text == "# Harbour\n\nBody\n\nGrouped\n\nNotes: Ask about boats"
    assert failure.reason == "hidden text is left out: hidden slide (1)"


ENTITIES = b'<!DOCTYPE x [<!ENTITY e "ha">]>'


@pytest.mark.parametrize("suffix", ["odt", "ods", "odp"])
@pytest.mark.parametrize(
    ("part", "content", "reason"),
    [
        ("content.xml", b"garbage", "the part 'content.xml' is damaged"),
        ("content.xml", ENTITIES + b"<x/>", "'content.xml' declares XML entities"),
        ("META-INF/manifest.xml", b"<x><encryption-data/></x>", "the file is encrypted"),
        ("x.xml", bytes(2**24), "the unpacked file is larger than 8 MiB"),
    ],
)
def test_hostile_files_are_named(
    tmp_path: Path, suffix: str, part: str, content: bytes, reason: str
) -> None:
    parts = odf("text", p("seen")) | {part: content}
    text, failures = parsed(tmp_path, f"a.{suffix}", parts)
    assert text == ""
    assert failures[0].reason == reason


def test_damaged_styles_and_properties_lose_only_themselves(tmp_path: Path) -> None:
    for part in ("styles.xml", "meta.xml"):
        parts = odf("text", p("seen"), margins=f"<style:header>{p('head')}</style:header>")
        assert "seen" in read(tmp_path, "a.odt", parts | {part: b"garbage"})
