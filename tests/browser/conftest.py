"""A browser and servers for the tests of the console.

``make lab-console-test`` runs them, with the browser and axe-core; without, they are not collected.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from http_fixtures import Served, StartHttp
from retriever.gate.conftest import planted
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag_retriever.gate.signals import SignalGroup

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FilePayload, Page

CHROMIUM = os.environ.get("CONSOLE_CHROMIUM", "")
collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 20_000

Visit = Callable[..., "Page"]
Figures = dict[str, Any]


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    """What is measured; written to ``CONSOLE_FIGURES`` at the end."""
    found: Figures = {}
    yield found
    if target := os.environ.get("CONSOLE_FIGURES"):
        Path(target).write_text(json.dumps(found), "utf-8")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a page in a context of its own; nothing may fail in it, or leave the server."""
    contexts, wrong = [], []

    def open_page(served: Served, path: str = "", **options: Any) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda said: wrong.append(said.text) if _is_wrong(said) else None)
        page.on("request", lambda sent: wrong.append(sent.url) if _leaves(sent, served) else None)
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.goto(f"{served.url}/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def _is_wrong(said: Any) -> bool:
    refused = "Failed to load resource: the server responded with a status of 4"
    return said.type in ("error", "warning") and not said.text.startswith(refused)


def _leaves(sent: Any, served: Served) -> bool:
    return not sent.url.startswith((f"{served.url}/", f"blob:{served.url}/", "data:"))


@pytest.fixture
def writing(start_http: StartHttp, open_pipeline: OpenPipeline, own_store: Path) -> Served:
    """A server that accepts writes, and repeats what it reads about roses."""
    model = TellingGenerator("Roses are pruned in March, above a bud that faces outwards.")
    return start_http(lambda: open_pipeline(model, store=own_store), allow_writes=True)


@pytest.fixture
def fitted_gate(embedder: Any, tmp_path: Path) -> Any:
    """A gate fitted on planted rows, which explains itself by contributions."""
    from expertrag.answer.served_gate import ServedGate
    from expertrag_lab.train.gate.predictor import fit_predictor
    from expertrag_lab.train.gate.save import save_gate
    from expertrag_retriever.experts.settings import GENERAL
    from expertrag_retriever.gate.bundle import GateBundle, Needs

    rows = planted(120)
    groups = (SignalGroup.STORE, SignalGroup.PREFILL)
    fitted = fit_predictor(rows.signals, rows.right, groups=groups, models=("logistic",))
    benefits = tuple(np.sort(fitted.predicted.benefit).tolist())
    needs = Needs(embedder.name, embedder.fingerprint_of_expert(GENERAL))
    folder = tmp_path / "gate"
    folder.mkdir()
    save_gate(GateBundle("planted", fitted.predictor, 0.1, benefits, needs, {}, None), folder)
    return ServedGate(folder, lambda _bundle: None)


def add(served: Served, **document: Any) -> None:
    """Add a document to a server that accepts writes."""
    added = served.post("/api/documents/upsert", {"documents": [document]})
    assert added.json()["added"] == 1, added.text


def heat_map_file(*domains: str) -> FilePayload:
    """What ``llm show --json`` prints of a profile of two layers, with a super expert."""
    from profile_samples import profile_of

    from expertrag.api.jsonable import to_json
    from expertrag_lab.surgery.profiling.heat_map import heat_map
    from expertrag_lab.surgery.profiling.importance import Method

    scores = torch.tensor([[8.0, 4.0, 0.0, 1.0, 3.0], [1.0] * 5])
    peak = torch.ones(2, 5, dtype=torch.float64)
    peak[1, 3] = 100.0
    profile = profile_of({"legal": scores, "<b>tax</b>": scores}, peak=peak)
    body = to_json(heat_map(profile, "tiny", Method.EASY_EP, domains))
    name = f"{'-'.join(domains) or 'all'}.json"
    return {"name": name, "mimeType": "application/json", "buffer": json.dumps(body).encode()}


def ask(page: Page, question: str) -> None:
    """Ask a question, and wait for the end of the answer."""
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.wait_for_selector(".exchange:last-of-type [aria-busy=false]")
    page.wait_for_selector(".composer button[type=submit]")
