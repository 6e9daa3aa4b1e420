"""Build requests from the arguments of a method, for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypedDict, TypeVar, Unpack

from expertrag.api.contrast import Contrast
from expertrag.api.documents import DocumentOrder, ListDocumentsRequest
from expertrag.api.embed import ROLES, EmbedRequest, Role
from expertrag.api.rerank import RerankMode, RerankRequest
from expertrag.api.turns import History, turns_of
from expertrag.api.types import (
    AnswerRequest,
    Constraint,
    DecideRequest,
    GateMode,
    QuestionScope,
    RetrieveRequest,
    Sampling,
    SearchMode,
)
from expertrag.api.validation import invalid

DEFAULT_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 60.0
WRITE_TIMEOUT_S = 600.0

_ANSWER = AnswerRequest(question="")
DEFAULT_K = _ANSWER.k
DEFAULT_PAGE = ListDocumentsRequest().page_size

E = TypeVar("E", bound=StrEnum)


class _SamplingOptions(TypedDict, total=False):
    max_tokens: int
    temperature: float
    seed: int
    frequency_penalty: float | None
    constraint: Constraint | None
    logprobs: int | None
    routing: str
    contrast: Contrast | None
    adapter: str
    top_p: float


class _PlainOptions(TypedDict, total=False):
    k: int
    domain: str | None
    threshold: float | None
    steps: int
    instructions: str
    as_of: str


class AnswerOptions(_SamplingOptions, _PlainOptions, total=False):
    """Keyword arguments of ``answer`` and ``stream``.

    :param mode: ``auto`` lets the gate decide; ``never`` and ``always`` override it; ``strict``
        answers from the documents or abstains, which is a result and not an error. None is the
        default of the token, of the collection or of the server, else ``auto``.
    :param k: passages to retrieve, 1 to 1,000.
    :param filter: metadata filter, such as ``{"year": {"$gte": 2024}}``.
    :param domain: the language-model expert that answers; the router chooses it otherwise.
    :param threshold: retrieve when the probability of benefit reaches it, in [0, 1].
    :param max_tokens: maximum length of the answer.
    :param temperature: sampling temperature; 0 is greedy.
    :param top_p: 0 to 1; sample from the most likely tokens whose probabilities sum to it.
    :param seed: seed of the sampling; the same seed gives the same answer.
    :param stop: strings that end the answer.
    :param frequency_penalty: 0 to 2; subtracted from a token's logit for each occurrence in the
        answer so far. Higher values break loops, and hinder legitimate repetition.
    :param constraint: constraint on the whole text, such as ``Constraint(choices=("yes",
        "no"))``; an abstention is not constrained.
    :param logprobs: 0 to 20; return the log probability of each token, and of that many most
        likely tokens at its position.
    :param routing: how many experts a token uses, such as ``"top_p:0.7"``; empty for the server's
        own.
    :param contrast: contrastive decoding, such as ``Contrast(WeakSide.NO_PASSAGES)``.
    :param adapter: name of the adapter (LoRA) of the language model that answers.
    :param steps: number of searches, 1 to 3; each after the first adds a draft answer to the
        query, for questions that need several facts.
    :param history: the conversation so far, oldest turn first: ``Turn`` or ``{"role": "user",
        "content": "..."}``; at most 200 turns and 256 KiB.
    :param instructions: added to the system prompt of the answer, 16 KiB at most; the search does
        not see them.
    :param rerank: ``auto`` reranks where the server does, ``on`` on every store, ``off`` never.
    :param scope: what the question asks of the documents, such as ``count`` or ``list``; None to
        recognise it.
    :param as_of: answer from the versions that were in force on this day, ``"2026-01-31"``; empty
        for today.
    """

    mode: GateMode | str | None
    filter: Mapping[str, object] | None
    stop: str | Iterable[str] | None
    history: History
    rerank: RerankMode | str
    scope: QuestionScope | str | None


_SAMPLING = frozenset(_SamplingOptions.__annotations__)
_PLAIN = frozenset(_PlainOptions.__annotations__)


def answer_request(question: str, **options: Unpack[AnswerOptions]) -> AnswerRequest:
    """Return the request of ``answer`` and ``stream``.

    :raises TypeError: an option is unknown.
    """
    if unknown := sorted(options.keys() - AnswerOptions.__annotations__.keys()):
        raise TypeError(f"answer() has no option {unknown[0]!r}; see AnswerOptions")
    if not isinstance(options.get("contrast"), Contrast | None):
        raise invalid("contrast", "is not a Contrast; give Contrast(WeakSide.NO_PASSAGES)")
    given: dict[str, Any] = {**options}
    sampling = {name: given[name] for name in _SAMPLING & given.keys()}
    plain = {name: given[name] for name in _PLAIN & given.keys()}
    return AnswerRequest(
        question=question,
        mode=_mode(options.get("mode")),
        filter=options.get("filter") or {},
        sampling=Sampling(stop=_stops(options.get("stop")), **sampling),
        history=turns_of(options.get("history", ())),
        rerank=_choice("rerank", RerankMode, options.get("rerank", RerankMode.AUTO)),
        scope=_scope(options.get("scope")),
        **plain,
    )


def retrieve_request(
    query: str,
    k: int,
    filter: Mapping[str, object] | None,
    mode: SearchMode | str,
    history: History,
    rerank: RerankMode | str,
) -> RetrieveRequest:
    """Return the request of ``retrieve``."""
    return RetrieveRequest(
        query=query,
        k=k,
        filter=filter or {},
        mode=_choice("mode", SearchMode, mode),
        history=turns_of(history),
        rerank=_choice("rerank", RerankMode, rerank),
    )


def rerank_request(
    query: str, texts: Sequence[str], truncate: bool, raw_scores: bool, return_text: bool
) -> RerankRequest:
    """Return the request of ``rerank``."""
    return RerankRequest(query, strings("texts", texts), truncate, raw_scores, return_text)


def list_documents_request(
    filter: Mapping[str, object] | None,
    order: DocumentOrder | str,
    page_size: int,
    page_token: str,
) -> ListDocumentsRequest:
    """Return the request of ``documents.list``."""
    chosen = _choice("order", DocumentOrder, order)
    return ListDocumentsRequest(filter or {}, chosen, page_size, page_token)


def decide_request(
    question: str,
    mode: GateMode | str | None,
    threshold: float | None,
    domain: str | None,
    history: History,
) -> DecideRequest:
    """Return the request of ``decide``."""
    return DecideRequest(question, _mode(mode), threshold, domain, turns_of(history))


def embed_request(texts: Sequence[str], role: Role, domain: str | None) -> EmbedRequest:
    """Return the request of ``embed``."""
    if role not in ROLES:
        raise invalid("role", f"is {role!r}; choose one of {', '.join(ROLES)}")
    return EmbedRequest(strings("texts", texts), role, domain)


def strings(field: str, items: Iterable[str]) -> list[str]:
    """Return the strings of a request.

    :raises InvalidArgument: they are one string, whose letters are strings, or nothing like a list.
    """
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise invalid(field, f"is a {type(items).__name__}; give a list of strings")
    return list(items)


def _stops(stop: str | Iterable[str] | None) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(strings("stop", stop or ()))


def _mode(mode: GateMode | str | None) -> GateMode | None:
    return None if mode is None else _choice("mode", GateMode, mode)


def _scope(scope: QuestionScope | str | None) -> QuestionScope | None:
    return None if scope is None else _choice("scope", QuestionScope, scope)


def _choice(field: str, kind: type[E], value: E | str) -> E:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(kind)
        raise invalid(field, f"is {value!r}; choose one of {choices}") from None
