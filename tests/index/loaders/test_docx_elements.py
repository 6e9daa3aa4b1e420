"""Every kind of element of a Word file that Word shows is read; what is dropped is not shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from index.loaders.office_files import NAMESPACES, parsed, read, related, strict, word_parts


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{run(text)}</w:p>"


def math(inner: str) -> str:
    return f"<w:p><m:oMath>{inner}</m:oMath></w:p>"


def sign(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


SHOWN = {
    "a fraction": (
        math(f"<m:f><m:num>{sign('a+b')}</m:num><m:den>{sign('2')}</m:den></m:f>"),
        "(a+b)/2",
    ),
    "a power": (
        math(f"<m:sSup><m:e>{sign('x')}</m:e><m:sup>{sign('2')}</m:sup></m:sSup>"),
        "x^2",
    ),
    "a root in brackets": (
        math(f"<m:d><m:e><m:rad><m:deg/><m:e>{sign('y')}</m:e></m:rad></m:e></m:d>"),
        "(√y)",
    ),
    "a sum": (
        math(
            '<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr>'
            f"<m:sub>{sign('i=1')}</m:sub><m:sup>{sign('n')}</m:sup><m:e>{sign('i')}</m:e></m:nary>"
        ),
        "∑_(i=1)^n i",
    ),
    "a matrix": (
        math(f"<m:m><m:mr><m:e>{sign('p')}</m:e><m:e>{sign('q')}</m:e></m:mr></m:m>"),
        "p, q",
    ),
    "a degree": ('<w:p><w:r><w:sym w:font="Symbol" w:char="F0B0"/></w:r></w:p>', "°"),
    "a ticked box": ('<w:p><w:r><w:sym w:font="Wingdings" w:char="F0FD"/></w:r></w:p>', "☒"),
    "an unknown sign": ('<w:p><w:r><w:sym w:font="Webdings" w:char="0041"/></w:r></w:p>', "A"),
    "a tab to the margin": (
        '<w:p><w:r><w:t>Total</w:t><w:ptab w:alignment="right"/><w:t>42</w:t></w:r></w:p>',
        "Total\t42",
    ),
    "word art": (
        '<w:p><w:r><w:pict><v:shape><v:textpath string="Sale"/></v:shape></w:pict></w:r></w:p>',
        "Sale",
    ),
    "a description": (
        '<w:p><w:r><w:drawing><wp:inline><wp:docPr id="1" name="x" descr="A tall mast"/>'
        "</wp:inline></w:drawing></w:r></w:p>",
        "[Image: A tall mast]",
    ),
    "a drop-down field": (
        '<w:p><w:r><w:fldChar><w:ffData><w:ddList><w:result w:val="1"/><w:listEntry w:val="No"/>'
        '<w:listEntry w:val="Yes"/></w:ddList></w:ffData></w:fldChar></w:r></w:p>',
        "Yes",
    ),
    "a check box of a form": (
        "<w:p><w:r><w:fldChar><w:ffData><w:checkBox><w:checked/></w:checkBox></w:ffData>"
        "</w:fldChar></w:r></w:p>",
        "☒",
    ),
    "an unlocked field": (
        f'<w:p><w:fldSimple w:instr="DATE">{run("May 1")}</w:fldSimple></w:p>',
        "May 1",
    ),
    "a smart tag": (f'<w:p><w:smartTag w:element="x">{run("Rome")}</w:smartTag></w:p>', "Rome"),
    "reading signs": (
        f"<w:p><w:r><w:ruby><w:rt>{run('kana')}</w:rt><w:rubyBase>{run('base')}</w:rubyBase>"
        "</w:ruby></w:r></w:p>",
        "kanabase",
    ),
    "text against the direction": (f'<w:p><w:bdo w:val="rtl">{run("bdo")}</w:bdo></w:p>', "bdo"),
    "moved here": (f"<w:p><w:moveTo>{run('moved')}</w:moveTo></w:p>", "moved"),
    "custom markup": (f'<w:customXml w:element="x">{paragraph("own")}</w:customXml>', "own"),
    "a prompt": (paragraph("# apt install harbour"), " # apt install harbour"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_word_shows_is_read(tmp_path: Path, case: str) -> None:
    xml, text = SHOWN[case]
    parts = word_parts(paragraph("before") + xml + paragraph("after"))
    assert read(tmp_path, "a.docx", parts) == f"before\n\n{text}\n\nafter"
    assert read(tmp_path, "b.docx", strict(parts)) == f"before\n\n{text}\n\nafter"


CHART = f"""<c:chartSpace {NAMESPACES}><c:chart><c:plotArea><c:pie3DChart><c:ser>
<c:tx><c:v>Ships</c:v></c:tx>
<c:cat><c:strLit><c:pt idx="0"><c:v>Tugs</c:v></c:pt></c:strLit></c:cat>
<c:val><c:numLit><c:formatCode>0.0%</c:formatCode><c:pt idx="0"><c:v>0.155</c:v></c:pt></c:numLit>
</c:val>
</c:ser></c:pie3DChart></c:plotArea></c:chart></c:chartSpace>"""
DIAGRAM = f"""<dgm:dataModel {NAMESPACES}><dgm:ptLst><dgm:pt><dgm:t>
<a:p><a:r><a:t>Plan</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>"""


def test_charts_and_diagrams_follow_their_paragraph(tmp_path: Path) -> None:
    others = {"word/charts/chart1.xml": CHART.encode(), "word/diagrams/data1.xml": DIAGRAM.encode()}
    body = (
        '<w:p><w:r><w:t>Traffic</w:t><w:drawing><c:chart r:id="x1"/></w:drawing></w:r></w:p>'
        '<w:p><w:r><w:drawing><dgm:relIds r:dm="x2"/></w:drawing></w:r></w:p>'
    )
    links = (
        related("chart", "charts/chart1.xml", 1),
        related("diagramData", "/word/diagrams/data1.xml", 2),
    )
    parts = word_parts(body, others, *links)
    text = "Traffic\n\n| Ships\nTugs | Ships: 15.5%\n\n- Plan"
    assert read(tmp_path, "a.docx", parts) == text
    assert read(tmp_path, "b.docx", strict(parts)) == text


def test_what_a_text_box_refers_to_is_read_once(tmp_path: Path) -> None:
    note = f'<w:comment w:id="5">{paragraph("Check it")}</w:comment>'
    others = {
        "word/comments.xml": f"<w:comments {NAMESPACES}>{note}</w:comments>".encode(),
        "word/chart1.xml": CHART.encode(),
    }
    links = (related("comments", "comments.xml", 1), related("chart", "chart1.xml", 2))
    inner = (
        f'<w:p>{run("box")}<w:r><w:commentReference w:id="5"/><w:drawing><c:chart r:id="x2"/>'
        "</w:drawing></w:r></w:p>"
    )
    box = f"<w:txbxContent>{inner}</w:txbxContent>"
    forms = f"<mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback>"
    body = f"<w:p>{run('around')}<mc:AlternateContent>{forms}</mc:AlternateContent></w:p>"
    text = read(tmp_path, "a.docx", word_parts(body, others, *links))
    assert text == "around\n\nbox\n\nComment: Check it\n\n| Ships\nTugs | Ships: 15.5%"


def test_headers_and_footers_are_read_once_and_comments_where_they_stand(tmp_path: Path) -> None:
    def margin(kind: str, text: str) -> bytes:
        return f"<w:{kind} {NAMESPACES}>{paragraph(text)}</w:{kind}>".encode()

    note = f'<w:comment w:id="5">{paragraph("Check it")}</w:comment>'
    comments = f"<w:comments {NAMESPACES}>{note}</w:comments>"
    others = {
        "word/h1.xml": margin("hdr", "Contract 47-11"),
        "word/h2.xml": margin("hdr", "Annex"),
        "word/f1.xml": margin("ftr", "Page 1"),
        "word/first.xml": margin("hdr", "Never shown"),
        "word/comments.xml": comments.encode(),
    }
    links = [
        related("header", "h1.xml", 1),
        related("header", "h2.xml", 2),
        related("footer", "f1.xml", 3),
        related("comments", "comments.xml", 4),
        related("header", "first.xml", 5),
    ]

    def section(*references: str) -> str:
        marks = "".join(
            f'<w:{kind}Reference w:type="{of}" r:id="{at}"/>'
            for kind, of, at in (reference.split() for reference in references)
        )
        return f"<w:sectPr>{marks}</w:sectPr>"

    first = section("header default x1", "header first x5", "footer default x3")
    body = (
        f'<w:p>{run("One")}<w:r><w:commentReference w:id="5"/></w:r></w:p>'
        + paragraph("Two", first)
        + paragraph("Three")
        + section("header default x2", "footer default x3")
    )
    text = read(tmp_path, "a.docx", word_parts(body, others, *links))
    blocks = ["Contract 47-11", "One", "Comment: Check it", "Two", "Page 1", "Annex", "Three"]
    assert text.split("\n\n") == blocks


def numbering(*levels: tuple[str, str], start: int = 1) -> bytes:
    written = "".join(
        f'<w:lvl w:ilvl="{at}"><w:start w:val="{start}"/><w:numFmt w:val="{kind}"/>'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
        for at, (kind, text) in enumerate(levels)
    )
    return (
        f'<w:numbering {NAMESPACES}><w:abstractNum w:abstractNumId="0">{written}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
        '<w:num w:numId="2"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0">'
        '<w:startOverride w:val="1"/></w:lvlOverride></w:num></w:numbering>'
    ).encode()


def item(text: str, level: int = 0, number: int = 1, more: str = "") -> str:
    own = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>{more}'
    return paragraph(text, own)


LISTS = [
    ([("decimal", "%1."), ("lowerLetter", "(%2)")], ["1. a", "(a) b", "(b) c", "2. d", "(a) e"]),
    ([("upperRoman", "Article %1"), ("decimal", "%1.%2")],
     ["Article I a", "I.1 b", "I.2 c", "Article II d", "II.1 e"]),
    ([("bullet", "\uf0b7"), ("decimalZero", "%2")], ["- a", "01 b", "02 c", "- d", "01 e"]),
]  # fmt: skip


@pytest.mark.parametrize(("levels", "lines"), LISTS)
def test_lists_have_their_numbers(
    tmp_path: Path, levels: list[tuple[str, str]], lines: list[str]
) -> None:
    body = item("a") + item("b", 1) + item("c", 1) + item("d") + item("e", 1)
    parts = word_parts(body) | {"word/numbering.xml": numbering(*levels)}
    assert read(tmp_path, "a.docx", parts).split("\n\n") == lines


def test_clauses_have_their_numbers_and_a_list_starts_again(tmp_path: Path) -> None:
    outline = '<w:outlineLvl w:val="0"/>'
    cell = f"<w:tbl><w:tr><w:tc>{item('')}</w:tc><w:tc>{paragraph('Rope')}</w:tc></w:tr></w:tbl>"
    body = item("Scope", more=outline) + item("Fees", more=outline) + item("x", 0, 2) + cell
    parts = word_parts(body) | {"word/numbering.xml": numbering(("decimal", "§ %1"))}
    assert read(tmp_path, "a.docx", parts) == "# § 1 Scope\n\n# § 2 Fees\n\n§ 1 x\n\n§ 2 | Rope"


WHITE = run("kept", '<w:color w:val="FFFFFF"/>')
BLUE = '<w:shd w:val="clear" w:fill="003366"/>'
BOX = f"<w:txbxContent><w:p>{WHITE}</w:p></w:txbxContent>"


def shaded(shade: str) -> str:
    return f"<w:p><w:pPr>{shade}</w:pPr>{WHITE}</w:p>"


def anchored(drawing: str) -> str:
    return f"<w:r><w:drawing><wp:anchor>{drawing}</wp:anchor></w:drawing></w:r>"


COLOURED = {
    "a shape": f"<w:p>{anchored(f'<wps:wsp><wps:txbx>{BOX}</wps:txbx></wps:wsp>')}</w:p>",
    "an old text box": f"<w:p><w:r><w:pict><v:rect>{BOX}</v:rect></w:pict></w:r></w:p>",
    "a solid shade": shaded('<w:shd w:val="solid" w:color="000000" w:fill="auto"/>'),
    "a shade of the theme": shaded('<w:shd w:val="clear" w:fill="FFFFFF" w:themeFill="text1"/>'),
    "the style of the paragraph": shaded('<w:pStyle w:val="Banner"/>'),
    "the shade of the table": (
        f"<w:tbl><w:tblPr>{BLUE}</w:tblPr><w:tr><w:tc><w:p>{WHITE}</w:p></w:tc></w:tr></w:tbl>"
    ),
    "a picture": f"<w:p>{anchored('')}{WHITE}</w:p>",
}
STYLES = (
    f'<w:styles {NAMESPACES}><w:style w:type="paragraph" w:styleId="Banner"><w:pPr>{BLUE}</w:pPr>'
    "</w:style></w:styles>"
)


@pytest.mark.parametrize("behind", COLOURED)
def test_white_text_is_kept_on_what_may_be_coloured(tmp_path: Path, behind: str) -> None:
    parts = word_parts(paragraph("seen") + COLOURED[behind]) | {"word/styles.xml": STYLES.encode()}
    text, failures = parsed(tmp_path, "a.docx", parts)
    assert text.split() == ["seen", "kept"]
    assert failures == []


def test_hidden_text_is_left_out(tmp_path: Path) -> None:
    """As the lines "Top of Form" and "Bottom of Form" of web pages saved by Word.

    Apache POI's `bug59058.docx` has six of them, which Word does not show.
    """
    top = f"<w:p>{run('Top of Form', '<w:vanish/>')}</w:p>"
    text, (failure,) = parsed(tmp_path, "a.docx", word_parts(top + paragraph("Name")))
    assert (text, failure.reason) == ("Name", "hidden text is left out: hidden (1)")
    assert failure.notice
