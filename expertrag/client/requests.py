"""Build requests from the arguments of a method, for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from expertrag.api.types import (
    ROLES,
    AnswerRequest,
    Constraint,
    DecideRequest,
    EmbedRequest,
    GateMode,
    RetrieveRequest,
    Role,
    Sampling,
    SearchMode,
)
from expertrag.api.validation import invalid

DEFAULT_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 60.0
WRITE_TIMEOUT_S = 600.0

DEFAULT_K = AnswerRequest(question="").k
SAMPLING = Sampling()

E = TypeVar("E", bound=StrEnum)


def answer_request(
    question: str,
    mode: GateMode | str,
    k: int,
    filter: Mapping[str, object] | None,
    domain: str | None,
    threshold: float | None,
    max_tokens: int,
    temperature: float,
    seed: int,
    stop: Iterable[str],
    frequency_penalty: float | None,
    constraint: Constraint | None,
    logprobs: int | None,
    both_ways: bool,
    steps: int,
) -> AnswerRequest:
    """Return the request of ``answer`` and ``stream``."""
    return AnswerRequest(
        question=question,
        mode=_choice("mode", GateMode, mode),
        k=k,
        filter=filter or {},
        domain=domain,
        threshold=threshold,
        sampling=Sampling(
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            frequency_penalty=frequency_penalty,
            constraint=constraint,
            logprobs=logprobs,
        ),
        both_ways=both_ways,
        steps=steps,
    )


def retrieve_request(
    query: str,
    k: int,
    filter: Mapping[str, object] | None,
    mode: SearchMode | str,
) -> RetrieveRequest:
    """Return the request of ``retrieve``."""
    return RetrieveRequest(
        query=query,
        k=k,
        filter=filter or {},
        mode=_choice("mode", SearchMode, mode),
    )


def decide_request(
    question: str, mode: GateMode | str, threshold: float | None, domain: str | None
) -> DecideRequest:
    """Return the request of ``decide``."""
    return DecideRequest(question, _choice("mode", GateMode, mode), threshold, domain)


def embed_request(texts: Sequence[str], role: Role, domain: str | None) -> EmbedRequest:
    """Return the request of ``embed``."""
    if role not in ROLES:
        raise invalid("role", f"is {role!r}; choose one of {', '.join(ROLES)}")
    return EmbedRequest(_list("texts", texts), role, domain)


def delete_ids(ids: Sequence[str]) -> list[str]:
    """Return the request of ``delete``."""
    return _list("ids", ids)


def _list(field: str, items: Sequence[str]) -> list[str]:
    if isinstance(items, str):  # a str is a sequence of one-letter strings
        raise invalid(field, "is a string; give a list of strings")
    return list(items)


def _choice(field: str, kind: type[E], value: E | str) -> E:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(kind)
        raise invalid(field, f"is {value!r}; choose one of {choices}") from None
