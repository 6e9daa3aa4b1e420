"""Why's slider, Experts and Learn: what the audit log tells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser.conftest import Visit
from http_fixtures import Served, StartHttp
from serving_fixtures import TOPICS, OpenPipeline, TellingGenerator

from expertrag.audit import Audit
from expertrag.audit.questions import collect_corrected
from expertrag.audit.reading import read_log

QUESTIONS = ("When are roses pruned?", "How often does a checkpoint run?", "Who won in 1932?")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def logged(start_http: StartHttp, open_pipeline: OpenPipeline, log: Path) -> Served:
    """A server that has logged three decisions."""
    model = TellingGenerator(TOPICS["garden"]["roses"])
    served = start_http(lambda: open_pipeline(model, audit=Audit(log, texts=True)))
    for question in QUESTIONS:
        served.post("/api/answer", {"question": question, "max_tokens": 2})
    return served


def test_the_slider_shows_what_would_have_been_decided(logged: Served, visit: Visit) -> None:
    page = visit(logged, "#/why")
    page.wait_for_selector(".histogram i >> nth=19")
    page.check("input[value=threshold]", force=True)
    page.fill("#policy-value", "1")
    page.wait_for_selector("td >> text=/^0 \\(0.00\\)$/")
    page.fill("#policy-value", "0")
    page.wait_for_selector("td >> text=/^3 \\(1.00\\)$/")
    page.check("input[value=target_rate]", force=True)
    page.fill("#policy-value", "0.34")
    page.wait_for_selector("td >> text=/^1 \\(0.33\\)$/")
    assert re.search(r"of 3 would change", page.inner_text(".replay"))
    assert page.inner_text(".replay output") == "0.34"


def test_the_heat_maps(logged: Served, visit: Visit) -> None:
    page = visit(logged, "#/experts")
    page.wait_for_selector(".heat >> nth=2")
    counts = logged.post("/api/decisions/experts", {}).json()["counts"]
    shown = page.eval_on_selector_all(
        ".heat:first-of-type .cell:not(:has(.hidden))", "all => all.map(each => each.innerText)"
    )
    assert sum(map(int, shown)) == sum(count["decisions"] for count in counts) == 3


def test_two_keys_label_a_question(logged: Served, log: Path, visit: Visit) -> None:
    page = visit(logged, "#/learn")
    page.wait_for_selector("text=3 questions left, 0 with a right answer")
    first = page.inner_text(".labelling h2")
    page.wait_for_selector(".side-answer:nth-child(2) .rate:not([disabled])")
    page.keyboard.press("1")
    page.keyboard.press("2")
    page.keyboard.press("1")
    assert page.locator(".side-answer.right").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_selector("text=2 questions left, 1 with a right answer")
    (found,) = collect_corrected(read_log(log))
    assert (found.text, found.answers) == (first, (TOPICS["garden"]["roses"],))
    page.fill("#own", "In March.")
    page.press("#own", "Enter")
    page.wait_for_selector("text=1 question left, 2 with a right answer")
    assert {answer for each in collect_corrected(read_log(log)) for answer in each.answers} == {
        TOPICS["garden"]["roses"],
        "In March.",
    }
    page.click("text=/^Next$/")
    page.wait_for_selector("text=There is no other question to judge.")
    assert len(collect_corrected(read_log(log))) == 2
    page.reload()
    page.wait_for_selector("text=1 question left, 2 with a right answer")


@pytest.mark.parametrize("view", ["#/why", "#/experts", "#/learn"])
def test_without_a_log_the_views_say_so(served: Served, visit: Visit, view: str) -> None:
    page = visit(served, view)
    assert "--audit-path" in page.inner_text(".note")
