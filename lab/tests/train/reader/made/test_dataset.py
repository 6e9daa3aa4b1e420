"""The data set of a store: made once, and read like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reader_samples import write_birth_store
from serving_fixtures import PacedGenerator
from store_helper import build

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_index.types import Document, silent
from expertrag_lab.train.reader.made.dataset import Asker, Needed, make_dataset
from expertrag_lab.train.reader.material import material
from expertrag_lab.train.reader.recipe import SMALL
from expertrag_retriever.encoder import SentenceTransformerEmbedder


def _make(store: Path, work: Path, asker: Asker | None = None) -> Path:
    return make_dataset(store, work, silent, words=SMALL.words, seed=0, asker=asker)[0]


@pytest.fixture(scope="module")
def store(embedder: SentenceTransformerEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_birth_store(tmp_path_factory.mktemp("made") / "births", embedder)


def test_the_data_set_can_be_read(store: Path, tmp_path: Path) -> None:
    folder = _make(store, tmp_path)
    assert folder.name == "births"
    read = material(folder, "encyclopedia", SMALL)
    assert read.examples and read.dev.among and not read.dropped
    found = next(item for item in read.examples if item.reply.has_answer)
    assert found.question.startswith("When was ") and found.reply.answer.startswith("18")
    gold = found.passages[found.reply.cited[0] - 1]
    assert found.reply.answer in gold.text and gold.document_id.endswith("#0.0")
    counts = json.loads((folder / "made.json").read_bytes())
    assert counts["pieces"] == 80 and counts["kept"].keys() == {"cloze"}


def test_the_data_set_is_reproducible_and_kept_when_the_store_changes(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    store = write_birth_store(tmp_path / "births", embedder, more=[_faq()])
    first, second = (_make(store, tmp_path / name) for name in ("a", "b"))
    queries = [json.loads(line) for line in (first / "queries.jsonl").read_text().splitlines()]
    [asked] = [item for item in queries if item["metadata"]["maker"] == "heading"]
    assert asked["text"] == "How do I get a key?" and "answers" not in asked
    assert asked["metadata"]["ideal_answer"] == "Write to the porter of the house."  # a sentence
    names = ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "made.json")
    before = [(first / name).read_bytes() for name in names]
    assert before == [(second / name).read_bytes() for name in names]
    build(store, embedder, [Document("new", "A new text.")])
    assert _make(store, tmp_path / "a") == first
    assert before == [(first / name).read_bytes() for name in names]


def _faq() -> Document:
    return Document("faq", "## How do I get a key?\n\nWrite to the porter of the house.", "Keys")


def test_a_language_model_asks_questions(
    store: Path, embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    """Replies of the model are kept next to the data set; dropped questions are counted."""
    folder = _make(store, tmp_path, Asker(PacedGenerator(), embedder))
    assert (folder.parent / "replies.jsonl").read_text().count("\n") == 0
    assert folder != _make(store, tmp_path)


def test_stores_without_enough_questions(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no store"):
        _make(tmp_path / "nowhere", tmp_path)
    few = tmp_path / "few"
    build(few, embedder, [_faq()])
    with pytest.raises(InvalidArgument, match="too few questions, 48 needed") as reported:
        _make(few, tmp_path)
    assert "few: 1 questions of 1 passages (1 heading)" in str(reported.value)
    with pytest.raises(InvalidArgument, match=r"2 needed .*; ask more$"):
        make_dataset(few, tmp_path, silent, words=SMALL.words, seed=0, needed=Needed(2, "ask more"))
    build(few, embedder, [])
    with pytest.raises(InvalidArgument, match="is empty"):
        _make(few, tmp_path)
