"""The sections ``request`` and ``files``: what commands ask for, and how they read files."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.api.rerank import RerankMode
from expertrag.api.types import QuestionScope, Sampling
from expertrag.api.validation import (
    MAX_FREQUENCY_PENALTY,
    MAX_LOGPROBS,
    MAX_NEW_TOKENS,
    MAX_STEPS,
    MAX_TEMPERATURE,
)
from expertrag.config.setting import option, validate

_SAMPLING = Sampling()


@dataclass(frozen=True, slots=True)
class RequestConfig:
    """What `ask`, `chat` and the searches ask for; a server uses what each request says."""

    max_tokens: int = option(
        _SAMPLING.max_tokens,
        "Maximum length of an answer, in tokens.",
        minimum=1,
        maximum=MAX_NEW_TOKENS,
    )
    temperature: float = option(
        _SAMPLING.temperature,
        "Sampling temperature; 0 is greedy.",
        minimum=0.0,
        maximum=MAX_TEMPERATURE,
    )
    top_p: float = option(
        _SAMPLING.top_p,
        "Sample from the most likely tokens whose probabilities sum to this.",
        minimum=0.0,
        maximum=1.0,
    )
    seed: int = option(_SAMPLING.seed, "Random seed; the same seed gives the same answer.")
    frequency_penalty: float | None = option(
        None,
        "Frequency penalty; higher values break repetition loops. Unset: the model's own.",
        minimum=0.0,
        maximum=MAX_FREQUENCY_PENALTY,
    )
    steps: int = option(
        1,
        "Number of searches; each after the first adds a draft answer to the query.",
        minimum=1,
        maximum=MAX_STEPS,
    )
    rerank: str = option(
        RerankMode.AUTO.value,
        "auto: rerank where model.reranker does; on: on every store; off: never.",
        choices=tuple(mode.value for mode in RerankMode),
    )
    scope: str | None = option(
        None,
        "What the question asks of the documents. Unset: recognised.",
        choices=tuple(scope.value for scope in QuestionScope),
    )
    as_of: str = option(
        "", "Answer from the versions in force on this day, such as 2026-01-31. Unset: today."
    )
    domain: str | None = option(None, "Domain whose language-model expert answers.")
    logprobs: int | None = option(
        None,
        "Add the log probability of each token, and of so many most likely tokens at its position, "
        "to the output of --json.",
        minimum=0,
        maximum=MAX_LOGPROBS,
    )

    def __post_init__(self) -> None:
        validate(self, "request")


@dataclass(frozen=True, slots=True)
class FilesConfig:
    """How files are read into a store."""

    max_mb: int = option(32, "Largest document in MiB; a larger one is skipped.", minimum=1)
    max_s: float = option(
        120.0,
        "Seconds that reading a document may take; a slower one is skipped.",
        minimum=0.001,
        maximum=1e9,
    )
    labels_field: str = option("", "Metadata field that holds a document's access labels.")

    def __post_init__(self) -> None:
        validate(self, "files")
