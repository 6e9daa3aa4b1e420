"""Request validation, shared by the server and the in-process client.

Each check raises ``InvalidArgument`` whose metadata names the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date

from expertrag.api.contrast import Contrast
from expertrag.api.documents import (
    GetDocumentRequest,
    ListChunksRequest,
    ListDocumentsRequest,
    ListSkippedRequest,
)
from expertrag.api.errors import InvalidArgument
from expertrag.api.rerank import RerankRequest
from expertrag.api.turns import MAX_HISTORY_BYTES, MAX_TURNS, Turn, TurnRole
from expertrag.api.types import (
    AnswerRequest,
    Constraint,
    DocumentInput,
    Feedback,
    RetrieveRequest,
    Sampling,
)
from expertrag_index.store.metadata import LABEL
from expertrag_kernels import Routing

MAX_QUERY_BYTES = 32 * 1024
MAX_INSTRUCTIONS_BYTES = 16 * 1024
MAX_K = 1_000
MAX_STEPS = 3
MAX_NEW_TOKENS = 4_096
MAX_TEMPERATURE = 5.0
MAX_FREQUENCY_PENALTY = 2.0
MAX_STOP_STRINGS = 16
MAX_LOGPROBS = 20
MAX_CONSTRAINT_BYTES = 64 * 1024
MAX_ROUTING_BYTES = 256
MAX_BETA = 4.0
MAX_BATCH = 256
MAX_ID_BYTES = 1_024
MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
MAX_CORRECT_ANSWER_BYTES = 4 * 1024
MAX_LABELS = 64
MAX_PAGE = 1_000
MAX_TEXT_CHARACTERS = 1_000_000
"""Characters of a document in one response: at most 4 MB of its 8 MiB."""

MAX_EXACT_INT = 2**53
"""Numbers of a Struct are doubles; a larger integer would lose precision."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""Names of tenants and of collections: they are also names of folders."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ANSWER_ID = re.compile(r"[0-9a-f]{32}")


def invalid(field: str, message: str) -> InvalidArgument:
    """Return the error for a field; its message starts with the field's name."""
    return InvalidArgument(f"{field}: {message}", reason="INVALID_FIELD", metadata={"field": field})


def check_text(field: str, text: str, max_bytes: int = MAX_QUERY_BYTES) -> None:
    """Reject a text that is blank, not valid Unicode, or over ``max_bytes`` in UTF-8."""
    if not isinstance(text, str):
        raise invalid(field, f"is a {type(text).__name__}; give a string")
    if not text.strip():
        raise invalid(field, "is empty; give a text")
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise invalid(field, "holds a lone surrogate; send valid Unicode") from error
    if size_bytes > max_bytes:
        raise invalid(field, f"has {size_bytes:,} bytes; shorten it to at most {max_bytes:,}")


def check_k(k: int) -> None:
    """Reject a number of passages outside 1 to ``MAX_K``."""
    if not 1 <= k <= MAX_K:
        raise invalid("k", f"is {k}; choose a number from 1 to {MAX_K:,}")


def check_list_documents(request: ListDocumentsRequest) -> None:
    """Check the size of the page; the index checks the filter."""
    _check_page_size(request.page_size)


def check_get_document(request: GetDocumentRequest) -> None:
    """Check the id, and that the range ends after it begins."""
    check_text("id", request.id)
    if request.start < 0:
        raise invalid("start", f"is {request.start}; choose 0 or more")
    if request.end is not None and request.end < request.start:
        raise invalid("end", f"is {request.end}, before start {request.start}; raise it")


def check_list_chunks(request: ListChunksRequest) -> None:
    """Check the id and the size of the page."""
    check_text("id", request.id)
    _check_page_size(request.page_size)


def check_list_skipped(request: ListSkippedRequest) -> None:
    """Check the size of the page."""
    _check_page_size(request.page_size)


def _check_page_size(size: int) -> None:
    if not 1 <= size <= MAX_PAGE:
        raise invalid("page_size", f"is {size}; choose a number from 1 to {MAX_PAGE:,}")


def check_threshold(threshold: float | None) -> None:
    """Reject a threshold outside [0, 1]."""
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise invalid("threshold", f"is {threshold}; choose a number from 0 to 1")


