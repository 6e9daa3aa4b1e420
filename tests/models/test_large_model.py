"""The large default generator, end to end, if it has been pulled."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from expertrag import Client, models
from expertrag.api.errors import NotFound
from expertrag.models.choice import LARGE
from expertrag_retriever.gate.bundle import load_gate

READY_S = 300.0
ANSWER_S = 120.0
COMMAND = (sys.executable, "-m", "expertrag")
DOCUMENTS = {
    "notice": "# Leaving the cooperative\nThe notice period for members of the cooperative is nine "
    "weeks. It begins on the first day of the month after the letter has arrived.",
    "repairs": "# Repairs\nBroken lamps are reported to the caretaker, Mrs Okafor, who keeps spare "
    "parts in the cellar of the east wing and comes on Thursdays.",
    "laundry": "# Laundry\nThe laundry room is open from 7 in the morning to 9 in the evening. A "
    "wash costs two tokens, which are sold at the kiosk.",
}


@pytest.fixture(scope="module")
def store(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three documents; skips if the large model has not been pulled."""
    try:
        models.resolve(LARGE)
    except NotFound:
        pytest.skip(f"{LARGE} is not pulled: `make lab-test-default-model` pulls it and runs this")
    folder = tmp_path_factory.mktemp("large")
    (folder / "documents").mkdir()
    for name, text in DOCUMENTS.items():
        (folder / "documents" / f"{name}.md").write_text(text)
    build = ["index", "build", str(folder / "documents"), "--out", str(folder / "store")]
    subprocess.run([*COMMAND, *build], check=True, capture_output=True)
    return folder / "store"


@pytest.fixture(scope="module")
def client(store: Path) -> Iterator[Client]:
    """A client of ``expertrag serve`` with the large model and its reader."""
    yield from _served(store, "--reader", "auto")


@pytest.fixture(scope="module")
def alone(store: Path) -> Iterator[Client]:
    """A client of the large model, served with default settings."""
    yield from _served(store)


def _served(store: Path, *options: str) -> Iterator[Client]:
    address = f"unix:{store.parent}/s{len(options)}"
    process = subprocess.Popen(
        [*COMMAND, "serve", "--index", str(store), "--generator", LARGE, *options],
        env={**os.environ, "EXPERTRAG_SERVICE_ADDRESS": address},
        stderr=subprocess.DEVNULL,
    )
    try:
        with Client(address) as client:
            client.wait_ready(READY_S)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_it_answers_closed_book(client: Client) -> None:
    answer = client.answer("What is the capital of France?", mode="never", timeout=ANSWER_S)
    assert "Paris" in answer.text
    assert (answer.passages, answer.citations) == ((), ())


def test_it_answers_from_documents_and_cites(client: Client) -> None:
    question = "How long is the notice period for members of the cooperative?"
    answer = client.answer(question, mode="always", max_tokens=48, timeout=ANSWER_S)
    assert "nine weeks" in answer.text
    assert answer.citations[0].document_id.startswith("notice")


def test_the_shipped_gate_decides(alone: Client) -> None:
    gate = load_gate(models.gate_folder(str(models.gate_of(LARGE))))
    assert alone.info().gate == gate.version
    assert not alone.decide("What is the capital of France?").retrieve


@pytest.mark.parametrize("mode", ["strict", "always"])
def test_its_reader_abstains(client: Client, mode: str) -> None:
    question = "Who won the football World Cup in 1998?"
    answer = client.answer(question, mode=mode, max_tokens=48, timeout=ANSWER_S)
    assert answer.abstained, answer.text
    assert answer.p_sufficient is not None and answer.p_sufficient < 0.5


def test_its_reader_answers_in_few_words(client: Client) -> None:
    question = "What does a wash in the laundry room cost?"
    answer = client.answer(question, mode="strict", max_tokens=48, timeout=ANSWER_S)
    assert re.fullmatch(r"two tokens\W*\[\d\]\W*", answer.text), answer.text


@pytest.mark.parametrize("mode", ["strict", "always"])
def test_by_default_its_probe_abstains(alone: Client, mode: str) -> None:
    question = "What does a guest parking space in the courtyard cost?"
    answer = alone.answer(question, mode=mode, max_tokens=48, timeout=ANSWER_S)
    assert answer.abstained, answer.text
    assert answer.p_sufficient is not None and answer.p_sufficient < 0.5
    assert answer.usage.completion_tokens == 0


@pytest.mark.parametrize(
    ("mode", "question", "expected"),
    [
        ("always", "Who has spare parts for broken lamps?", "Okafor"),
        ("strict", "How long is the notice period for members of the cooperative?", "weeks"),
    ],
)
def test_by_default_it_answers_from_the_documents(
    alone: Client, mode: str, question: str, expected: str
) -> None:
    answer = alone.answer(question, mode=mode, max_tokens=48, timeout=ANSWER_S)
    assert expected in answer.text
    assert answer.p_sufficient is not None and answer.p_sufficient > 0.5
