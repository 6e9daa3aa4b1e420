"""Prompts of the system for test questions of a data set, and windows of text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer

from expertrag.api.types import Passage
from expertrag.llm import Message, prompt
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.qrels import qrels_path, read_qrels
from expertrag_lab.json_lines import read_lines

PASSAGES = 4
TEXTS = ("squad2", "pydocs")
"""Data sets whose documents are the text of windows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its passages, and its accepted answers; empty if it has no answer."""

    question: str
    passages: list[Passage]
    answers: list[str]


def questions_of(data: Path, count: int) -> Iterator[list[Message]]:
    """Yield the prompts of a data set's test questions."""
    for one in asked(data, count):
        yield prompt.open_book(one.question, one.passages)


def asked(data: Path, count: int) -> Iterator[Asked]:
    """Yield a data set's test questions, with the passages that share most words with them."""
    documents = _lines(data / "corpus.jsonl.gz")
    queries = {query["_id"]: query for query in _lines(data / "queries.jsonl.gz")}
    wanted = list(read_qrels(qrels_path(data, "test")))[:count]
    vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    vectors = vectorizer.fit_transform([f"{d['title']} {d['text']}" for d in documents])
    for name in wanted:
        scores = (vectors @ vectorizer.transform([queries[name]["text"]]).T).toarray()[:, 0]
        best = scores.argsort()[::-1][:PASSAGES]
        passages = [_passage(documents[place]) for place in best]
        yield Asked(queries[name]["text"], passages, queries[name].get("answers", []))


def windows_of(data: Path, tokenizer: Any, count: int, size: int) -> list[list[int]]:
    """Return the first documents of ``TEXTS`` as ``count`` windows of ``size`` tokens in all."""
    rows: list[list[int]] = []
    for name in TEXTS:
        documents = itertools.islice(load_dataset(data / name).documents(), 40 * count)
        text = "\n\n".join(item.text for item in documents)
        ids = tokenizer(text[: count * size * 8], verbose=False)["input_ids"]
        rows += [ids[at * size : (at + 1) * size] for at in range(count // len(TEXTS))]
    return rows


def _lines(path: Path) -> list[Mapping[str, Any]]:
    return [item for _, item in read_lines(path)[0]]


def _passage(document: Mapping[str, Any]) -> Passage:
    text = document["text"]
    return Passage(document["_id"], 0, text, 0, len(text), 1.0, title=document["title"])
