"""Prompts for ``bench_generation.py``: the system's own, for test questions of a data set."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer

from expertrag.api.types import Passage
from expertrag.llm import Message, prompt

PASSAGES = 4


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
    lines = (data / "qrels" / "test.tsv").read_text().splitlines()[1:]
    wanted = list(dict.fromkeys(line.split("\t")[0] for line in lines))[:count]
    vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    vectors = vectorizer.fit_transform([f"{d['title']} {d['text']}" for d in documents])
    for name in wanted:
        scores = (vectors @ vectorizer.transform([queries[name]["text"]]).T).toarray()[:, 0]
        best = scores.argsort()[::-1][:PASSAGES]
        passages = [_passage(documents[place]) for place in best]
        yield Asked(queries[name]["text"], passages, queries[name].get("answers", []))


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def _passage(document: dict[str, Any]) -> Passage:
    text = document["text"]
    return Passage(document["_id"], 0, text, 0, len(text), 1.0, title=document["title"])
