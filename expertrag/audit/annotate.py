"""Questions of a log become a data set: the most uncertain first, since they teach most.

    DATASET/queries.jsonl    {"_id", "text", "answers": [...], "metadata": {"source": ...}}

Lewis and Gale, "A sequential algorithm for training text classifiers" (SIGIR 1994): labels are
worth most where the classifier is least certain, which for a gate is nearest to its threshold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from expertrag.api.errors import InvalidArgument
from expertrag.audit.entries import AuditEntry
from expertrag.audit.reading import Log
from expertrag.data.datasets import query_fault
from expertrag.data.files import read_lines
from expertrag.data.resume import appending

SEPARATOR = " | "
ANNOTATED, FROM_FEEDBACK = "annotate", "feedback"


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the accepted answers that are known; ``entry`` where the gate decided."""

    id: str
    text: str
    answers: tuple[str, ...] = ()
    entry: AuditEntry | None = None


class Annotations:
    """The data set that is written. Questions are told apart without case and spaces."""

    def __init__(self, file: TextIO, texts: Iterable[str]) -> None:
        self._file = file
        self._known = {_key(text) for text in texts}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, question: Question) -> bool:
        return _key(question.text) in self._known

    def add(self, question: Question, answers: Sequence[str], source: str) -> None:
        """Append a question; it is on disk when this returns."""
        item = {
            "_id": question.id,
            "text": question.text,
            "answers": list(answers),
            "metadata": {"source": source},
        }
        self._file.write(json.dumps(item, ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._known.add(_key(question.text))


@contextmanager
def open_dataset(folder: Path) -> Iterator[Annotations]:
    """Open a data set of questions, made where it is not there, as its only writer.

    :raises InvalidArgument: it has documents of its own, or a damaged line.
    :raises Conflict: another run writes there.
    """
    path = folder / "queries.jsonl"
    for name in ("corpus.jsonl", "corpus.jsonl.gz", "queries.jsonl.gz", "qrels"):
        if (folder / name).exists():
            raise InvalidArgument(
                f"out: {folder} holds {name}; questions of a log need a folder of their own, "
                "name a new one"
            )
    if folder.exists() and not folder.is_dir():
        raise InvalidArgument(f"out: {folder} is no folder; name another")
    with appending(path) as file:
        texts = []
        for number, item in read_lines(path)[0]:
            if fault := query_fault(item):
                raise InvalidArgument(f"{path} line {number} {fault}; mend it")
            texts.append(item["text"])
        yield Annotations(file, texts)


def uncertain(log: Log) -> list[Question]:
    """Return the questions that the gate decided on, the least certain first, each once."""
    nearest: dict[str, tuple[float, Question]] = {}
    for entry in log.entries:
        if entry.question is None or entry.p_benefit is None or entry.threshold is None:
            continue
        distance = abs(entry.p_benefit - entry.threshold)
        found = nearest.get(_key(entry.question))
        if found is None or distance < found[0]:
            question = Question(entry.id, entry.question, entry=entry)
            nearest[_key(entry.question)] = (distance, question)
    return [question for _, question in sorted(nearest.values(), key=lambda item: item[0])]


def corrected(log: Log) -> list[Question]:
    """Return the questions that people gave a right answer to, each once with all of them.

    The question is that of the log, or, in a log without texts, the one that came with it.
    """
    asked = {entry.id: entry.question for entry in log.entries}
    merged: dict[str, Question] = {}
    for said in log.feedback.values():
        text = asked.get(said.answer_id) or said.query
        if text is None or said.correct_answer is None:
            continue
        earlier = merged.get(_key(text))
        answers = (*(earlier.answers if earlier else ()), said.correct_answer.strip())
        merged[_key(text)] = Question(
            earlier.id if earlier else said.answer_id, text, tuple(dict.fromkeys(answers))
        )
    return list(merged.values())


def check_texts(log: Log) -> None:
    """Refuse a log that no question can be read from.

    :raises InvalidArgument: it was kept without texts, and no feedback brought any.
    """
    if not (uncertain(log) or corrected(log)):
        raise InvalidArgument(
            f"{log.path} holds no question of an AUTO decision: it was kept without texts; set "
            "audit.texts = true (--audit-texts) and let questions be asked again"
        )


def split_answers(line: str) -> tuple[str, ...]:
    """Read the accepted answers that a person typed, several with `` | `` between."""
    parts = (part.strip() for part in f" {line.strip()} ".split(SEPARATOR))
    return tuple(dict.fromkeys(part for part in parts if part))


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()
