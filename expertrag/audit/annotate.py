"""Turn questions of a log into a data set, in random order.

    DATASET/queries.jsonl    {"_id", "text", "answers": [...], "metadata": {"source": ...}}

In random order, what has been labelled so far is always a sample of all questions. Asking the
least certain first (Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR
1994) was measured and teaches a gate no faster (``make eval-annotation``).
"""

from __future__ import annotations

import hashlib
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
    """A question with its known accepted answers; ``entry`` is the gate's decision, if any."""

    id: str
    text: str
    answers: tuple[str, ...] = ()
    entry: AuditEntry | None = None


class Annotations:
    """The data set being written. Questions are compared ignoring case and whitespace."""

    def __init__(self, file: TextIO, texts: Iterable[str]) -> None:
        self._file = file
        self._known = {same_question(text) for text in texts}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, question: Question) -> bool:
        return same_question(question.text) in self._known

    def add(self, question: Question, answers: Sequence[str], source: str) -> None:
        """Append a question; it is on disk once this returns."""
        item = {
            "_id": question.id,
            "text": question.text,
            "answers": list(answers),
            "metadata": {"source": source},
        }
        self._file.write(json.dumps(item, ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._known.add(same_question(question.text))


@contextmanager
def open_dataset(folder: Path) -> Iterator[Annotations]:
    """Open a data set of questions as its only writer, and create it if missing.

    :raises InvalidArgument: if it has its own documents, or a damaged line.
    :raises Conflict: if another run writes there.
    """
    path = folder / "queries.jsonl"
    for name in ("corpus.jsonl", "corpus.jsonl.gz", "queries.jsonl.gz", "qrels"):
        if (folder / name).exists():
            raise InvalidArgument(
                f"out: {folder} holds {name}; questions of a log need their own folder, choose a "
                "new one"
            )
    if folder.exists() and not folder.is_dir():
        raise InvalidArgument(f"out: {folder} is not a folder; choose another")
    with appending(path) as file:
        texts = []
        for number, item in read_lines(path)[0]:
            if fault := query_fault(item):
                raise InvalidArgument(f"{path} line {number} {fault}; fix it")
            texts.append(item["text"])
        yield Annotations(file, texts)


def to_label(log: Log) -> list[Question]:
    """Return the distinct questions that the gate decided on, each with its latest decision.

    The order is random, and the same at every call; further questions leave it as it is.
    """
    found: dict[str, Question] = {}
    for entry in log.entries:
        if entry.question is None or entry.p_benefit is None or entry.threshold is None:
            continue
        question = Question(entry.id, entry.question, entry=entry)
        found[same_question(entry.question)] = question
    return [found[key] for key in sorted(found, key=_drawn)]


def _drawn(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def corrected(log: Log) -> list[Question]:
    """Return the distinct questions with correct answers from feedback, each with all of them.

    The question comes from the log or, if the log has no texts, from the feedback.
    """
    asked = {entry.id: entry.question for entry in log.entries}
    merged: dict[str, Question] = {}
    for said in log.feedback.values():
        text = asked.get(said.answer_id) or said.query
        if text is None or said.correct_answer is None:
            continue
        earlier = merged.get(same_question(text))
        answers = (*(earlier.answers if earlier else ()), said.correct_answer.strip())
        merged[same_question(text)] = Question(
            earlier.id if earlier else said.answer_id, text, tuple(dict.fromkeys(answers))
        )
    return list(merged.values())


def check_texts(log: Log) -> None:
    """Reject a log without any question to annotate.

    :raises InvalidArgument: if it was kept without texts, and no feedback has any.
    """
    if not (to_label(log) or corrected(log)):
        raise InvalidArgument(
            f"{log.path} has no question of an AUTO decision: it was kept without texts; set "
            "audit.texts = true (--audit-texts) and collect new questions"
        )


def split_answers(line: str) -> tuple[str, ...]:
    """Parse the accepted answers that a user typed, separated by `` | ``."""
    parts = (part.strip() for part in f" {line.strip()} ".split(SEPARATOR))
    return tuple(dict.fromkeys(part for part in parts if part))


def same_question(text: str) -> str:
    """Return what is equal for questions that differ in case and whitespace only."""
    return " ".join(text.split()).casefold()
