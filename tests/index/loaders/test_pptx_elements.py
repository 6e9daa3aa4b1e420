"""Every kind of shape of a slide is read; one that is damaged refuses nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from index.loaders.office_files import (
    NAMESPACES,
    Parts,
    parsed,
    read,
    related,
    saved,
    strict,
    with_relations,
)
from index.loaders.test_pptx import BOX, deck, slide
from pptx.chart.data import BubbleChartData, CategoryChartData, ChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE

SLIDE = "ppt/slides/slide1.xml"
TREE_END = b"</p:spTree>"


def with_chart(kind: Any) -> Any:
    """A deck with a chart of a kind; None if the library cannot make one."""
    made = deck()
    on = slide(made, "Traffic", "Below the chart.")
    for data in (CategoryChartData, XyChartData, BubbleChartData):
        numbers: Any = data(number_format="0.00")
        if data is CategoryChartData:
            numbers.categories = ["North", "South"]
            numbers.add_series("Ships", (410.5, 425.25))
        else:
            series = numbers.add_series("Ships")
            size = (7,) if data is BubbleChartData else ()
            series.add_data_point(410.5, 425.25, *size)
        try:
            on.shapes.add_chart(kind, *BOX, numbers)
        except (NotImplementedError, AttributeError, TypeError):
            continue
        return made
    return None


def test_a_chart_of_each_kind_that_the_library_makes_is_read(tmp_path: Path) -> None:
    decks = {kind.name: made for kind in XL_CHART_TYPE if (made := with_chart(kind))}
    assert len(decks) >= 29
    for name, made in decks.items():
        text = read(tmp_path, f"{name}.pptx", saved(made))
        categories = () if "XY" in name or "BUBBLE" in name else ("North", "South")
        for word in ("Traffic", "Below the chart.", "Ships", "410.50", "425.25", *categories):
            assert word in text, name


@pytest.mark.parametrize(
    "name",
    [
        "bar3DChart",
        "line3DChart",
        "pie3DChart",
        "area3DChart",
        "surfaceChart",
        "stockChart",
        "ofPieChart",
    ],
)
def test_a_chart_that_the_library_cannot_make_is_read(tmp_path: Path, name: str) -> None:
    parts = saved(with_chart(XL_CHART_TYPE.COLUMN_CLUSTERED))
    (chart,) = [part for part in parts if re.fullmatch(r"ppt/charts/chart\w*\.xml", part)]
    parts[chart] = parts[chart].replace(b"c:barChart", f"c:{name}".encode())
    for of in (parts, strict(parts)):
        text = read(tmp_path, "a.pptx", of)
        assert "| Ships\nNorth | Ships: 410.50\nSouth | Ships: 425.25" in text
        assert "Below the chart." in text


def test_groups_of_categories_titles_and_labels_of_a_chart(tmp_path: Path) -> None:
    made = deck()
    numbers: Any = ChartData(number_format="0%")
    coast = numbers.add_category("Coast")
    coast.add_sub_category("North")
    coast.add_sub_category("South")
    numbers.add_series("Ships", (0.25, 0.75))
    chart = slide(made, "T").shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *BOX, numbers).chart
    chart.has_title = chart.value_axis.has_title = True
    chart.chart_title.text_frame.text = "Share of ships"
    chart.value_axis.axis_title.text_frame.text = "per coast"
    text = read(tmp_path, "a.pptx", saved(made))
    lines = [
        "Share of ships",
        "per coast",
        "| Ships",
        "Coast North | Ships: 25%",
        "Coast South | Ships: 75%",
    ]
    assert text.split("\n\n")[-1].split("\n") == lines


WATERFALL = f"""<cx:chartSpace {NAMESPACES}><cx:chartData><cx:data id="0">
<cx:strDim type="cat"><cx:lvl ptCount="1"><cx:pt idx="0">Dues</cx:pt></cx:lvl></cx:strDim>
<cx:numDim type="val"><cx:lvl formatCode="#,##0"><cx:pt idx="0">4200</cx:pt></cx:lvl></cx:numDim>
</cx:data></cx:chartData><cx:chart><cx:title><cx:tx><cx:rich><a:p><a:r><a:t>Income</a:t></a:r></a:p>
</cx:rich></cx:tx></cx:title></cx:chart></cx:chartSpace>"""


def shape(text: str, run: str = "", kind: str = "") -> str:
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="9" name="Box"/><p:cNvSpPr/><p:nvPr>{kind}</p:nvPr>'
        f"</p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:p><a:r><a:rPr>{run}</a:rPr>"
        f"<a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
    )


def frame(data: str) -> str:
    return (
        '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="8" name="Frame"/></p:nvGraphicFramePr>'
        f"<a:graphic><a:graphicData>{data}</a:graphicData></a:graphic></p:graphicFrame>"
    )


PICTURE = (
    '<p:pic><p:nvPicPr><p:cNvPr id="7" name="Picture" descr="{}"/><p:cNvPicPr/><p:nvPr>{}</p:nvPr>'
    "</p:nvPicPr></p:pic>"
)
FORMULA = (
    "<m:oMath><m:sSup><m:e><m:r><m:t>r</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup>"
    "</m:sSup></m:oMath>"
)
SHOWN = {
    "in two forms": (
        f"<mc:AlternateContent><mc:Choice Requires='a14'>{shape('new')}</mc:Choice>"
        f"<mc:Fallback>{shape('old')}</mc:Fallback></mc:AlternateContent>",
        "new",
    ),
    "with a formula": (shape("area").replace("</a:r></a:p>", f"</a:r>{FORMULA}</a:p>"), "arear^2"),
    "with the id of the title": (shape("second").replace('id="9"', 'id="2"'), "second"),
    "a second title": (shape("other title", kind='<p:ph type="title"/>'), "other title"),
    "a title that is a picture": (
        PICTURE.format("A tug", '<p:ph type="title"/>'),
        "[Image: A tug]",
    ),
    "a described picture": (PICTURE.format("A tall mast", ""), "[Image: A tall mast]"),
    "letters with an outline": (
        shape(
            "art",
            run='<a:ln><a:solidFill><a:srgbClr val="FF0000"/></a:solidFill></a:ln><a:noFill/>',
        ),
        "art",
    ),
    "a prompt": (shape("# reboot"), " # reboot"),
    "in 40 groups": ("<p:grpSp>" * 40 + shape("deep") + "</p:grpSp>" * 40, "deep"),
    "a waterfall": (frame('<cx:chart r:id="x1"/>'), "Income\nDues | 4,200"),
}


def with_shape(xml: str) -> Parts:
    made = deck()
    slide(made, "Harbour", "Seen.")
    parts = saved(made)
    inner = re.sub(r"<(p:\w+|mc:\w+)", rf"<\1 {NAMESPACES}", xml, count=1)
    parts[SLIDE] = parts[SLIDE].replace(TREE_END, inner.encode() + TREE_END)
    parts["ppt/charts/new1.xml"] = WATERFALL.encode()
    return with_relations(parts, SLIDE, related("chartEx", "../charts/new1.xml", 1))


@pytest.mark.parametrize("case", SHOWN)
def test_what_a_slide_shows_is_read(tmp_path: Path, case: str) -> None:
    xml, text = SHOWN[case]
    assert read(tmp_path, "a.pptx", with_shape(xml)) == f"# Harbour\n\nSeen.\n\n{text}"


def test_a_damaged_chart_is_named_and_the_rest_of_the_deck_is_read(tmp_path: Path) -> None:
    parts = with_shape(SHOWN["a waterfall"][0] + shape("Last."))
    parts["ppt/charts/new1.xml"] = b"garbage"
    text, (failure,) = parsed(tmp_path, "a.pptx", parts)
    assert text == "# Harbour\n\nSeen.\n\nLast."
    assert failure.reason == "slide 1, 'Frame': the part 'ppt/charts/new1.xml' is damaged"


def test_comments_and_the_texts_of_layouts_are_read(tmp_path: Path) -> None:
    made = deck()
    slide(made, "One")
    slide(made, "Two")
    parts = saved(made)
    master, layout = "ppt/slideMasters/slideMaster1.xml", "ppt/slideLayouts/slideLayout2.xml"
    for name, text in ((master, "Port of Ours"), (layout, "Confidential")):
        own = shape(text).replace("<p:sp>", f"<p:sp {NAMESPACES}>").encode()
        parts[name] = parts[name].replace(TREE_END, own + TREE_END)
    old = f"<p:cmLst {NAMESPACES}><p:cm><p:text>Which year?</p:text></p:cm></p:cmLst>"
    new = f"<x {NAMESPACES}><p:txBody><a:p><a:r><a:t>Last one.</a:t></a:r></a:p></p:txBody></x>"
    parts |= {"ppt/comments/c1.xml": old.encode(), "ppt/comments/c2.xml": new.encode()}
    links = (related("comments", f"../comments/c{number}.xml", number) for number in (1, 2))
    text = read(tmp_path, "a.pptx", with_relations(parts, SLIDE, *links))
    first = ["# One", "Comment: Which year?", "Comment: Last one.", "Confidential", "Port of Ours"]
    assert text.split("\n\n") == [*first, "# Two"]


WHITE = '<a:solidFill><a:srgbClr val="FFFFFF"/></a:solidFill>'


def test_white_text_is_kept_where_the_first_colour_of_the_theme_is_dark(tmp_path: Path) -> None:
    parts = with_shape(shape("kept", run=WHITE))
    theme = "ppt/theme/theme1.xml"
    text, (failure,) = parsed(tmp_path, "a.pptx", parts)
    assert "kept" not in text
    assert failure.reason == "hidden text is left out: colour of the background (1)"
    dark = re.sub(
        rb"<a:lt1>.*?</a:lt1>",
        b'<a:lt1><a:srgbClr val="101010"/></a:lt1>',
        parts[theme],
        flags=re.S,
    )
    assert dark != parts[theme]
    assert "kept" in read(tmp_path, "b.pptx", parts | {theme: dark})


@pytest.mark.parametrize("way", ["turned", "moved"])
def test_a_shape_beside_the_slide_is_kept_if_it_may_come_in(tmp_path: Path, way: str) -> None:
    beside = '<p:spPr><a:xfrm{}><a:off x="-900" y="0"/><a:ext cx="800" cy="9"/></a:xfrm></p:spPr>'
    turn = ' rot="5400000"' if way == "turned" else ""
    parts = with_shape(shape("kept").replace("<p:spPr/>", beside.format(turn)))
    if way == "moved":
        timing = f"<p:timing {NAMESPACES}><p:animMotion/></p:timing></p:sld>"
        parts[SLIDE] = parts[SLIDE].replace(b"</p:sld>", timing.encode())
    assert "kept" in read(tmp_path, "a.pptx", parts)


def test_a_hidden_slide_is_left_out(tmp_path: Path) -> None:
    """As the two of Apache POI's `2411-Performance_Up.pptx`, which are not shown."""
    parts = with_shape(shape("unseen"))
    parts[SLIDE] = parts[SLIDE].replace(b"<p:sld ", b'<p:sld show="0" ')
    text, failures = parsed(tmp_path, "a.pptx", parts)
    assert text == ""
    assert failures[0].reason == "hidden text is left out: hidden slide (1)"
