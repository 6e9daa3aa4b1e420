"""Why and Store."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.conftest import Visit
from http_fixtures import Served, StartHttp
from serving_fixtures import OpenPipeline, PacedGenerator

from expertrag_index.sources.ledger import Ledger
from expertrag_index.types import LoadFailure

QUESTION = "When are roses pruned?"


@pytest.mark.parametrize("name", ["nowhere", "constructor"])
def test_an_address_of_no_view_is_the_first_one(served: Served, visit: Visit, name: str) -> None:
    """Whatever a link names: every object of JavaScript has a ``constructor``."""
    page = visit(served, f"#/{name}?__proto__[polluted]=1")
    page.wait_for_selector("#question")
    assert page.title() == "Ask · ExpertRAG"


def test_one_question_under_every_mode(writing: Served, visit: Visit) -> None:
    page = visit(writing, "#/why")
    page.fill("#compared", QUESTION)
    page.press("#compared", "Control+Enter")
    page.wait_for_selector(".exchange:nth-of-type(4) .panel[aria-label=Cost]")
    names = page.eval_on_selector_all(".mode-name", "all => all.map(each => each.textContent)")
    assert names == ["auto", "always", "never", "strict"]
    bases = page.eval_on_selector_all(".basis", "all => all.map(each => each.className)")
    assert bases[1:] == ["basis documents", "basis model", "basis documents"]
    tops = page.eval_on_selector_all(
        ".panel[aria-label=Gate]", "all => all.map(each => each.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 1  # side by side, so that they can be compared


def test_the_store_and_its_documents(served: Served, visit: Visit) -> None:
    page = visit(served, "#/store")
    page.wait_for_selector(".doc-table tbody tr")
    figures = page.inner_text(".figures-grid")
    assert "18" in figures
    assert "paced" in figures
    assert "Healthy" in page.inner_text(".health")
    assert page.locator(".doc-table tbody tr").count() == 18
    assert page.locator("input[type=checkbox], input[type=file]").count() == 0
    page.click(".bars >> text=garden")
    page.wait_for_selector("text=6 documents")
    page.fill("#filter", "year: 2020, domain: garden")
    page.press("#filter", "Enter")
    page.wait_for_selector("text=/^1 document$/")
    assert page.inner_text(".doc-table tbody a") == "roses"
    page.fill("#filter", "colour")
    page.press("#filter", "Enter")
    assert "Write a filter as" in page.inner_text(".listing .warning")
    page.fill("#filter", "")
    page.fill("#find", "bud that faces outwards")
    page.press("#find", "Enter")
    page.wait_for_selector(".found .passage")
    page.click(".found .passage a >> nth=0")
    page.wait_for_selector("#cited")
    assert page.inner_text("h1") == "roses"


def test_skipped_files_with_their_cures(writing: Served, visit: Visit, own_store: Path) -> None:
    page = visit(writing, "#/store")
    page.wait_for_selector("text=Nothing was skipped")
    names = ["manuals/\u202egnp.pdf", *(f"manuals/{number:03}.pdf" for number in range(60))]
    failures = [LoadFailure(name, "needs a password", "remove its password") for name in names]
    with Ledger(own_store) as ledger:
        ledger.keep_skipped(failures, lambda _: False)
    page.reload()
    page.wait_for_selector(".skipped-files tbody tr")
    assert page.locator(".skipped-files tbody tr").count() == 50
    page.click("text=More skipped files")
    page.wait_for_selector(".skipped-files tbody tr:nth-child(61)")
    assert "remove its password" in page.inner_text(".skipped-files tbody tr:last-child")
    assert "\u202e" not in page.inner_text(".skipped-files tbody")


def test_documents_are_listed_page_by_page(writing: Served, visit: Visit) -> None:
    more = [{"id": f"more/{number:03}", "text": f"Text {number}."} for number in range(60)]
    assert writing.post("/api/documents/upsert", {"documents": more}).status_code == 200
    page = visit(writing, "#/store")
    page.wait_for_selector("text=/^78 documents$/")
    assert page.locator(".doc-table tbody tr").count() == 50
    page.click("text=More documents")
    page.wait_for_selector(".doc-table tbody tr:nth-child(78)")
    assert page.locator("text=More documents").count() == 0


def test_files_are_added_and_documents_deleted(
    writing: Served, visit: Visit, tmp_path: Path
) -> None:
    page = visit(writing, "#/store")
    page.click("text=Add documents")
    text, binary = tmp_path / "Asters é.txt", tmp_path / "image.png"
    text.write_text("Asters bloom in autumn 🌼.", "utf-8")
    binary.write_bytes(b"\x89PNG\xff\xfe\x00")
    page.set_input_files("#files", [binary])
    page.wait_for_selector("text=not text in UTF-8")
    page.set_input_files("#files", [text])
    page.wait_for_selector("text=1 document added, 0 changed; generation 2.")
    stored = writing.post("/api/documents/text", {"id": "Asters é.txt"}).json()
    assert stored["text"] == "Asters bloom in autumn 🌼."
    empty, other = tmp_path / "empty.txt", tmp_path / "other.txt"
    empty.touch()
    other.write_text("Dahlias are lifted in November.")
    page.set_input_files("#files", [empty, other])
    page.wait_for_selector("text=1 document added, 0 changed; generation 3.")
    assert page.inner_text(".skipped").startswith("empty.txt: ")
    page.fill("#new-id", "note")
    page.fill("#new-text", "A note.")
    page.click("text=/^Add$/")
    page.wait_for_selector("text=generation 4.")
    page.check("[aria-label='Choose note']")
    page.click("text=Delete 1 document")
    page.click("text=/^Keep$/")
    page.click("text=Delete 1 document")
    page.click("text=/^Delete$/")
    page.wait_for_selector("text=1 document deleted; generation 5.")
    assert writing.post("/api/documents/text", {"id": "note"}).status_code == 404


def test_collections_are_chosen(
    start_http: StartHttp,
    open_pipeline: OpenPipeline,
    built_store: Path,
    own_store: Path,
    visit: Visit,
) -> None:
    from expertrag.answer.collections import Collections

    smaller = open_pipeline(store=own_store)
    smaller.delete(["garden/roses", "garden/lawn"])
    smaller.close()
    both = Collections(
        lambda store: open_pipeline(store=store), {"default": built_store, "smaller": own_store}
    )
    page = visit(start_http(lambda: both), "#/store")
    page.wait_for_selector("text=/^18 documents$/")
    page.select_option(".collection select", "smaller")
    page.wait_for_selector("text=/^16 documents$/")


def test_problems_are_told(served: Served, paced: PacedGenerator, visit: Visit) -> None:
    paced.problem = "the <b>model</b> server is down"
    page = visit(served)
    page.click("text=degraded")
    page.wait_for_selector(".health.bad")
    assert page.inner_text(".health") == "model: the <b>model</b> server is down"
