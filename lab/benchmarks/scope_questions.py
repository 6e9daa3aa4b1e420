"""Real questions by scope and half, and those written by hand, for ``fit_scope.py``."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from expertrag_lab.json_lines import read_lines
from expertrag_lab.train.scope.generate import ScopedQuestion
from expertrag_retriever.types import QuestionScope

HERE = Path(__file__).parent
MATERIAL = HERE / "scope"
COMPARED = re.compile(r"^(are|do|did|were|is|does)\b|\bor\b|\bboth\b|\bthe same\b|\bfirst,", re.I)
"""What a comparison of two things looks like in 2WikiMultiHopQA, whose file does not say it."""
UNCLEAR = re.compile(
    r"\b(latest|newest|most recent|currently|difference|differ|compared?|summar\w+|how many times"
    r"|main points)\b",
    re.I,
)
"""Train questions of open sets that may not be lookups."""

Halves = dict[str, list[ScopedQuestion]]


def real_questions(data: Path) -> Halves:
    """Return real questions by half; ``kind`` is the name of the data set."""
    halves: Halves = {"train": [], "choose": [], "test": []}
    for half, question in (*_lookups(data), *_connected(data)):
        if half == "test" or not (
            question.scope is QuestionScope.LOOKUP and UNCLEAR.search(question.text)
        ):
            halves[half].append(question)
    return halves


def written_questions() -> list[ScopedQuestion]:
    """Return the questions written by hand, without a look at the templates."""
    return [
        ScopedQuestion(
            item["text"],
            QuestionScope(item["scope"]),
            item["language"],
            "written",
            item["mistyped"],
        )
        for _, item in read_lines(MATERIAL / "written.jsonl")[0]
    ]


def _lookups(data: Path) -> Iterator[tuple[str, ScopedQuestion]]:
    for name in ("openqa", "squad2", "popqa", "policyqa"):
        for item in _items(data / name):
            about = item["metadata"]
            split = "test" if about["split"] == "test" else _half(item["text"], test=False)
            yield split, _lookup(about.get("question", item["text"]), name)
    for item in _items(data / "tatqa"):
        about = item["metadata"]
        if about["answer_type"] in ("span", "multi-span"):
            split = "test" if about["split"] == "test" else _half(item["text"], test=False)
            yield split, _lookup(item["text"], "tatqa")
    for item in _items(data / "medquad"):
        if crc32(item["text"].encode()) % 8 == 0:
            yield (
                _half(item["metadata"].get("focus", item["text"])),
                _lookup(item["text"], "medquad"),
            )
    for name in ("pydocs", "fiqa_small"):
        for item in _items(data / name):
            yield _half(item["text"]), _lookup(item["text"], name)
    for item in _items(data / "xquad_de"):
        yield _half(item["text"]), _lookup(item["text"], "xquad_de", "de")
    for name in ("nq", "squad", "triviaqa"):
        for item in _read(data / "adarague" / "dev" / f"{name}.jsonl.gz"):
            yield _half(item["question"]), _lookup(item["question"], name)
    for line in (HERE / "everyday_requests.txt").read_text("utf-8").splitlines():
        yield _half(line), _lookup(line, "everyday requests")
    for _, item in read_lines(HERE / "internal_questions.jsonl")[0]:
        half = "test" if item["half"] == "test" else _half(item["text"], test=False)
        yield half, _lookup(item["text"], "internal questions")


def _connected(data: Path) -> Iterator[tuple[str, ScopedQuestion]]:
    for item in _items(data / "hotpotqa"):
        compared = item["metadata"]["type"] == "comparison"
        yield _half(item["text"]), _connecting(item["text"], "hotpotqa", compared=compared)
    for name in ("2wikimultihopqa", "musique"):
        for item in _read(data / "adarague" / "dev" / f"{name}.jsonl.gz"):
            text = item["question"]
            compared = name != "musique" and bool(COMPARED.search(text))
            yield _half(text), _connecting(text, name, compared=compared)


def _connecting(text: str, kind: str, *, compared: bool) -> ScopedQuestion:
    scope = QuestionScope.COMPARE if compared else QuestionScope.TWO_HOPS
    return ScopedQuestion(text, scope, "en", kind)


def _lookup(text: str, kind: str, language: str = "en") -> ScopedQuestion:
    return ScopedQuestion(text, QuestionScope.LOOKUP, language, kind)


def _half(text: str, *, test: bool = True) -> str:
    place = crc32(f"half {text}".encode()) % 20
    if place < 3:
        return "choose"
    return "test" if test and place < 6 else "train"


def _items(folder: Path) -> Iterable[Mapping[str, Any]]:
    return _read(folder / "queries.jsonl.gz")


def _read(path: Path) -> Iterator[Mapping[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
