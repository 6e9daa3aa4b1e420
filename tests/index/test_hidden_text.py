"""Text that a reader of a file does not see is left out, and a notice says so."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from docx import Document as open_docx
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from docx.shared import RGBColor
from fpdf import FPDF
from PIL import Image
from store_helper import HashingEmbedder

from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders import load
from expertrag_index.store.index import Index
from expertrag_index.types import Document, LoadFailure


def loaded(path: Path) -> tuple[list[Document], list[LoadFailure]]:
    failures: list[LoadFailure] = []
    return list(load([path], on_failure=failures.append)), failures


def page(tmp_path: Path, body: str, head: str = "") -> tuple[str, list[LoadFailure]]:
    path = tmp_path / "page.html"
    path.write_text(f"<html><head>{head}</head><body><p>Seen.</p>{body}</body></html>", "utf-8")
    documents, failures = loaded(path)
    return documents[0].text, failures


@pytest.mark.parametrize(
    "body",
    [
        '<p style="display:none">Unseen</p>',
        '<p style="DISPLAY : NONE !important">Unseen</p>',
        '<p style="visibility:hidden">Unseen</p>',
        '<p style="opacity:0.0">Unseen</p>',
        '<p style="font-size:0">Unseen</p>',
        '<p style="font-size: 1px">Unseen</p>',
        '<p style="position:absolute; left:-9999px">Unseen</p>',
        '<p style="color:#fff">Unseen</p>',
        '<p style="color:white;background:#FFFFFF">Unseen</p>',
        '<p style="color:rgb(255, 255, 255)">Unseen</p>',
        '<p style="color:transparent">Unseen</p>',
        '<p style="color:rgba(0,0,0,0)">Unseen</p>',
        '<font color="white">Unseen</font>',
        '<div style="background:#222"><b style="color:#222222">Unseen</b></div>',
        "<p hidden>Unseen</p>",
        '<div style="display:none"><p>Unseen</p><p style="display:block">Unseen</p></div>',
    ],
)
def test_hidden_elements_of_a_page(tmp_path: Path, body: str) -> None:
    text, failures = page(tmp_path, body)
    assert text == "Seen."
    [failure] = failures
    assert failure.notice
    assert failure.reason.startswith("hidden text is left out: ")
    assert failure.source.endswith("page.html")


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        (".x{display:none}", '<p class="a x">Unseen</p>'),
        ("#x , .y { font-size : 0 }", '<p id="x">Unseen</p>'),
        ("p.x{/* { */visibility:hidden}", '<p class="x">Unseen</p>'),
        ("@media print{p{color:red}} .x{color:#fff}", '<p class="x">Unseen</p>'),
        ("@charset 'a'; .x{opacity:0}", '<p class="x">Unseen</p>'),
    ],
)
def test_rules_of_the_page_count(tmp_path: Path, rule: str, body: str) -> None:
    text, failures = page(tmp_path, body, f"<style>{rule}</style>")
    assert (text, len(failures)) == ("Seen.", 1)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("", '<p style="display:block;color:#000;opacity:0.5;font-size:10px">Kept</p>'),
        ("", '<p style="background:#036"><b style="color:#fff">Kept</b></p>'),
        ("", '<table bgcolor="#003366"><tr><td><font color="white">Kept</font></td></tr></table>'),
        ("", '<p style="background:url(a.png);color:white">Kept</p>'),
        ("", '<p style="position:absolute;left:-10px;text-indent:-2em">Kept</p>'),
        ("", '<p aria-hidden="true">Kept</p>'),
        ("", '<p hidden="until-found">Kept</p>'),
        ("", "<details><summary>More</summary>Kept</details>"),
        ("<style>.dark{background:#000}</style>", '<p class="dark" style="color:#fff">Kept</p>'),
        (
            "<style>tr th{background:navy}</style>",
            '<table><th style="color:#fff">Kept</th></table>',
        ),
        ("<style>@media print{.x{display:none}}</style>", '<p class="x">Kept</p>'),
        ("<style>.x:hover{display:none}</style>", '<p class="x">Kept</p>'),
        ('<link rel="stylesheet" href="a.css">', '<p class="btn" style="color:#fff">Kept</p>'),
        ('<LINK REL="StyleSheet" href="a.css">', '<font color="#ffffff">Kept</font>'),
        (
            '<link rel="stylesheet" href="a.css">',
            '<div style="background:#fff"><p class="dark" style="color:#fff">Kept</p></div>',
        ),
        ("<style>@import 'a.css';</style>", '<p style="color:#fff">Kept</p>'),
    ],
)
def test_what_a_page_shows_is_kept(tmp_path: Path, head: str, body: str) -> None:
    text, failures = page(tmp_path, body, head)
    assert "Kept" in text
    assert failures == []


def test_a_hidden_element_without_text_needs_no_notice(tmp_path: Path) -> None:
    assert page(tmp_path, '<div style="display:none"><img src="a.png"></div>') == ("Seen.", [])


@pytest.mark.parametrize(
    "sheet",
    [
        "/*" * 200_000,
        "@" * 400_000,
        "a" * 400_000,
        "@a{" * 200_000,
        "@a{b{}" * 100_000,
        "a " * 200_000 + "{background:red}",
        "rgb(" * 100_000,
    ],
    ids=["comments", "rules", "no rule", "nested", "open", "selector", "colours"],
)
def test_a_hostile_style_sheet_takes_linear_time(tmp_path: Path, sheet: str) -> None:
    text, _ = page(tmp_path, f'<p style="color:{sheet}">Kept</p>', f"<style>{sheet}</style>")
    assert text == "Seen.\n\nKept"


def test_hidden_runs_of_a_word_file(tmp_path: Path) -> None:
    word = open_docx()
    paragraph = word.add_paragraph("Seen. ")
    paragraph.add_run("Unseen").font.hidden = True
    paragraph.add_run("Unseen").font.color.rgb = RGBColor(255, 255, 255)
    word.styles.add_style("Secret", 2).font.hidden = True
    word.styles.add_style("Deep", 2).base_style = word.styles["Secret"]
    paragraph.add_run("Unseen", style="Deep")
    shown = paragraph.add_run("Kept", style="Secret")
    shown.font.hidden = False
    table = word.add_table(1, 2)
    for cell, text in zip(table.rows[0].cells, ("white on blue", "Unseen"), strict=True):
        cell.paragraphs[0].add_run(text).font.color.rgb = RGBColor(255, 255, 255)
    shade = parse_xml(f'<w:shd {nsdecls("w")} w:val="clear" w:fill="003366"/>')
    table.rows[0].cells[0]._tc.get_or_add_tcPr().append(shade)
    word.save(str(tmp_path / "a.docx"))
    [document], [failure] = loaded(tmp_path / "a.docx")
    assert document.text == "Seen. Kept\n\nwhite on blue | "
    assert failure.notice
    assert "hidden (2), white on white (2)" in failure.reason


def pdf(path: Path, *, scan: bool) -> None:
    made = FPDF()
    made.add_page()
    made.set_font("Helvetica")
    if scan:
        picture = io.BytesIO()
        Image.new("L", (20, 30), 200).save(picture, "PNG")
        made.image(picture, x=0, y=0, w=made.w, h=made.h)
    else:
        made.cell(text="Seen.", new_x="LMARGIN", new_y="NEXT")
    with made.local_context(text_mode="INVISIBLE"):
        made.cell(text="Undrawn.", new_x="LMARGIN", new_y="NEXT")
    if not scan:
        made.cell(text="Seen as well.")
    path.write_bytes(bytes(made.output()))


def test_text_that_a_pdf_does_not_draw(tmp_path: Path) -> None:
    pdf(tmp_path / "a.pdf", scan=False)
    [document], [failure] = loaded(tmp_path / "a.pdf")
    assert document.text.split("\n") == ["Seen.", "Seen as well."]
    assert failure.notice
    assert "not drawn (1)" in failure.reason


def test_the_text_layer_of_a_scan_is_kept(tmp_path: Path) -> None:
    pdf(tmp_path / "a.pdf", scan=True)
    [document], failures = loaded(tmp_path / "a.pdf")
    assert (document.text, failures) == ("Undrawn.", [])


def test_invisible_characters_of_any_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"_id":"1","title":"A\\u202eB","text":"One\\u202e two.","tag":"x\\u202e","n":1}\n'
        '{"_id":"2","text":"Three."}\n',
        "utf-8",
    )
    documents, [failure] = loaded(path)
    assert [(each.title, each.text) for each in documents] == [
        ("AB", "One two.\n\ntag: x\nn: 1"),
        ("", "Three."),
    ]
    assert documents[0].metadata == {"tag": "x", "n": 1}
    assert failure.notice
    assert failure.reason == "hidden text is left out: U+202E (4)"


def test_a_space_without_width_is_not_worth_a_notice(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One\u200b two\u00ad.", "utf-8")
    [document], failures = loaded(path)
    assert (document.text, failures) == ("One two.", [])


def test_a_notice_does_not_keep_a_record_that_is_gone(
    tmp_path: Path, hashing: HashingEmbedder
) -> None:
    path, store = tmp_path / "a.jsonl", tmp_path / "store"
    lines = ['{"_id":"1","text":"One\\u202e two."}\n', '{"_id":"2","text":"Three."}\n']
    for kept in (lines, lines[:1]):
        path.write_text("".join(kept), "utf-8")
        documents, failures = loaded(path)
        assert [each.notice for each in failures] == [True]
        with IndexWriter.open(store, hashing) as writer:
            report = writer.build(documents, failures)
    assert report.removed == 1
    assert report.failures[0].notice
    with Index.open(store) as index:
        assert index.manifest.documents == 1
