"""Document: the cited span by exact offsets, long and hostile texts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from browser.conftest import Figures, Visit, add, ask
from http_fixtures import Served, StartHttp
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag_index.build.writer import IndexWriter
from expertrag_index.types import Document

LONG = 1_000_000


def view(**fields: object) -> str:
    return f"#/document?{urlencode(fields, quote_via=quote)}"


def test_the_cited_span_is_marked_by_code_points(writing: Served, visit: Visit) -> None:
    text = (
        "\U0001f339\U0001f339 Roses e\u0301 and \U0001d4b3. "
        "The notice period is 4 weeks. \U0001f331 End."
    )
    add(
        writing, id="notice", text=text, title="Notice", metadata={"year": 2024, "tags": ["a", "b"]}
    )
    start = text.index("The notice")
    end = text.index(" \U0001f331")
    page = visit(writing, view(id="notice", collection="default", start=start, end=end, page=3))
    assert page.inner_text("#cited") == text[start:end] == "The notice period is 4 weeks."
    assert page.inner_text(".document-text") == text
    assert "page 3" in page.inner_text(".cited-where")
    about = page.inner_text(".about")
    assert "2024" in about
    assert '["a","b"]' in about
    page.wait_for_selector(".chunks a[aria-current]")


def test_the_address_of_an_openai_citation_opens_it(writing: Served, visit: Visit) -> None:
    asked = {"model": "default:always", "messages": [{"role": "user", "content": "Roses?"}]}
    message = writing.post("/v1/chat/completions", asked).json()["choices"][0]["message"]
    url = message["annotations"][0]["url_citation"]["url"]
    page = visit(writing, url.removeprefix(f"{writing.url}/"))
    assert page.inner_text("#cited").startswith("Roses are pruned in March")


def test_chunks_lead_to_their_text(writing: Served, visit: Visit) -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "Words of it. " * 40 for number in range(200))
    add(writing, id="book", text=text)
    page = visit(writing, view(id="book"))
    page.wait_for_selector(".chunks a")
    page.click("text=More chunks")
    page.locator(".chunks a").nth(110).click()
    page.wait_for_selector("#cited")
    marked = page.inner_text("#cited")
    assert marked[:40] == page.inner_text(".chunks a[aria-current] .excerpt")[:40]
    assert marked in text
    page.click("text=Later text")
    page.wait_for_function(
        "() => document.querySelector('.document-text').textContent.length > 13000"
    )
    page.click("text=Earlier text")
    page.wait_for_function(
        "() => document.querySelector('.document-text').textContent.length > 25000"
    )
    assert page.inner_text("#cited") == marked


def test_a_line_of_a_megabyte_does_not_freeze_the_page(
    writing: Served, visit: Visit, figures: Figures
) -> None:
    needle = "<b>The needle</b>"
    text = "a\u202eb" * (LONG // 6) + needle + "xyz" * (LONG // 6)
    add(writing, id="line", text=text)
    start = text.index(needle)
    began = time.perf_counter()
    page = visit(writing, view(id="line", start=start, end=start + len(needle)))
    page.wait_for_selector("#cited")
    shown_s = time.perf_counter() - began
    assert page.inner_text("#cited") == needle
    assert page.evaluate("document.body.textContent.length") < 60_000
    for _ in range(8):
        page.click("text=Later text")
        page.wait_for_timeout(50)
    assert page.evaluate("document.querySelector('.document-text').textContent.length") < 100_000
    assert shown_s < 5
    figures["long_line"] = {"characters": len(text), "seconds": round(shown_s, 2)}


def test_a_hostile_document_is_text(writing: Served, visit: Visit) -> None:
    attack = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    name = f"{attack}\u202etxt.exe"
    add(
        writing,
        id=name,
        title=name,
        text=f"{attack} \u2067right\u2069 {attack}",
        metadata={"by": name},
    )
    page = visit(writing, view(id=name, start=0, end=len(attack)))
    page.wait_for_selector("#cited")
    assert page.inner_text("#cited") == attack
    assert page.inner_text("h1") == f"{attack}U+202Etxt.exe"
    assert page.locator("main img, main script").count() == 0
    assert "U+2067" in page.inner_text(".document-text")
    assert page.title() == "Document · ExpertRAG"


def test_a_document_that_is_not_there(served: Served, visit: Visit) -> None:
    page = visit(served, view(id="nothing"))
    assert "nothing" in page.inner_text(".warning")


@pytest.mark.parametrize("end", ["", "5", "x", "99999999"])
def test_a_span_that_is_none(served: Served, visit: Visit, end: str) -> None:
    page = visit(served, view(id="garden/roses", start=5, end=end))
    assert page.inner_text(".document-text").startswith("Roses are pruned")


def test_a_citation_leads_to_its_page(
    start_http: StartHttp, open_pipeline: OpenPipeline, own_store: Path, embedder: Any, visit: Visit
) -> None:
    first = "The lease begins in May. " * 30
    sentence = "The notice period of the tenant is four months."
    paged = Document(
        id="lease.pdf", text=f"{first}{sentence}", title="Lease", page_starts=(0, len(first))
    )
    with IndexWriter.open(own_store, embedder) as writer:
        writer.add([paged])
    served = start_http(lambda: open_pipeline(TellingGenerator(sentence), store=own_store))
    page = visit(served)
    page.check("input[value=always]", force=True)
    ask(page, "What is the notice period of the tenant?")
    assert "page 2" in page.inner_text(".passage:has(mark) .passage-head, .passage-head >> nth=0")
    page.click(".marker >> nth=0")
    assert page.inner_text("#cited") == sentence
    assert page.inner_text(".cited-where").endswith("page 2")
