"""Checks on what a caller sends: the same for the server and in process.

Each raises ``InvalidArgument`` whose metadata names the field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from expertrag.errors import InvalidArgument
from expertrag.types import (
    AnswerRequest,
    DocumentInput,
    Feedback,
    GateMode,
    RetrieveRequest,
    Sampling,
)

MAX_QUERY_BYTES = 32 * 1024
MAX_K = 1_000
MAX_STEPS = 3
MAX_NEW_TOKENS = 4_096
MAX_TEMPERATURE = 5.0
MAX_FREQUENCY_PENALTY = 2.0
MAX_STOP_STRINGS = 16
MAX_BATCH = 256
MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
MAX_CORRECT_ANSWER_BYTES = 4 * 1024

_ANSWER_ID = re.compile(r"[0-9a-f]{32}")


def invalid(field: str, message: str) -> InvalidArgument:
    """Return the error for one field; the message starts with the field's name."""
    return InvalidArgument(f"{field}: {message}", reason="INVALID_FIELD", metadata={"field": field})


def check_text(field: str, text: str, max_bytes: int = MAX_QUERY_BYTES) -> None:
    """Refuse a blank text, one that is not Unicode, and one over ``max_bytes`` in UTF-8."""
    if not isinstance(text, str):
        raise invalid(field, f"is a {type(text).__name__}; give a text")
    if not text.strip():
        raise invalid(field, "is empty; write a text")
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise invalid(field, "holds a lone surrogate; send valid Unicode") from error
    if size_bytes > max_bytes:
        raise invalid(field, f"has {size_bytes:,} bytes; the limit is {max_bytes:,}, shorten it")


def check_k(k: int) -> None:
    """Refuse a number of passages outside 1 to ``MAX_K``."""
    if not 1 <= k <= MAX_K:
        raise invalid("k", f"is {k}; choose a number from 1 to {MAX_K:,}")


def check_threshold(threshold: float | None) -> None:
    """Refuse a threshold outside [0, 1]."""
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise invalid("threshold", f"is {threshold}; choose a number from 0 to 1")


def check_sampling(sampling: Sampling) -> None:
    """Refuse sampling parameters out of range."""
    if not 1 <= sampling.max_tokens <= MAX_NEW_TOKENS:
        raise invalid(
            "max_tokens", f"is {sampling.max_tokens}; choose from 1 to {MAX_NEW_TOKENS:,}"
        )
    if not math.isfinite(sampling.temperature) or not 0 <= sampling.temperature <= MAX_TEMPERATURE:
        raise invalid(
            "temperature", f"is {sampling.temperature}; choose from 0 to {MAX_TEMPERATURE:g}"
        )
    if not -(2**63) <= sampling.seed < 2**63:
        raise invalid("seed", "does not fit into 64 bits")
    if len(sampling.stop) > MAX_STOP_STRINGS or not all(sampling.stop):
        raise invalid("stop", f"takes up to {MAX_STOP_STRINGS} strings, none of them empty")
    penalty = sampling.frequency_penalty
    if penalty is not None and not 0 <= penalty <= MAX_FREQUENCY_PENALTY:  # not a number fails too
        raise invalid(
            "frequency_penalty", f"is {penalty}; choose from 0 to {MAX_FREQUENCY_PENALTY:g}"
        )


def check_answer(request: AnswerRequest) -> None:
    """Check a question with all that goes with it."""
    check_text("question", request.question)
    check_k(request.k)
    check_threshold(request.threshold)
    check_sampling(request.sampling)
    if not 1 <= request.steps <= MAX_STEPS:
        raise invalid("steps", f"is {request.steps}; choose a number from 1 to {MAX_STEPS}")
    if request.both_ways and request.mode is not GateMode.AUTO:
        raise invalid("both_ways", f"goes with mode auto, not {request.mode}, which forces one way")


def check_retrieve(request: RetrieveRequest) -> None:
    """Check a search."""
    check_text("query", request.query)
    check_k(request.k)


def check_texts(texts: Sequence[str]) -> None:
    """Check a batch of texts to embed."""
    if not 1 <= len(texts) <= MAX_BATCH:
        raise invalid("texts", f"holds {len(texts)}; send 1 to {MAX_BATCH} at a time")
    for text in texts:
        check_text("texts", text)


def check_document(document: DocumentInput) -> None:
    """Check one document of an upsert."""
    check_text("id", document.id, max_bytes=1_024)
    check_text("text", document.text, max_bytes=MAX_DOCUMENT_BYTES)


def check_feedback(feedback: Feedback) -> None:
    """Check what is said of an answer; whether there was such an answer is not known here."""
    if not isinstance(feedback.answer_id, str) or not _ANSWER_ID.fullmatch(feedback.answer_id):
        raise invalid(
            "answer_id", "is no id of an answer; send the 32 hex digits of its decision's id"
        )
    if feedback.helpful is None and feedback.correct_answer is None:
        raise invalid("helpful", "is unset, and so is correct_answer; say one of them")
    if feedback.helpful is not None and not isinstance(feedback.helpful, bool):
        raise invalid("helpful", f"is {feedback.helpful!r}; give true or false")
    if feedback.correct_answer is not None:
        check_text("correct_answer", feedback.correct_answer, max_bytes=MAX_CORRECT_ANSWER_BYTES)
    if feedback.query is not None:
        check_text("query", feedback.query)