def check_sampling(sampling: Sampling) -> None:
    """Reject sampling parameters out of range."""
    if not 1 <= sampling.max_tokens <= MAX_NEW_TOKENS:
        raise invalid(
            "max_tokens", f"is {sampling.max_tokens}; choose from 1 to {MAX_NEW_TOKENS:,}"
        )
    _check_randomness(sampling)
    if not -(2**63) <= sampling.seed < 2**63:
        raise invalid("seed", "does not fit into 64 bits")
    if len(sampling.stop) > MAX_STOP_STRINGS or not all(sampling.stop):
        raise invalid("stop", f"takes up to {MAX_STOP_STRINGS} strings, none of them empty")
    penalty = sampling.frequency_penalty
    if penalty is not None and not 0 <= penalty <= MAX_FREQUENCY_PENALTY:  # NaN fails too
        raise invalid(
            "frequency_penalty", f"is {penalty}; choose from 0 to {MAX_FREQUENCY_PENALTY:g}"
        )
    if sampling.logprobs is not None and not 0 <= sampling.logprobs <= MAX_LOGPROBS:
        raise invalid("logprobs", f"is {sampling.logprobs}; choose from 0 to {MAX_LOGPROBS}")
    if sampling.routing:
        routing_of("routing", sampling.routing)
    if sampling.constraint is not None:
        check_constraint(sampling.constraint)
    if sampling.contrast is not None:
        check_contrast(sampling.contrast)


def _check_randomness(sampling: Sampling) -> None:
    if not 0 <= sampling.temperature <= MAX_TEMPERATURE:  # NaN fails too
        raise invalid(
            "temperature", f"is {sampling.temperature}; choose from 0 to {MAX_TEMPERATURE:g}"
        )
    if not 0 <= sampling.top_p <= 1:
        raise invalid("top_p", f"is {sampling.top_p}; choose from 0 to 1")


def routing_of(field: str, text: str) -> Routing:
    """Return the routing policy that a text spells; reject any other text."""
    if text:
        check_text(field, text, MAX_ROUTING_BYTES)
    try:
        return Routing.parse(text)
    except ValueError as error:
        raise invalid(field, str(error).removeprefix("routing ")) from error


def check_contrast(contrast: Contrast) -> None:
    """Reject a contrast whose values are out of range."""
    routing_of("contrast.routing", contrast.routing)
    if not 0 <= contrast.beta <= MAX_BETA:  # NaN fails too
        raise invalid("contrast.beta", f"is {contrast.beta}; choose from 0 to {MAX_BETA:g}")
    if not 0 < contrast.plausibility <= 1:
        raise invalid(
            "contrast.plausibility", f"is {contrast.plausibility}; choose above 0, up to 1"
        )


def check_constraint(constraint: Constraint) -> None:
    """Reject a constraint without exactly one field set; the model checks its content."""
    if not isinstance(constraint, Constraint):
        raise invalid("constraint", f"is a {type(constraint).__name__}; give a Constraint")
    names = [item.name for item in fields(constraint)]
    present = [name for name in names if getattr(constraint, name) is not None]
    if len(present) != 1:
        listing = " and ".join(present) or "nothing"
        raise invalid("constraint", f"sets {listing}; set exactly one of {', '.join(names)}")
    field = f"constraint.{present[0]}"
    if constraint.choices is None:
        text = constraint.regex or constraint.grammar or ""
        if constraint.json_schema is not None:
            text = schema_to_text(constraint.json_schema)
        check_text(field, text, MAX_CONSTRAINT_BYTES)
        return
    if isinstance(constraint.choices, str):  # a str is a sequence of one-letter strings
        raise invalid(field, "is a string; give a sequence of strings")
    if not constraint.choices:
        raise invalid(field, "is empty; give at least one choice")
    for choice in constraint.choices:
        check_text(field, choice, MAX_CONSTRAINT_BYTES)
    check_text(field, "".join(constraint.choices), MAX_CONSTRAINT_BYTES)


def schema_to_text(schema: Mapping[str, object]) -> str:
    """Return a JSON Schema as JSON."""
    if not isinstance(schema, Mapping):
        raise invalid("constraint.json_schema", f"is a {type(schema).__name__}; give a mapping")
    try:
        return json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid("constraint.json_schema", f"is not JSON ({error})") from None


