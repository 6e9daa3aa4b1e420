"""The text of a page stands as a reader sees it: rows, items, headings, powers and code."""

from __future__ import annotations

import ast
import html
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

import pytest

from expertrag_index.build.sections import sections
from expertrag_index.loaders import load
from expertrag_index.loaders.headings import first_heading
from expertrag_index.loaders.html import page_of
from expertrag_index.types import LoadFailure


def text_of(page: str) -> str:
    return page_of(page.encode(), Counter())[1]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<tr><td><p>A<td><p>B</p><p>C</p></table>", "A | B C"),
        ("<tr><th>Month<th>Days<tr><td>May<td>2", "Month | Days\nMonth: May | Days: 2"),
        ("<tr><td><td>B<tr><td>A<td></table>", "| B\nA"),
        ("<tr><td>A<td><td>C", "A |  | C"),
        ("<tr><td>A<br>B<td><ul><li>C<li>D</ul>", "A B | - C - D"),
        ("<tr><td><p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<caption>Trees</caption><tr><td>A<td>B", "Trees\nA | B"),
        ("<tr><td><td></td><tr><td>A<td>B", "A | B"),
        ("<tr><td rowspan=2>A<td>1<tr><td>2<tr><td>B<td>3", "A | 1\nA | 2\nB | 3"),
        ("<tr><td>1<td rowspan=3>A<tr><td>2<tr><td>3", "1 | A\n2 | A\n3 | A"),
        ("<tr><td rowspan=2>A<td rowspan=2>B<td>1<tr><td>2", "A | B | 1\nA | B | 2"),
        ("<tr><td colspan=2>A<td rowspan=2>B<tr><td>1<td>2", "A | B\n1 | 2 | B"),
        ("<tr><td colspan=0 rowspan=0>A<td>B<tr><td>C<td>D", "A | B\nC | D"),
        ("<tr><td><h2>A</h2>a<td>B", "## A\n\na\nB"),
        ("<tr><td><h2>A</h2><td>B<td>C", "## A\n\nB | C"),
        ("<tr><td><table><tr><td>A<td>B</table><td>C", "A | B\n\nC"),
    ],
)
def test_a_row_is_a_line(page: str, text: str) -> None:
    assert text_of(f"<table>{page}") == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<ul><li><p>A</p><li><p>B</p></ul>C", "- A\n- B\n\nC"),
        ("<ul><li><div><p>A</p></div><p>B</p></li></ul>", "- A\n\nB"),
        ("<ol><li>A<li><p>B</ol>", "1. A\n2. B"),
        ("<ol start=5><li>A<li value=9>B<li>C</ol>", "5. A\n9. B\n10. C"),
        ("<ol reversed><li>A<li>B</ol>", "2. A\n1. B"),
        ("<ol type=a><li>A<li>B<ol><li>C</ol></ol>", "a. A\nb. B\n1. C"),
        ("<ul><li>A<ul><li>B</ul><li>C</ul>", "- A\n- B\n- C"),
        ("<ul><li><a href=x>A</a><li></li><li>B</ul>", "- A\n- B"),
        ("<ul><li><h3>A</h3>a</ul>", "### A\n\na"),
        ("<dl><dt>A<dt>B<dd><p>C</p><dt>D<dd>E</dl>", "A\nB\nC\n\nD\nE"),
        ("<li>A<li>B", "- A\n- B"),
    ],
)
def test_an_item_is_a_line(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<h1><div>A</div></h1>", "# A"),
        ("<h2><div>A<br>B</div></h2>C", "## A B\n\nC"),
        ("<h2><button>How do I pay?</button></h2>", "## How do I pay?"),
        ('<h2>Conffiles<a class="headerlink" href="#c">\uf0c1</a></h2>', "## Conffiles"),
        ('<h2><a href="#c">#</a> Files<a href="#c" title="Link">\u00b6</a></h2>', "## Files"),
        ("<h2></h2><h3> </h3><p>A", "A"),
        ("<h2><img alt='Guide'></h2>", "## Guide"),
        (f"<h2>{'word ' * 300}</h2>", ("word " * 300).strip()),
    ],
)
def test_a_heading_is_a_line(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("2<sup>32</sup> 10<sup>-3</sup>", "2^32 10^-3"),
        ("x<sup>n</sup> 2<sup>n</sup> (a)<sup>2</sup>", "x^n 2^n (a)^2"),
        ("2<sup>n-1</sup> e<sup><i>x</i>+1</sup>", "2^(n-1) e^(x+1)"),
        ("1<sup>st</sup> 2<sup>e</sup> Tool<sup>TM</sup>", "1st 2e ToolTM"),
        ("H<sub>2</sub>O <sup>a</sup>B", "H2O aB"),
        ('said<sup><a href="#n">[1]</a></sup>', "said[1]"),
    ],
)
def test_powers_are_not_digits_of_their_base(page: str, text: str) -> None:
    assert text_of(page) == text


GLUED = (
    "option", "form", "label", "legend", "center", "fieldset", "button", "summary", "figcaption",
    "address", "nav", "dt",
)  # fmt: skip


