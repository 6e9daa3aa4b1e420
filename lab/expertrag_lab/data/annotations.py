"""Write questions of a log to a data set, in random order.

    DATASET/queries.jsonl    {"_id", "text", "answers": [...], "metadata": {"source": ...}}

In random order, what has been labelled so far is always a sample of all questions. Asking the least
certain first was measured and teaches a gate no faster (``make lab-eval-annotation``). The method
is by Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from expertrag.api.errors import InvalidArgument
from expertrag.audit.questions import QuestionRecord, collect_corrected, same_question, to_label
from expertrag.audit.reading import Log
from expertrag_lab.data.datasets import query_fault
from expertrag_lab.data.resume import appending
from expertrag_lab.json_lines import read_lines

SEPARATOR = " | "
ANNOTATED, FROM_FEEDBACK = "annotate", "feedback"


class Annotations:
    """The data set being written. Questions are compared ignoring case and whitespace."""

    def __init__(self, file: TextIO, texts: Iterable[str]) -> None:
        self._file = file
        self._known = {same_question(text) for text in texts}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, question: QuestionRecord) -> bool:
        return same_question(question.text) in self._known

    def add(self, question: QuestionRecord, answers: Sequence[str], source: str) -> None:
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


def check_texts(log: Log) -> None:
    """Reject a log without any question to annotate.

    :raises InvalidArgument: if it was kept without texts, and no feedback has any.
    """
    if not (to_label(log) or collect_corrected(log)):
        raise InvalidArgument(
            f"{log.path} has no question of an AUTO decision: it was kept without texts; set "
            "audit.texts = true (--audit-texts) and collect new questions"
        )


def split_answers(line: str) -> tuple[str, ...]:
    """Parse the accepted answers that a user typed, separated by `` | ``."""
    parts = (part.strip() for part in f" {line.strip()} ".split(SEPARATOR))
    return tuple(dict.fromkeys(part for part in parts if part))
