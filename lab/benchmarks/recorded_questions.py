"""Questions and documents of ``recorded_run.py``: two stores, a hundred questions each.

    demo        the documents of ``make demo``; questions on its manuals
    subjects    a small part of several data sets; questions of their train splits

Of five questions on a store, three are on its documents, one is general, and one follows up on a
conversation. Modes go round in a cycle of another length, so that every kind meets every mode.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

MATERIAL = Path(__file__).parent
SUBJECTS = ("squad2", "tatqa", "pubmedqa", "pydocs")
QUESTIONS_OF_A_STORE = 100
QUESTIONS_OF_A_SUBJECT = 20
OTHER_DOCUMENTS = 100
MODES = (
    *("auto", "auto", "strict", "auto", "always", "auto", "never"),
    *("auto", "auto", "strict", "auto", "always", "auto"),
)
FOLLOW_UPS = (
    "Why is that?",
    "Can you give an example of it?",
    "How does it differ from the others?",
    "And since when?",
    "What else should I know about it?",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the store that it is asked of, and how it is asked.

    ``history``: turns as ``{"role", "content"}``; ``options``: mode, and steps or rerank.
    """

    store: str
    text: str
    history: tuple[dict[str, str], ...]
    options: dict[str, Any]


def plan(data: Path) -> list[Question]:
    """Return the questions on both stores in turn.

    :param data: folder of the data sets.
    """
    manuals = [
        query
        for query in _lines(MATERIAL / "mixed" / "manuals.jsonl")
        if query["metadata"]["source"] in ("postgresql", "tldr")
    ]
    sets = [_train_queries(data / name, QUESTIONS_OF_A_SUBJECT) for name in SUBJECTS]
    subjects = [query for queries in zip(*sets, strict=True) for query in queries]
    pairs = zip(_questions("demo", manuals), _questions("subjects", subjects), strict=True)
    return [question for pair in pairs for question in pair]


def write_subjects(data: Path, folder: Path) -> None:
    """Write the documents of the store ``subjects``, a file for each data set.

    They are those that answer the questions, and the first others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in SUBJECTS:
        queries = {query["_id"] for query in _train_queries(data / name, QUESTIONS_OF_A_SUBJECT)}
        relevant = {document for query, document in _judgements(data / name) if query in queries}
        others = OTHER_DOCUMENTS
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as out:
            for document in _lines(data / name / "corpus.jsonl.gz"):
                if document["_id"] not in relevant:
                    others -= 1
                if document["_id"] in relevant or others >= 0:
                    row = {**document, "_id": f"{name}/{document['_id']}", "domain": name}
                    print(json.dumps(row, ensure_ascii=False), file=out)


def _questions(store: str, queries: Sequence[Any]) -> Iterator[Question]:
    """Yield the questions on a store; its documents answer ``queries``."""
    half = 0 if store == "demo" else 1
    everyday = _lines(MATERIAL / "everyday" / "queries.jsonl")
    general = [query for query in everyday if query["metadata"]["split"] == "train"][half::2]
    conversations = [
        (conversation["history"], follow_up["question"])
        for conversation in _lines(MATERIAL / "follow_ups.jsonl")
        if conversation["half"] == "choose"
        for follow_up in conversation["follow_ups"]
    ][half::2]
    for number in range(QUESTIONS_OF_A_STORE):
        turn, kind = divmod(number, 5)
        query = queries[(turn * 3 + kind) % len(queries)]
        history: Sequence[str] = ()
        text = query["text"]
        if kind == 3:
            text = general[turn % len(general)]["text"]
        elif kind == 4 and turn % 2:
            history, text = conversations[turn * 5 % len(conversations)]
        elif kind == 4:
            history = (text, *query.get("answers", ())[:1])
            text = FOLLOW_UPS[turn // 2 % len(FOLLOW_UPS)]
        yield Question(store, text, _turns(history), _options(number))


def _options(number: int) -> dict[str, Any]:
    options: dict[str, Any] = {"mode": MODES[number % len(MODES)]}
    if number % 17 == 8:
        options["steps"] = 2
    if number % 11 == 5:
        options["rerank"] = "on"
    return options


def _turns(history: Sequence[str]) -> tuple[dict[str, str], ...]:
    roles = ("user", "assistant")
    return tuple(
        {"role": roles[number % 2], "content": content} for number, content in enumerate(history)
    )


def _train_queries(folder: Path, number: int) -> list[Any]:
    """Return the first queries of a data set that its train split judges."""
    judged = {query for query, _ in _judgements(folder)}
    queries = _lines(folder / "queries.jsonl.gz")
    return list(islice((query for query in queries if query["_id"] in judged), number))


def _judgements(folder: Path) -> list[tuple[str, str]]:
    rows = (folder / "qrels" / "train.tsv").read_text("utf-8").splitlines()[1:]
    return [(query, document) for query, document, _ in (row.split("\t") for row in rows)]


def _lines(path: Path) -> Iterator[Any]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return map(json.loads, text.decode("utf-8").split("\n")[:-1])