@pytest.mark.parametrize("name", [*GLUED, "div style=display:block", "b style=display:flex"])
def test_words_of_neighbours_are_apart(name: str) -> None:
    tag = name.split()[0]
    page = f"<{name}>Red</{tag}><{name}>Green</{tag}>"
    page = f"<select>{page}</select>" if tag == "option" else page
    assert text_of(f"One{page}two").split() == ["One", "Red", "Green", "two"]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<nav><a href=x>Home</a></nav>", "Home"),
        ("<button>Pay</button>", "Pay"),
        ("A<img src=a.png alt='a flow chart'>B", "A a flow chart B"),
        ("<map><area href=x alt=North></map>", "North"),
        ("<input type=submit value=Send><input value=Ada><input type=hidden value=x>", "Send Ada"),
        ("<input type=password value=x><input type=checkbox value=x>A", "A"),
        ("<svg><title>x</title><text>expr</text><text>term</text></svg>", "expr\nterm"),
        ("<optgroup label=Fruit><option>Fig", "Fruit\nFig"),
        ("<details><summary>More</summary>Text</details>", "More\n\nText"),
        ("<object data=x>Fallback</object>", "Fallback"),
        ("<del>10</del> <ins>20</ins>", "10 20"),
        ("<noscript>x</noscript><template>x</template><iframe>x</iframe>A", "A"),
        ("<video>x</video><canvas>x</canvas><datalist><option>x</datalist>A", "A"),
        ("<math><semantics><mi>y</mi><annotation>x</annotation></semantics></math>", "y"),
        ("<![CDATA[x]]>A<!-- x --><?php x ?>", "A"),
        ("A&nbsp;&nbsp;B", "A B"),
        ("A<wbr>B<b>C</b>", "ABC"),
        ("A<br>B<br><br>C", "A\nB\n\nC"),
    ],
)
def test_what_a_browser_shows_is_kept(page: str, text: str) -> None:
    assert text_of(page) == text


CODE = """def f(x):

    if x:
        return 1

# a comment, no heading
    # an indented one


\treturn `x` ``y``
"""


@pytest.mark.parametrize("name", ["pre", "xmp", "listing"])
@pytest.mark.parametrize("wrapped", ["{}", "<ul><li>Item{}</ul>", "<table><td>{}<td>B</table>"])
def test_code_is_verbatim(name: str, wrapped: str) -> None:
    text = text_of(wrapped.format(f"<h1>Code</h1><{name}>\n{CODE}</{name}>After"))
    assert f"```\n{CODE.rstrip()}\n```" in text
    assert [section.heading for section in sections(text)] == ["Code"] or wrapped != "{}"


def test_python_code_runs_as_before() -> None:
    code = Path(__file__).read_text("utf-8").replace("`", "")
    lines = code.splitlines(keepends=True)
    page = "".join(f"<span>{html.escape(line)}</span>" for line in lines)
    text = text_of(f"<pre><code>{page}</code></pre>")
    assert ast.dump(ast.parse(text.strip("`"))) == ast.dump(ast.parse(code))


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<pre>a ```b``` c</pre>", "````\na ```b``` c\n````"),
        ("<pre><div>a</div><div>  b</div>c<br>d</pre>", "```\na\n  b\nc\nd\n```"),
        ("<pre> \n\n</pre>A", "A"),
        ("<pre>a<b hidden>x</b><pre>b</pre></pre>", "```\na\nb\n```"),
        ("<p>#  no heading</p><p># </p><p>``` no fence", "# no heading\n\n #\n\n\\``` no fence"),
        ("<textarea>a\n  b</textarea>", "a\n  b"),
        ("<div style='white-space:pre'>a\n  b\n\nc</div>", "a\n  b\n\nc"),
        ("a<span style='white-space:pre'>\t</span>b", "a b"),
        ("<p style='white-space:pre-wrap'>a <b style='white-space:normal'>b\nc</b>", "a b c"),
    ],
)
def test_lines_that_a_page_keeps(page: str, text: str) -> None:
    assert text_of(page).strip() == text
    assert not [section for section in sections(text_of(page)) if section.heading]


WITH_TEXT = (
    "<p>{}</p>", "<h2>{}</h2>", "<pre>{}</pre>", "<xmp>{}</xmp>", "<textarea>{}</textarea>",
    "<select><option>{}</option><option>{}</option></select>", "<form>{}</form>",
    "<button>{}</button>", "<label>{}</label>", "<dl><dt>{}</dt><dt>{}</dt></dl>",
)  # fmt: skip
WITH_BLOCKS = (
    "<div>{}</div>", "<article>{}</article>", "<nav>{}</nav>", "<center>{}</center>",
    "<blockquote>{}</blockquote>", "<ul><li>{}</li><li>{}</li></ul>", "<ol><li>{}</li></ol>",
    "<table><tr><td>{}</td><th>{}</th><td>{}</td></tr><tr><td>{}</td></tr></table>",
    "<table><caption>{}</caption><tbody><tr><td>{}</td></tr></tbody></table>",
    "<dl><dd>{}</dd><dd>{}</dd></dl>", "<details><summary>{}</summary>{}</details>",
    "<fieldset><legend>{}</legend>{}</fieldset>", "<object>{}</object>", "<h1><div>{}</div></h1>",
    "<span style='display:block'>{}</span>",
)  # fmt: skip


