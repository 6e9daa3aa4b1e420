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
    r"|main points|average|total|what (is|was) the (largest|highest|lowest))\b",
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


def written_questions(half: str) -> list[ScopedQuestion]:
    """Return the questions of a half that were written by hand.

    Templates were added after these questions were known, so their figures flatter.
    """
    return _worded("written", half)


def asked_questions(half: str) -> list[ScopedQuestion]:
    """Return the questions of a half that were worded one by one for organisations of many kinds.

    The questions of the test half are about other organisations, and no template was added after
    they were known.
    """
    return _worded("asked", half)


def calculated_questions(data: Path, half: str) -> list[str]:
    """Return questions whose answer is calculated: of TAT-QA, and worded one by one."""
    items = (item for _, item in read_lines(MATERIAL / "calculations.jsonl")[0])
    written = [str(item["text"]) for item in items if item["half"] == half]
    return [*written, *_tatqa(data, half, "arithmetic")]


def copied_questions(data: Path, half: str) -> list[str]:
    """Return questions of TAT-QA whose answer stands in a text or table."""
    return _tatqa(data, half, "span")


def _tatqa(data: Path, half: str, kind: str) -> list[str]:
    items = (item for item in _items(data / "tatqa") if item["metadata"]["split"] == half)
    return [str(item["text"]) for item in items if item["metadata"]["answer_type"] == kind]


def _worded(kind: str, half: str) -> list[ScopedQuestion]:
    items = (item for _, item in read_lines(MATERIAL / f"{kind}.jsonl")[0] if item["half"] == half)
    return [
        ScopedQuestion(
            item["text"],
            QuestionScope(item["scope"]),
            item["language"],
            kind,
            item.get("mistyped", False),
        )
        for item in items
    ]


def _lookups(data: Path) -> Iterator[tuple[str, ScopedQuestion]]:
    yield from _squad(data / "squad2")
    for name in ("openqa", "popqa", "policyqa", "tatqa"):
        for item in _items(data / name):
            about = item["metadata"]
            if about.get("answer_type", "span") in ("span", "multi-span"):
                text = about.get("question", item["text"])
                split = "test" if about["split"] == "test" else _half(text, test=False)
                yield split, _lookup(text, name)
    yield from _medical(data)
    for name in ("pydocs", "fiqa_small", "xquad_de"):
        language = "de" if name == "xquad_de" else "en"
        for item in _items(data / name):
            yield _half(item["text"]), _lookup(item["text"], name, language)
    yield from _short(data)
    yield from _own()


def _squad(folder: Path) -> Iterator[tuple[str, ScopedQuestion]]:
    """Yield squad2; whole articles are in one half."""
    articles = {item["_id"]: item["title"] for item in _read(folder / "corpus.jsonl.gz")}
    judged = (folder / "qrels" / "train.tsv").read_text("utf-8").splitlines()[1:]
    documents = dict(line.split("\t")[:2] for line in judged)
    for item in _items(folder):
        about = item["metadata"]
        half = "test"
        if about["split"] != "test":
            document = documents.get(item["_id"]) or about["near_doc"]
            half = "choose" if crc32(articles[document].encode()) % 4 == 0 else "train"
        yield half, _lookup(item["text"], "squad2")


def _medical(data: Path) -> Iterator[tuple[str, ScopedQuestion]]:
    for name in ("bioasq", "pubmedqa"):
        for item in _items(data / name):
            if item["metadata"].get("type") != "list":
                yield _half(item["text"]), _lookup(item["text"], name)
    for item in _items(data / "medquad"):
        if crc32(item["text"].encode()) % 8 == 0:
            focus = item["metadata"].get("focus", item["text"])
            yield _half(focus), _lookup(item["text"], "medquad")


def _short(data: Path) -> Iterator[tuple[str, ScopedQuestion]]:
    for name in ("nq", "squad", "triviaqa"):
        for item in _read(data / "adarague" / "dev" / f"{name}.jsonl.gz"):
            yield _half(item["question"]), _lookup(item["question"], name)
    for item in _read(data / "pairs" / "banking77.jsonl.gz"):
        if item["split"] == "train" and crc32(item["text"].encode()) % 5 == 0:
            yield _half(item["text"]), _lookup(item["text"], "banking77")


def _own() -> Iterator[tuple[str, ScopedQuestion]]:
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
