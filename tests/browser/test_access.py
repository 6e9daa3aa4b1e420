"""Tokens, themes, the keyboard, small screens, and axe-core's rules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser.conftest import Figures, Visit, ask, heat_map_file
from http_fixtures import Served, StartHttp
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag.audit import Audit
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.config import AuthConfig

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUESTION = "When are roses pruned?"
DOCUMENT = "#/document?id=garden%2Froses&start=0&end=26"
VIEWS = ("", "#/why", "#/store", "#/experts", "#/learn", DOCUMENT)
SCREENS: list[tuple[Any, int]] = [("light", 1280), ("dark", 1280), ("light", 400)]
SERIOUS = ("serious", "critical")


@pytest.fixture
def guarded(start_http: StartHttp, tmp_path: Path) -> tuple[Served, str]:
    """A server that wants a token, and one."""
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.create("ada", frozenset({Scope.READ})).text
    return start_http(auth=AuthConfig(tokens=str(tokens.path))), token


def test_a_token_is_asked_for_once(guarded: tuple[Served, str], visit: Visit) -> None:
    served, token = guarded
    page = visit(served)
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("() => document.activeElement.id") == "token"
    assert page.get_attribute("#token", "type") == "password"
    page.fill("#token", f"  {token}\n")
    page.press("#token", "Enter")
    page.wait_for_selector("dialog:not([open])", state="attached")
    ask(page, QUESTION)
    assert page.locator(".basis").count() == 1
    page.reload()
    page.wait_for_selector("text=18 documents in 18 chunks")
    assert page.locator("dialog[open]").count() == 0
    kept = page.evaluate("() => JSON.stringify([{...localStorage}, document.cookie])")
    assert token not in kept
    assert token in page.evaluate("() => JSON.stringify({...sessionStorage})")
    page.click("text=Token")
    page.click("text=Forget")
    page.wait_for_selector("dialog[open]")
    assert QUESTION not in page.inner_text("body")
    assert token not in page.evaluate("() => JSON.stringify({...sessionStorage})")


def test_a_refused_token_is_asked_for_again(guarded: tuple[Served, str], visit: Visit) -> None:
    served, token = guarded
    page = visit(served)
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    page.click("text=Token")
    page.fill("#token", token[:-2] + "xx")
    page.press("#token", "Enter")
    page.wait_for_selector("dialog[open] >> text=has refused the token")
    page.fill("#token", token)
    page.press("#token", "Enter")
    page.wait_for_selector("text=18 documents in 18 chunks")


def test_themes_follow_the_system_and_the_button(served: Served, visit: Visit) -> None:
    page = visit(served, color_scheme="dark")

    def brightness() -> int:
        colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        return sum(int(each) for each in colour[4:-1].split(",")) // 3

    assert brightness() < 60
    page.emulate_media(color_scheme="light")
    assert brightness() > 200
    page.click(".icon")
    page.click(".icon")
    assert brightness() < 60  # auto, light, dark
    page.reload()
    page.wait_for_selector("#question")
    assert brightness() < 60


def test_everything_is_reached_by_the_keyboard(writing: Served, visit: Visit) -> None:
    page = visit(writing)
    page.wait_for_selector("text=18 documents in")
    assert page.evaluate("() => document.activeElement.id") == "question"
    page.keyboard.type(QUESTION)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.is_checked("input[value=always]")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".exchange [aria-busy=false]")
    page.evaluate("() => document.activeElement.blur()")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        about = page.evaluate(
            "() => { const at = document.activeElement, style = getComputedStyle(at);"
            " return [at.className || at.id || at.tagName, style.outlineStyle,"
            " at.getBoundingClientRect().height]; }"
        )
        reached.append(about)
    names = [str(name) for name, *_ in reached]
    for wanted in ("skip", "brand", "quiet icon", "marker", "rate", "question"):
        assert wanted in names, names
    seen = {str(name): outline for name, outline, _ in reached}
    assert all(seen[name] != "none" for name in ("skip", "brand", "marker", "rate", "question"))


def test_the_skip_link_and_the_headings(served: Served, visit: Visit) -> None:
    page = visit(served, "#/store")
    page.wait_for_selector(".doc-table")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.tagName") == "MAIN"
    page.click("nav >> text=Why")
    page.wait_for_selector("#compared")
    assert page.evaluate("() => document.activeElement.textContent") == "Why"
    assert page.title() == "Why · ExpertRAG"


@pytest.fixture
def logged(
    start_http: StartHttp, open_pipeline: OpenPipeline, own_store: Path, tmp_path: Path
) -> Served:
    """A server that accepts writes, and has logged a decision."""
    model = TellingGenerator("Roses are pruned in March, above a bud that faces outwards.")
    audit = Audit(tmp_path / "audit.jsonl", texts=True)
    served = start_http(
        lambda: open_pipeline(model, store=own_store, audit=audit), allow_writes=True
    )
    served.post("/api/answer", {"question": QUESTION})
    return served


def _filled(page: Page, view: str) -> None:
    """Bring a view into a state with everything in it."""
    if view == "":
        for mode in ("always", "never", "strict"):
            page.check(f"input[value={mode}]", force=True)
            ask(page, QUESTION if mode != "strict" else "Who won the election of 1932?")
        page.click(".passage summary >> nth=0")
        page.click("text=Signals >> nth=0")
    elif view == "#/why":
        page.fill("#compared", QUESTION)
        page.press("#compared", "Enter")
        page.wait_for_selector(".exchange:nth-of-type(4) .panel[aria-label=Cost]")
        page.wait_for_selector(".histogram")
    elif view == "#/experts":
        page.wait_for_selector(".heat >> nth=2")
        page.set_input_files("#profile", heat_map_file())
        page.wait_for_selector(".dense")
    elif view == "#/learn":
        page.wait_for_selector(".side-answer:nth-child(2) .rate:not([disabled])")
        page.keyboard.press("2")
    elif view == "#/store":
        page.wait_for_selector(".doc-table tbody tr")
        page.click("text=Add documents")
    else:
        page.wait_for_selector(".chunks a")
        if "token" in view:
            page.click("text=Token")


@pytest.mark.parametrize("view", [*VIEWS, f"{DOCUMENT}&token"])
def test_axe_finds_nothing_serious(
    logged: Served, visit: Visit, figures: Figures, view: str
) -> None:
    axe = Path(os.environ["CONSOLE_AXE"]).read_text("utf-8")
    page = visit(logged, view, bypass_csp=True)
    _filled(page, view)
    for scheme, width in SCREENS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        found = page.evaluate(f"() => {{ {axe}; return axe.run(); }}")["violations"]
        shown = "token" if "token" in view else view.split("?")[0].removeprefix("#/") or "ask"
        name = f"{shown}, {scheme}, {width}"
        figures.setdefault("axe", {})[name] = [rule["id"] for rule in found]
        serious = [rule for rule in found if rule["impact"] in SERIOUS]
        assert serious == [], [
            (rule["id"], [node["html"][:200] + node["failureSummary"] for node in rule["nodes"]])
            for rule in serious
        ]


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_small_screen(logged: Served, visit: Visit, view: str) -> None:
    page = visit(logged, view, viewport={"width": 400, "height": 800})
    _filled(page, view)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 400
    assert page.locator("header nav a").last.is_visible()