def tree(chosen: random.Random, words: Iterator[str], depth: int) -> str:
    """Write words without spaces, between elements that browsers lay out apart."""
    parts = []
    for _ in range(chosen.randint(1, 4)):
        template = chosen.choice(WITH_BLOCKS if depth else WITH_TEXT)
        for part in template.split("{}")[:-1]:
            parts += [part, tree(chosen, words, depth - 1) if depth else next(words)]
        parts.append(template.rpartition("{}")[2])
        parts.append(next(words) if chosen.random() < 0.3 else "")
    return "".join(parts)


def test_no_word_is_lost_or_joined_to_another() -> None:
    for seed in range(160):
        page = tree(random.Random(seed), (f"w{number}" for number in count()), seed % 4)
        text = text_of(page)
        assert re.findall(r"\bw\d+\b", text) == re.findall(r"w\d+", page), page


def test_every_row_of_three_cells_keeps_its_words_apart() -> None:
    cells = (
        "{}",
        "<p>{}</p>",
        "<h2>{}</h2>",
        "<pre>{}</pre>",
        "<img alt={}>",
        "<table><td>{}</table>",
    )
    for row in product((*cells, ""), repeat=3):
        inner = "".join(f"<td>{cell.format(f'w{n}')}</td>" for n, cell in enumerate(row))
        for start in ("<tr>", "<tr><td rowspan=2>w8</td><td>w9</td></tr><tr>"):
            page = f"<table>{start}{inner}</tr></table>"
            words = set(re.findall(r"w\d", page))
            assert set(re.findall(r"\bw\d\b", text_of(page))) == words, page


def test_a_comment_in_code_is_not_the_title() -> None:
    assert first_heading(text_of("<pre># install</pre><h2>Set-up</h2>")) == "Set-up"


def read(tmp_path: Path, page: str) -> tuple[list[str], list[LoadFailure]]:
    (tmp_path / "a.html").write_text(page, "utf-8")
    failures: list[LoadFailure] = []
    return [each.text for each in load([tmp_path], on_failure=failures.append)], failures


def test_what_is_hidden_is_named_before_a_page_is_refused(tmp_path: Path) -> None:
    texts, (note, refusal) = read(tmp_path, '<p style="display:none">Word</p>')
    assert not texts
    assert note.notice
    assert note.reason == "hidden text is left out: display: none (1)"
    assert refusal.reason == "the file contains no text but hidden text: display: none (1)"


def test_a_picture_without_words_hides_nothing(tmp_path: Path) -> None:
    page = '<div style="font-size:0"><img src=a.png alt=""> <i> </i></div>Seen'
    assert read(tmp_path, page) == (["Seen"], [])


@pytest.mark.parametrize("charset", ["utf-16", "UTF-16LE", "utf-16be"])
def test_a_page_that_can_say_utf_16_is_not_in_it(tmp_path: Path, charset: str) -> None:
    texts, failures = read(tmp_path, f'<meta charset="{charset}"><p>Größe</p>')
    assert (texts, failures) == (["Größe"], [])


HOSTILE = {
    "nested": "<div>" * 30_000,
    "nested, styled": '<b style="color:red">' * 10_000,
    "headings": "<h1>" * 10_000,
    "powers": "x<sup>" * 10_000,
    "tables": "<table><tr><td>" * 10_000,
    "two cells": "<table><tr><td>a<td>" * 6_000,
    "lists": "<ol reversed><li>" * 6_000,
    "code": "<pre>" * 10_000,
    "attributes": "<a b=" * 16_000,
    "no space": "a" * 200_000,
    "backticks": "<pre>" + "`" * 200_000,
    "blank lines": "<pre>" + " \n" * 60_000 + "x",
    "spans": "<table>" + "<tr><td rowspan=60000>label<td>b" * 6_000,
    "a wide row": "<table><tr>" + "<td rowspan=60000>label" * 1_000 + "<tr><td>x" * 6_000,
    "classes": "<p class='" + "a " * 60_000 + "'>x",
    "selectors": "<style>" + "a," * 30_000 + "b{color:red}</style>x",
    "blocks": "<style>" + "@media x{" * 30_000 + "</style>x",
    "open strings": "<style>" + "\"a'" * 30_000 + "</style>x",
    "brackets": "<style>" + "a[" * 30_000 + "{color:red}</style>x",
    "declarations": "<p style='" + "color:red;" * 50_000 + "'>x",
}


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pages_take_linear_time(page: str) -> None:
    started = time.process_time()
    text = text_of(f"First{page}")
    assert text.startswith("First")
    assert len(text) < 3 * len(page)
    assert time.process_time() - started < 5
