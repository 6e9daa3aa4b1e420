"""Check the material of ``eval-mixed``: each answer must be in its document.

    python lab/benchmarks/check_mixed.py --data DATA

Prints the questions whose answer is in none of the named documents, and fails if there are any.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expertrag_index.loaders import load
from expertrag_index.types import LoadFailure
from expertrag_lab.json_lines import read_lines

MATERIAL = Path(__file__).parent / "mixed"
OFFICE = MATERIAL / "office"
CORPORA = {
    "postgresql": "demo_docs/postgresql.jsonl.gz",
    "tldr": "demo_docs/tldr.jsonl.gz",
    "pydocs": "pydocs/corpus.jsonl.gz",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the material; ``documents`` are ids in its folder or corpus."""

    id: str
    text: str
    answers: tuple[str, ...] | None
    documents: tuple[str, ...]
    metadata: Mapping[str, str | bool]


def main() -> None:
    """Check the questions on the office's files and on the manuals in DATA."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    data = parser.parse_args().data
    manuals = {name: text for path in CORPORA.values() for name, text in corpus(data / path)}
    wrong = [
        *unheld(read(OFFICE / "questions.jsonl"), office_texts()),
        *unheld(read(MATERIAL / "manuals.jsonl"), manuals),
    ]
    print("\n".join(wrong) or "each answer is in its document")
    raise SystemExit(bool(wrong))


def read(path: Path) -> list[Question]:
    """Read the questions of a file, in order."""
    return [
        Question(
            item["_id"],
            item["text"],
            None if item.get("answers") is None else tuple(item["answers"]),
            tuple(item.get("documents", ())),
            item["metadata"],
        )
        for _, item in read_lines(path)[0]
    ]


def office_texts() -> dict[str, str]:
    """Return title and text of the office's documents, as loaded, by id.

    :raises RuntimeError: a file or record cannot be read.
    """
    failures: list[LoadFailure] = []
    folder = OFFICE / "documents"
    loaded = {
        document.id.removeprefix("documents/"): f"{document.title}\n{document.text}"
        for document in load([folder], on_failure=failures.append)
    }
    if failures:
        raise RuntimeError(f"{failures[0].source}: {failures[0].reason}")
    return loaded


def corpus(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the id, and the title with the text, of each document of a corpus."""
    for _, record in read_lines(path)[0]:
        yield record["_id"], f"{record['title']}\n{record['text']}"


def unheld(questions: Sequence[Question], texts: Mapping[str, str]) -> list[str]:
    """Return the questions whose first answer is in none of their documents.

    The answer is searched for verbatim, except for case and line breaks. The answer to a yes/no
    question is not searched for, but its documents must exist.
    """
    return [
        f"{item.id}: {item.text}" for item in questions if item.answers and not _held(item, texts)
    ]


def _held(item: Question, texts: Mapping[str, str]) -> bool:
    documents = [texts.get(name) for name in item.documents]
    if not documents or None in documents or not item.answers:
        return False
    if item.metadata["kind"] == "yes_no":
        return True
    answer = _flat(item.answers[0])
    return all(answer in _flat(text or "") for text in documents)


def _flat(text: str) -> str:
    return " ".join(text.lower().split())


if __name__ == "__main__":
    main()
