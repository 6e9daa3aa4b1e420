"""Word files: headings by outline, nested and changed text, tables as lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docx import Document as open_docx
from docx.enum.style import WD_STYLE_TYPE
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from index.conftest import load_all, load_whole
from index.test_load_hostile import docx_of

from expertrag_index.build.sections import sections


def body(tmp_path: Path, xml: str) -> str:
    (tmp_path / "a.docx").write_bytes(docx_of(xml))
    (document,) = load_whole(tmp_path / "a.docx")
    return document.text


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_a_style_based_on_a_heading_is_a_heading(tmp_path: Path) -> None:
    word: Any = open_docx()
    own = word.styles.add_style("Chapter of ours", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = word.styles["Heading 2"]
    word.add_heading("Handbook", 0)
    word.add_paragraph("Leave", style=own)
    word.add_paragraph("Thirty days.")
    word.add_paragraph("First", style="List Number")
    word.save(str(tmp_path / "a.docx"))
    (document,) = load_whole(tmp_path / "a.docx")
    assert document.text == "# Handbook\n\n## Leave\n\nThirty days.\n\n1. First"


def test_the_outline_level_makes_a_heading_and_numbering_a_list(tmp_path: Path) -> None:
    numbered = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="3"/></w:numPr>'
    text = body(
        tmp_path,
        paragraph("Level three", '<w:outlineLvl w:val="2"/>')
        + paragraph("Body", '<w:outlineLvl w:val="9"/>')
        + paragraph("Item", numbered),
    )
    assert text == "### Level three\n\nBody\n\n- Item"


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>", "new"),
        ("<w:p><w:r><w:t>a</w:t></w:r><w:del><w:r><w:t>old</w:t></w:r></w:del></w:p>", "a"),
        ("<w:p><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink></w:p>", "link"),
        (f"<w:sdt><w:sdtContent>{paragraph('control')}</w:sdtContent></w:sdt>", "control"),
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>", "a\tb\nc"),
        (
            f"<w:p><w:r><w:t>around</w:t><w:pict><w:txbxContent>{paragraph('box')}"
            "</w:txbxContent></w:pict></w:r></w:p>",
            "around\n\nbox",
        ),
    ],
    ids=["inserted", "deleted", "link", "content control", "breaks", "text box"],
)
def test_text_wherever_word_keeps_it(tmp_path: Path, xml: str, text: str) -> None:
    assert body(tmp_path, xml + paragraph("end")) == f"{text}\n\nend"


def test_a_text_box_in_two_forms_is_read_once(tmp_path: Path) -> None:
    compatibility = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    box = f"<w:txbxContent>{paragraph('box')}</w:txbxContent>"
    xml = (
        f'<w:p><w:r><mc:AlternateContent xmlns:mc="{compatibility}"><mc:Choice>{box}</mc:Choice>'
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    assert body(tmp_path, xml) == "box"


def test_a_table_inside_a_cell_is_part_of_its_row(tmp_path: Path) -> None:
    inner = f"<w:tbl><w:tr><w:tc>{paragraph('inner')}</w:tc></w:tr></w:tbl>"
    table = (
        f"<w:tbl><w:tr><w:tc>{paragraph('left')}{inner}{paragraph('')}</w:tc>"
        f"<w:tc>{paragraph('right')}</w:tc></w:tr></w:tbl>"
    )
    assert body(tmp_path, table) == "left inner | right"


NOTES = f"""<w:footnotes {nsdecls("w")}>
<w:footnote w:type="separator" w:id="0"><w:p><w:r><w:separator/></w:r></w:p></w:footnote>
<w:footnote w:id="1"><w:p><w:r><w:footnoteRef/></w:r><w:r><w:t>Of 1871.</w:t></w:r>
<w:r><w:rPr><w:vanish/></w:rPr><w:t>Unseen</w:t></w:r></w:p></w:footnote></w:footnotes>"""


def test_footnotes_follow_what_refers_to_them(tmp_path: Path) -> None:
    word: Any = open_docx()
    run = word.add_paragraph("The lighthouse").add_run()
    run._r.append(parse_xml(f'<w:footnoteReference {nsdecls("w")} w:id="1"/>'))
    run._r.append(parse_xml(f'<w:footnoteReference {nsdecls("w")} w:id="7"/>'))
    word.add_paragraph("The pier")
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
    part = Part(PackURI("/word/footnotes.xml"), kind, NOTES.encode(), word.part.package)
    word.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    word.save(str(tmp_path / "a.docx"))
    (document,), (failure,) = load_all(tmp_path / "a.docx", limit=2**22)
    assert document.text == "The lighthouse\n\nNote: Of 1871.\n\nThe pier"
    assert failure.reason == "hidden text is left out: hidden (1)"


def test_a_row_is_below_the_headings_above_its_table(tmp_path: Path) -> None:
    word: Any = open_docx()
    word.add_heading("Travel", 1)
    word.add_paragraph("Limits are checked each year by the office that pays for them. " * 4)
    word.add_heading("Hotels", 2)
    table = word.add_table(60, 2)
    for number, row in enumerate(table.rows):
        row.cells[0].text, row.cells[1].text = f"City {number}", f"{number} a night"
    table._tbl.append(parse_xml(f"<w:sdt {nsdecls('w')}/>"))  # an empty content control
    word.save(str(tmp_path / "a.docx"))
    (document,) = load_whole(tmp_path / "a.docx")
    last = sections(document.text)[-1]
    assert (last.heading, last.above) == ("Hotels", ("Travel",))
    assert document.text[last.start : last.end].endswith("\nCity 59 | 59 a night")
