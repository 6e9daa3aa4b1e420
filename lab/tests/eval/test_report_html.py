"""The HTML report: complete, self-contained, escaped, with readable plots."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import pytest
import report_samples as samples
from bs4 import BeautifulSoup

from expertrag_lab.eval.report import html, plots
from expertrag_lab.eval.report.blocks import Bar, Bars, Curves, Mark


@pytest.fixture(scope="module")
def page() -> BeautifulSoup:
    """Every kind of report on one page."""
    return BeautifulSoup(html.render(samples.every_kind()), "lxml")


def captions(soup: BeautifulSoup) -> list[str]:
    return [caption.get_text() for caption in soup.find_all("figcaption")]


def drawings(soup: BeautifulSoup) -> list[str]:
    """The SVG of every plot, in both widths."""
    urls = [str(node.get("src") or node.get("srcset")) for node in soup.select("img, source")]
    found = []
    for url in urls:
        kind, _, data = url.partition(",")
        assert kind == "data:image/svg+xml;base64"
        found.append(base64.b64decode(data).decode())
    return found


def test_the_page_is_self_contained(page: BeautifulSoup) -> None:
    assert not page.find_all(["script", "link", "iframe", "object", "form"])
    assert all(str(link["href"]).startswith("#part-") for link in page.find_all("a"))
    outside = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    for drawing in drawings(page):
        for url in re.findall(r'(?:href|src)="([^"]+)"', drawing):
            assert url.startswith("#") or url in outside


def test_every_part_has_a_title_a_link_and_its_run(page: BeautifulSoup) -> None:
    ids = [str(node["id"]) for node in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {str(link["href"])[1:] for link in page.find_all("a")} <= set(ids)
    assert [title.get_text() for title in page.find_all("h2")] == [
        "Retrieval", "Retrieval gate", "Answers", "Cost model", "Consistency",
    ]  # fmt: skip
    assert "Retrieval gate: gate 0.420 at rate 0.600" in page.get_text()
    facts = page.find_all(class_="facts")
    assert len(facts) == 5
    first = facts[0].get_text()
    for part in ("eval retrieval", "abc1234", "2025-02-03", "Some CPU", "seed 7", "all-minilm"):
        assert part in first
    folded = [summary.get_text() for summary in page.find_all("summary")]
    assert folded.count("Manifest") == 5


def test_every_expected_plot_is_present(page: BeautifulSoup) -> None:
    found = captions(page)
    for beginning, times in {
        "nDCG@10 of each mode by set": 1,
        "Accuracy against retrieval rate": 2,
        "Reliability": 2,
        "Accuracy of each policy by set": 1,
        "Mean time per question by stage and policy": 1,
        "Risk-coverage curves": 1,
        "The formula's terms": 1,
        "Consistency by set": 1,
    }.items():
        assert sum(caption.startswith(beginning) for caption in found) == times, beginning
    images = page.find_all("img")
    assert len(images) == len(found)
    assert all(str(image["alt"]).startswith("Plot: ") for image in images)


def test_plot_labels_have_at_least_nine_points(page: BeautifulSoup) -> None:
    found = drawings(page)
    assert len(found) == 24
    for drawing in found:
        root = ElementTree.fromstring(drawing)
        assert float(root.attrib["width"].removesuffix("pt")) <= plots.WIDE * 72 + 1
        # matplotlib draws text as glyphs of 100 units, scaled by points / 100
        scales = re.findall(r"<!-- [^>]* -->\s*<g[^>]*scale\(([\d.]+) ", drawing)
        assert scales
        assert min(map(float, scales)) >= 0.09


def test_the_same_report_gives_the_same_page() -> None:
    assert html.render([samples.gate()]) == html.render([samples.gate()])


def test_relevant_passages_are_marked_in_words(page: BeautifulSoup) -> None:
    marked = [item.get_text(" ", strip=True) for item in page.select("li.good")]
    assert any(text.startswith("Title of d9 relevant · document d9") for text in marked)
    assert "not judged relevant" in page.get_text()


def test_texts_and_names_of_data_sets_are_escaped() -> None:
    nasty = samples.NASTY
    reports = [samples.retrieval(query=nasty, name=nasty), samples.answer(output=nasty)]
    reports[0]["worst"][nasty][0]["query_id"] = nasty
    reports[0]["worst"][nasty][0]["passages"][0]["document_id"] = nasty
    reports[0]["manifest"]["inputs"][nasty] = nasty
    text = html.render(reports)
    assert "<script" not in text
    soup = BeautifulSoup(text, "lxml")
    assert soup.find("h4", string=re.compile("alert")) is not None
    assert all("<script" not in drawing for drawing in drawings(soup))


def test_each_policy_has_a_unique_style_in_all_plots() -> None:
    names = ("never", "always", "gate", "oracle", "multi_step")
    curves = Curves(
        "x", "y", (), tuple(Mark(name, x / 5, 0.5, 0.4, 0.6) for x, name in enumerate(names))
    )
    bars = Bars("x", ("a",), ("never", "always", "mine"), tuple((Bar(0.5),) for _ in range(3)))
    colours = {"never": "#0072b2", "always": "#d55e00"}
    for drawing in (plots.draw(curves), plots.draw(bars, plots.NARROW)):
        for colour in colours.values():
            assert colour in drawing
    shapes = re.findall(r'<path id="[^"]+" d="(M[^"]+)" style="stroke: #ffffff', plots.draw(curves))
    assert len(set(shapes)) == len(names)


def test_points_that_coincide_are_all_visible() -> None:
    above = (Mark("auto", 1.0, 0.4, 0.38, 0.42), Mark("never", 0.0, 0.3, 0.28, 0.32))

    def square(x: float) -> list[tuple[str, str]]:
        """Half the side of the square of ``always``, and the colour of its edge."""
        always = Mark("always", x, 0.4, 0.38, 0.42)
        drawn = plots.draw(Curves("x", "y", (), (always, *above)))
        return re.findall(r'd="M -([\d.]+) \1 [^"]*z\s*" style="stroke: (#\w+)', drawn)

    assert square(0.99) == [("6.5", "#d55e00")]  # open; auto's diamond in it reaches 5.66
    assert square(0.9) == [("4", "#ffffff")]


def test_overlapping_intervals_are_distinguishable() -> None:
    def banded(low: float, rate: float = 1.0) -> bool:
        several = Mark("multi_step", rate, low + 0.1, low, low + 0.2)
        marks = (Mark("always", 1.0, 0.4, 0.3, 0.5), several)
        return "stroke-opacity: 0.4" in plots.draw(Curves("x", "y", (), marks))

    assert banded(0.45)
    assert banded(0.2)
    assert not banded(0.6)
    assert not banded(0.45, rate=0.5)


def test_an_interval_may_miss_its_point_by_rounding() -> None:
    mark = Mark("never", 0.5, 0.3, 0.1 + 0.2, 0.1 + 0.2)
    assert (mark.low or 0.0) > mark.y
    assert "<svg" in plots.draw(Curves("x", "y", (), (mark,)))


def test_a_zero_bar_differs_from_a_missing_one() -> None:
    def zeros(value: float | None) -> int:
        values = ((Bar(0.4),), (Bar(value, value, value),))
        drawn = plots.draw(Bars("x", ("a",), ("never", "always"), values))
        return drawn.count("<!-- 0 -->")

    assert zeros(0.0) == 1
    assert zeros(None) == zeros(0.3) == 0


def test_a_wide_table_shows_a_shadow(page: BeautifulSoup) -> None:
    style = page.find("style").get_text()  # type: ignore[union-attr]
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto[^}]*var\(--shadow\)[^}]* scroll;", style)
    assert all("scroll" in (table.parent or table)["class"] for table in page.find_all("table"))
