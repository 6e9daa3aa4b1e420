"""The questions of a log: which could be labelled, and which feedback has corrected."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from expertrag.audit.entries import AuditEntry
from expertrag.audit.reading import Log


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """A question with its known accepted answers; ``entry`` is the gate's decision, if any."""

    id: str
    text: str
    answers: tuple[str, ...] = ()
    entry: AuditEntry | None = None


def to_label(log: Log) -> list[QuestionRecord]:
    """Return the distinct questions that the gate decided on, each with its latest decision.

    The order is random, and the same at every call; further questions leave it as it is.
    """
    questions: dict[str, QuestionRecord] = {}
    for entry in log.entries:
        if entry.question is None or entry.p_benefit is None or entry.threshold is None:
            continue
        question = QuestionRecord(entry.id, entry.question, entry=entry)
        questions[same_question(entry.question)] = question
    return [questions[key] for key in sorted(questions, key=_hash)]


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def collect_corrected(log: Log) -> list[QuestionRecord]:
    """Return the distinct questions with correct answers from feedback, each with all of them.

    The question comes from the log or, if the log has no texts, from the feedback.
    """
    questions = {entry.id: entry.question for entry in log.entries}
    merged: dict[str, QuestionRecord] = {}
    for feedback in log.feedback.values():
        text = questions.get(feedback.answer_id) or feedback.query
        if text is None or feedback.correct_answer is None:
            continue
        earlier = merged.get(same_question(text))
        answers = (*(earlier.answers if earlier else ()), feedback.correct_answer.strip())
        merged[same_question(text)] = QuestionRecord(
            earlier.id if earlier else feedback.answer_id, text, tuple(dict.fromkeys(answers))
        )
    return list(merged.values())


def same_question(text: str) -> str:
    """Return what is equal for questions that differ in case and whitespace only."""
    return " ".join(text.split()).casefold()
