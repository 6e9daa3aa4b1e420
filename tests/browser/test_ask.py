"""Ask: answers are streamed, stopped, cited and rated; what they rest on is unmistakable."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from browser.conftest import Visit, add, ask
from http_fixtures import Served, StartHttp
from serving_fixtures import OpenPipeline, PacedGenerator, TellingGenerator, wait_until

from expertrag.audit import Audit
from expertrag.audit.reading import read_log

QUESTION = "When are roses pruned?"


def test_an_answer_grows_while_it_is_made(
    served: Served, paced: PacedGenerator, visit: Visit
) -> None:
    paced.step_s = 0.1
    page = visit(served)
    page.fill("#question", QUESTION)
    page.press("#question", "Enter")
    page.wait_for_selector(".exchange .panel[aria-label=Gate]")
    page.wait_for_selector(".text >> text=3")
    assert page.get_attribute(".exchange [aria-live]", "aria-busy") == "true"
    assert "19" not in page.inner_text(".text")
    assert page.query_selector(".panel[aria-label=Cost]") is None
    page.wait_for_selector(".exchange [aria-busy=false]")
    assert page.inner_text(".text").split() == [str(number) for number in range(20)]
    cost = page.inner_text(".panel[aria-label=Cost]")
    assert "generate" in cost
    assert "20 tokens" in cost


def test_escape_and_the_button_stop_an_answer(
    served: Served, paced: PacedGenerator, visit: Visit
) -> None:
    paced.step_s = 0.2
    page = visit(served)
    stops: tuple[Callable[[], None], ...] = (
        lambda: page.keyboard.press("Escape"),
        lambda: page.click("button >> text=/^Stop$/"),
    )
    for stop in stops:
        page.fill("#question", QUESTION)
        page.press("#question", "Enter")
        page.wait_for_selector(".exchange:last-of-type .text")
        stop()
        page.wait_for_selector(".exchange:last-of-type [aria-busy=false]")
        assert "stopped before its end" in page.inner_text(".exchange:last-of-type .basis")
        wait_until(lambda: paced.open_sessions == 0)


def test_the_gate_explains_itself(
    start_http: StartHttp, open_pipeline: OpenPipeline, fitted_gate: Any, visit: Visit
) -> None:
    served = start_http(lambda: open_pipeline(gate=fitted_gate))
    page = visit(served)
    ask(page, QUESTION)
    gate = page.inner_text(".panel[aria-label=Gate]")
    assert "Retrieve" in gate
    assert re.search(r"benefit\s+[01]\.\d\d\s+threshold\s+0\.10", gate)
    assert re.search(r"store\s+[+\u2212]\d", gate)
    assert re.search(r"prefill\s+[+\u2212]\d", gate)
    bar = page.query_selector(".against .fill")
    tick = page.query_selector(".against .tick")
    assert bar and tick
    assert bar.evaluate("at => at.getBoundingClientRect().width") > 0
    decision = served.post("/api/decide", {"question": QUESTION}).json()
    assert decision["reason"] in gate


def test_what_an_answer_rests_on_is_unmistakable(writing: Served, visit: Visit) -> None:
    page = visit(writing)
    for mode, basis in (
        ("always", "From the documents"),
        ("never", "From the model alone, not from the documents"),
    ):
        page.check(f"input[value={mode}]", force=True)
        ask(page, QUESTION)
        assert page.inner_text(".exchange:last-of-type .basis b") == basis
    page.check("input[value=strict]", force=True)
    ask(page, "Who won the election of 1932?")
    assert page.inner_text(".exchange:last-of-type .basis b").startswith("No answer")
    kinds = page.eval_on_selector_all(".basis", "all => all.map(each => each.className)")
    assert kinds == ["basis documents", "basis model", "basis abstained"]


def test_passages_have_both_scores_and_citations_lead_to_the_source(
    writing: Served, visit: Visit
) -> None:
    page = visit(writing)
    page.check("input[value=always]", force=True)
    ask(page, QUESTION)
    assert page.locator(".passage").count() == 5
    first = page.inner_text(".passage >> nth=0")
    assert re.search(r"dense\s+0\.\d\d\s+BM25\s+1\.00\s+fused\s+\d\.\d\d", first)
    assert page.inner_text(".cited").startswith("Roses are pruned in March")
    page.click(".marker")
    assert (
        page.inner_text("#cited") == "Roses are pruned in March, above a bud that faces outwards."
    )
    assert page.inner_text("h1") == "roses"


def test_a_follow_up_is_read_in_context(served: Served, visit: Visit) -> None:
    page = visit(served)
    ask(page, QUESTION)
    ask(page, "And tulips?")
    assert "Read as:" in page.inner_text(".exchange:last-of-type .panel[aria-label=Gate]")
    page.click("text=New")
    assert page.locator(".exchange").count() == 0


def test_ratings_reach_the_audit_log(
    start_http: StartHttp, open_pipeline: OpenPipeline, tmp_path: Path, visit: Visit
) -> None:
    log = tmp_path / "audit.jsonl"
    page = visit(start_http(lambda: open_pipeline(audit=Audit(log))))
    ask(page, QUESTION)
    page.click("text=Not helpful")
    page.wait_for_selector(".rate[aria-pressed=true]")
    (stored,) = read_log(log).feedback.values()
    assert stored.helpful is False


def test_without_a_log_ratings_say_so(served: Served, visit: Visit) -> None:
    page = visit(served)
    ask(page, QUESTION)
    page.click("text=Not helpful")
    page.wait_for_selector("text=ratings are not stored")


def test_an_error_is_shown_and_can_be_tried_again(
    start_http: StartHttp, open_pipeline: OpenPipeline, visit: Visit
) -> None:
    page = visit(start_http(lambda: open_pipeline(TellingGenerator("Yes."))))
    ask(page, "x" * 40_000)
    assert "question" in page.inner_text(".exchange .warning")
    page.click("text=Try again")
    page.wait_for_selector(".exchange .warning")


def test_a_hostile_answer_is_text(
    start_http: StartHttp, open_pipeline: OpenPipeline, own_store: Path, visit: Visit
) -> None:
    attack = "<img src=x onerror=alert(1)> \u202egnp.exe [x](javascript:alert(1))"
    model = TellingGenerator(f"Roses: {attack}")
    served = start_http(lambda: open_pipeline(model, store=own_store), allow_writes=True)
    add(served, id="<b>roses</b>", title=attack, text=f"{QUESTION} {attack}")
    page = visit(served)
    page.check("input[value=always]", force=True)
    ask(page, f"{QUESTION} <script>alert(2)</script>")
    assert page.inner_text(".question").endswith("<script>alert(2)</script>")
    assert "<img src=x onerror=alert(1)> U+202Egnp.exe" in page.inner_text(".text")
    assert page.inner_text(".passage >> nth=0").count("<img src=x onerror=alert(1)>") == 2
    assert page.locator("main img, main script, main b:text('roses')").count() == 0
    assert "\u202e" not in page.inner_text("main")


def test_what_did_not_fit_into_the_prompt_is_listed_on_demand(
    served: Served, paced: PacedGenerator, visit: Visit
) -> None:
    paced.context_tokens = 330  # the answer takes 256
    page = visit(served)
    page.check("input[value=always]", force=True)
    ask(page, QUESTION)
    kept = page.locator(".passage").count()
    assert 0 < kept < 5
    assert f"{5 - kept} passage" in page.inner_text(".passages")
    page.click(".passages >> text=Show")
    page.wait_for_selector(".passage.dropped")
    assert page.locator(".passage.dropped").count() == 5 - kept
    titles = page.eval_on_selector_all(".passage bdi", "all => all.map(each => each.innerText)")
    assert len(set(titles)) == 5


def test_back_returns_to_the_place_in_the_conversation(served: Served, visit: Visit) -> None:
    page = visit(served)
    page.check("input[value=always]", force=True)
    for _ in range(3):
        ask(page, QUESTION)
    page.evaluate("() => scrollTo(0, 700)")
    page.click(".exchange:nth-of-type(2) .passage-head a >> nth=0")
    page.wait_for_selector("#cited")
    page.go_back()
    page.wait_for_selector(".exchange >> nth=2")
    place = page.evaluate("() => scrollY")
    assert place > 300
    page.click("text=Compare the modes >> nth=0")
    assert page.input_value("#compared") == QUESTION
    assert page.locator(".side-by-side .exchange").count() == 0  # an address alone asks nothing