def schema_from_text(text: str) -> dict[str, object]:
    """Parse a JSON Schema."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid("constraint.json_schema", f"is not JSON ({error})") from None
    if not isinstance(schema, dict):
        raise invalid("constraint.json_schema", "is not a JSON object")
    return schema


def check_answer(request: AnswerRequest) -> None:
    """Check a question and its options."""
    check_text("question", request.question)
    check_history(request.history)
    if request.instructions:
        check_text("instructions", request.instructions, MAX_INSTRUCTIONS_BYTES)
    check_k(request.k)
    check_threshold(request.threshold)
    check_sampling(request.sampling)
    check_as_of(request.as_of)
    if not 1 <= request.steps <= MAX_STEPS:
        raise invalid("steps", f"is {request.steps}; choose a number from 1 to {MAX_STEPS}")


def check_as_of(day: str) -> None:
    """Reject what is neither empty nor a day as YYYY-MM-DD."""
    if not isinstance(day, str):
        raise invalid("as_of", f"is a {type(day).__name__}; give a day such as '2026-01-31'")
    try:
        known = not day or bool(_DAY.fullmatch(day) and date.fromisoformat(day))
    except ValueError:
        known = False
    if not known:
        raise invalid("as_of", f"is {day!r:.80}; write a day such as 2026-01-31")


def check_retrieve(request: RetrieveRequest) -> None:
    """Check a search."""
    check_text("query", request.query)
    check_history(request.history)
    check_k(request.k)


def check_history(history: Sequence[Turn]) -> None:
    """Reject a conversation that is too long, or whose turns have no role or no text."""
    if len(history) > MAX_TURNS:
        raise invalid("history", f"has {len(history)} turns; send the last {MAX_TURNS} at most")
    for turn in history:
        if not isinstance(turn, Turn):
            raise invalid("history", f"holds a {type(turn).__name__}; give objects of type Turn")
        if turn.role not in tuple(TurnRole):
            raise invalid("history", f"has the role {turn.role!r}; use user or assistant")
        check_text("history", turn.text, MAX_HISTORY_BYTES)
    size_bytes = sum(len(turn.text.encode()) for turn in history)
    if size_bytes > MAX_HISTORY_BYTES:
        raise invalid(
            "history",
            f"has {size_bytes:,} bytes; leave out its oldest turns, to at most "
            f"{MAX_HISTORY_BYTES:,}",
        )


def check_rerank(request: RerankRequest) -> None:
    """Check a query and the texts to rerank."""
    check_text("query", request.query)
    check_texts(request.texts)


def check_texts(texts: Sequence[str]) -> None:
    """Check a batch of texts to embed or to rerank."""
    if not 1 <= len(texts) <= MAX_BATCH:
        raise invalid("texts", f"has {len(texts)} items; send 1 to {MAX_BATCH} at a time")
    for text in texts:
        check_text("texts", text)


def check_document(document: DocumentInput) -> None:
    """Check one document of an upsert."""
    check_text("id", document.id, MAX_ID_BYTES)
    check_text("text", document.text, max_bytes=MAX_DOCUMENT_BYTES)
    check_labels(document.labels)


def check_exact(field: str, value: object) -> None:
    """Reject free-form values that hold an integer beyond ``MAX_EXACT_INT``."""
    if isinstance(value, Mapping):
        for item in value.values():
            check_exact(field, item)
    elif isinstance(value, list | tuple):
        for item in value:
            check_exact(field, item)
    elif isinstance(value, int) and abs(value) > MAX_EXACT_INT:
        raise invalid(field, f"holds {value}, beyond 2**53; send it as a string")


def check_no_null(field: str, values: Mapping[str, object]) -> None:
    """Reject a mapping that holds null, at any depth."""
    for name, value in values.items():
        if _holds_null(value):
            raise invalid(field, f"{name!r} holds null; omit it")


def _holds_null(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_null, value.values()))
    return any(map(_holds_null, value)) if isinstance(value, list) else value is None


def check_labels(labels: Sequence[str]) -> None:
    """Reject access labels that are too many, or contain anything but letters, digits and ._:@-."""
    if isinstance(labels, str):  # a str is a sequence of one-letter strings
        raise invalid("labels", "is a string; give a sequence of strings")
    if len(labels) > MAX_LABELS:
        raise invalid("labels", f"has {len(labels)} items; give at most {MAX_LABELS}")
    for label in labels:
        if not isinstance(label, str) or not LABEL.fullmatch(label):
            raise invalid(
                "labels", f"holds {label!r:.80}; use up to 64 letters, digits and . _ : @ -"
            )


def check_feedback(feedback: Feedback) -> None:
    """Check feedback on an answer; whether the answer exists cannot be checked here."""
    if not isinstance(feedback.answer_id, str) or not _ANSWER_ID.fullmatch(feedback.answer_id):
        raise invalid(
            "answer_id", "is not an answer's id; send the 32 hex digits of its decision's id"
        )
    if feedback.helpful is None and feedback.correct_answer is None:
        raise invalid("helpful", "is unset, and so is correct_answer; set at least one of them")
    if feedback.helpful is not None and not isinstance(feedback.helpful, bool):
        raise invalid("helpful", f"is {feedback.helpful!r}; give true or false")
    if feedback.correct_answer is not None:
        check_text("correct_answer", feedback.correct_answer, max_bytes=MAX_CORRECT_ANSWER_BYTES)
    if feedback.query is not None:
        check_text("query", feedback.query)
