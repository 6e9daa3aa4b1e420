"""A word that a browser shows is never left out, however it was almost hidden.

Pages are generated whose visible words are known from how they are made: each way to hide a text,
at each place where it can be said, with each way to take it back.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from expertrag_index.loaders.html import page_of


class Hiding(NamedTuple):
    """A property, a value that hides, one that shows; and whether a child can take it back."""

    name: str
    hidden: str
    shown: str
    inherited: bool


HIDINGS = (
    Hiding("display", "none", "block", inherited=False),
    Hiding("opacity", "0", "1", inherited=False),
    Hiding("visibility", "hidden", "visible", inherited=True),
    Hiding("font-size", "0", "13px", inherited=True),
    Hiding("font-size", "0px", "small", inherited=True),
    Hiding("color", "#fff", "#000", inherited=True),
    Hiding("color", "transparent", "black", inherited=True),
)
PLACES = {"inline": "", "class": ".x", "id": "#x", "tag and class": "p.x", "tag": "p"}
PAGE = "<!doctype html><html><head>{head}</head><body{body}><div>Before</div>{rest}</body></html>"


class Case(NamedTuple):
    """A page, and whether a browser shows "Word" in it."""

    name: str
    page: str
    is_shown: bool


def cases() -> Iterator[Case]:
    for hiding in HIDINGS:
        for place, selector in PLACES.items():
            for name, (head, body, is_shown) in taken_back(hiding, selector).items():
                page = PAGE.format(head=head, body="", rest=body)
                yield Case(f"{hiding.name} {hiding.hidden} by {place}, {name}", page, is_shown)


def taken_back(hiding: Hiding, selector: str) -> dict[str, tuple[str, str, bool]]:
    """Return head, body and whether "Word" is shown, for each way to take a hiding back."""
    hide, show = f"{hiding.name}:{hiding.hidden}", f"{hiding.name}:{hiding.shown}"
    inline = "" if selector else f' style="{hide}"'
    rule = f"{selector}{{{hide}}}" if selector else ""
    by_sheet = bool(selector)
    strong = selector in ("#x", "p.x")  # stronger than a class

    def body(classes: str = "x", inner: str = "Word", style: str = inline) -> str:
        return f'<p id="x" class="{classes}"{style}>{inner}</p>'

    def sheet(more: str = "", first: str = "", attributes: str = "") -> str:
        return f"<style{attributes}>{first}{rule}{more}</style>"

    child = f'<b style="{show}">Word</b>'
    return {
        "not at all": (sheet(), body(), False),
        "by a child": (sheet(), body(inner=child), hiding.inherited),
        "by the class of a child": (
            sheet(f"\n.c{{{show}}}"),
            body(inner='<b class="c">Word</b>'),
            hiding.inherited,
        ),
        "by a medium": (
            sheet(f"@media (min-width:1px){{#x{{{show}}}}}"),
            body(),
            by_sheet,
        ),
        "by all but print": (sheet(f"@media not print{{#x{{{show}}}}}"), body(), by_sheet),
        "by a medium, important": (
            sheet(f"@media (min-width:1px){{#x{{{show}!important}}}}"),
            body(),
            True,
        ),
        "for print": (sheet(f"@media print{{#x{{{show}}}}}"), body(), False),
        "by two classes": (sheet(f"#x.x.y{{{show}}}"), body("x y"), by_sheet),
        "by a later rule": (sheet(f".z{{{show}}}"), body("x z"), by_sheet and not strong),
        "by an earlier rule": (
            sheet(first=f".z{{{show}}}"),
            body("x z"),
            selector == "p",
        ),
        "by an important rule": (sheet(first=f".z{{{show}!important}}"), body("x z"), True),
        "by its own style": (
            sheet(),
            body(style=f' style="{hide};{show}"'),
            True,
        ),
        "by a nested rule": (sheet(f"body{{& #x{{{show}}}}}"), body(), by_sheet),
        "by a name with a colon": (
            sheet(rf"@media screen{{p#x.md\:s{{{show}}}}}"),
            body("x md:s"),
            by_sheet,
        ),
        "by :is()": (sheet(f"p:is(#x,.y){{{show}}}"), body(), by_sheet),
        "not by a pseudo-element": (sheet(f"#x::before{{{show}}}"), body(), False),
        "not by another": (sheet(f".other{{{show}}} em{{{show}}}"), body(), False),
    }


CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_is_hidden_and_what_takes_it_back(case: Case) -> None:
    hidden: Counter[str] = Counter()
    words = page_of(case.page.encode(), hidden)[1].split()
    assert words == ["Before", "Word"][: 1 + case.is_shown]
    assert hidden.total() == (not case.is_shown)


@pytest.mark.parametrize("hiding", HIDINGS, ids=lambda hiding: f"{hiding.name} {hiding.hidden}")
@pytest.mark.parametrize("template", [
    '<style id="antiClickjack">body{{{hide}}}</style>',
    "<style>html, body{{{hide}}}</style>",
    "<noscript><style>p{{{hide}}}</style></noscript>",
    '<style media="print">p{{{hide}}}</style>',
    '<style media="not screen">p{{{hide}}}</style>',
    '<style media="screen and (max-width:400px)">p{{{hide}}}</style>',
    '<style media="(prefers-color-scheme:dark)">p{{{hide}}}</style>',
    "<style>@media print{{p{{{hide}}}}}</style>",
    "<style>@media only print, speech{{p{{{hide}}}}}</style>",
    "<style>p::after{{{hide}}}</style>",
    "<style>p:hover{{{hide}}}</style>",
    "<style>p + p{{{hide}}}</style>",
    "<style>:not(.x, p){{{hide}}}</style>",
    "<style>}}p{{{hide}}}</style>",
    "<link rel=stylesheet href=a.css><style>p{{{hide}}}</style>",
    "<style>@import 'a.css';p{{{hide}}}</style>",
])  # fmt: skip
def test_a_rule_that_may_not_apply_hides_nothing(hiding: Hiding, template: str) -> None:
    head = template.format(hide=f"{hiding.name}:{hiding.hidden}")
    hidden: Counter[str] = Counter()
    page = PAGE.format(head=head, body="", rest="<p>Word</p>")
    assert page_of(page.encode(), hidden)[1].split() == ["Before", "Word"]
    assert not hidden


@pytest.mark.parametrize("hiding", HIDINGS, ids=lambda hiding: f"{hiding.name} {hiding.hidden}")
def test_a_page_does_not_hide_itself(hiding: Hiding) -> None:
    style = f' style="{hiding.name}:{hiding.hidden}"'
    page = PAGE.format(head="", body=style, rest="<p>Word</p>")
    assert page_of(page.encode(), Counter())[1].split() == ["Before", "Word"]


def chain(seed: int) -> tuple[str, list[str]]:
    """Return nested elements with a word in each, and the words that a browser shows."""
    chosen = random.Random(seed)
    opened, shown = [], []
    state = {hiding.name: False for hiding in HIDINGS}
    for number in range(chosen.randint(2, 6)):
        tag = chosen.choice(["div", "p", "span", "td", "li", "b", "font", "section"])
        style = ""
        for hiding in chosen.sample(HIDINGS, chosen.randint(0, 2)):
            if hiding.name in style or (tag == "font" and hiding.name == "color"):
                continue
            hides = chosen.random() < 0.5
            style += f"{hiding.name}:{hiding.hidden if hides else hiding.shown};"
            state[hiding.name] = hides or (state[hiding.name] and not hiding.inherited)
        opened.append(f'<{"div" if tag in ("p", "td", "li") else tag} style="{style}"> w{number} ')
        if not any(state.values()):
            shown.append(f"w{number}")
    return "".join(opened), shown


def test_chains_of_styles() -> None:
    for seed in range(1_000):
        body, shown = chain(seed)
        page = PAGE.format(head="", body="", rest=body)
        assert page_of(page.encode(), Counter())[1].split() == ["Before", *shown], page


@pytest.mark.parametrize(
    "body",
    {
        # MJML writes every text of a mail so (mrml 0.2.4)
        "a cell without a font": '<td style="font-size:0px"><div style="font-size:13px">Word</div>',
        "a cell in white on black": '<td bgcolor="#000"><font color="#fff">Word</font>',
        "a page in white": '<body bgcolor="black" text="white">Word',
        "a hero": '<div style="background-image:url(a.png);color:#fff">Word</div>',
        "an old hero": '<table><td background="a.png"><font color="white">Word</font></table>',
        "a gradient": '<div style="background:linear-gradient(red,blue);color:#fff">Word</div>',
        "text cut out of a gradient": (
            '<b style="background:linear-gradient(red,blue);-webkit-background-clip:text;'
            'color:transparent">Word</b>'
        ),
        "a glow": '<b style="color:transparent;text-shadow:0 0 5px #000">Word</b>',
        "a word over a picture": '<b style="position:absolute;top:9px;color:#fff">Word</b>',
        "a word drawn over its neighbour": '<p style="margin-top:-50px;color:#fff">Word</p>',
        "a link": '<div style="color:#fff"><a href="x">Word</a></div>',
        "a button": '<div style="color:#fff;font-size:0"><button>Word</button></div>',
        "a colour of before": '<p style="color:initial">Word',
        "no background": '<p style="background:none;color:#000">Word',
        "a translucent background": '<p style="background:rgba(0,0,0,.9);color:#000">Word',
        "centred by a margin": (
            '<div style="position:absolute;left:-1480px;margin-left:50%">Word</div>'
        ),
        "stretched": '<div style="position:absolute;left:-9999px;right:-9999px">Word</div>',
        "named by a picture": '<p style="text-indent:-9999px">Word</p>',
        "a font of keywords": '<p style="font-size:inherit;opacity:inherit">Word',
        "tables of old pages": '<div style="color:#fff;font-size:0"><table><td>Word</table></div>',
        "a script that fades in": '<script src="a.js"></script><p style="opacity:0">Word</p>',
        "an animation": '<p style="opacity:0;animation:in 1s forwards">Word</p>',
        "shown by its rule": '<style>.m{display:flex}</style><p hidden class="m">Word</p>',
        "a style in a comment": "<style><!-- p{color:#000} --></style><p>Word</p>",
        "an open dialog": "<dialog open>Word</dialog>",
        "a drawing": '<svg style="color:#fff"><text style="font-size:.5px">Word</text></svg>',
    }.values(),
)
def test_what_browsers_show_of_real_pages(body: str) -> None:
    hidden: Counter[str] = Counter()
    assert page_of(body.encode(), hidden)[1].split() == ["Word"]
    assert not hidden


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        # a preheader, in most mails of mailing services
        ('<div style="display:none;font-size:1px;color:#fff">Word</div>', "display: none"),
        ('<span style="font-size:1px;color:#fff">Word</span>', "font size 0"),
        # a skip link, above the contents of most pages of WordPress before 2019
        ('<a style="position:absolute;left:-9999px" href="#m">Word</a>', "outside the page"),
        ('<b style="position:absolute;top:-999em"><i>Word</i></b>', "outside the page"),
        # words for search engines alone
        ('<div style="background:#222"><p style="color:#222222">Word', "colour of the background"),
        ('<p style="background:white;color:rgb(255 255 255)">Word', "colour of the background"),
        ('<font color="#ffffff">Word</font>', "colour of the background"),
        ("<dialog>Word</dialog>", "hidden"),
    ],
)
def test_what_is_certainly_hidden(body: str, reason: str) -> None:
    hidden: Counter[str] = Counter()
    page = PAGE.format(head="", body="", rest=body)
    assert page_of(page.encode(), hidden)[1] == "Before"
    assert hidden == {reason: 1}
