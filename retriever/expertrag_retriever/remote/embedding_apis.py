"""The APIs of embedding servers: what a request says, and where its answer has the vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expertrag_retriever.remote.server import QUERY, ModelServer

UNKNOWN_LENGTH = 512
"""Tokens that a model reads if its server does not say: the fewest of the models in use."""

MOST_TEXTS = 32
"""Texts of a request, unless a server says how many it takes: the default of TEI."""


@dataclass(frozen=True, slots=True)
class ServedEmbedder:
    """What a server says of its model. ``batch``: most texts of a request."""

    model: str
    max_tokens: int = UNKNOWN_LENGTH
    batch: int = MOST_TEXTS


@dataclass(frozen=True, slots=True)
class EmbeddingApi:
    """One API.

    ``path``: where embeddings are requested. ``body``: the request for a model and texts.
    ``rows``: the vectors of an answer, in the order of the texts. ``describe``: asks a server what
    it serves, given the name of the model.
    """

    path: str
    body: Callable[[str, Sequence[str]], Mapping[str, object]]
    rows: Callable[[Any], Sequence[Any]]
    describe: Callable[[ModelServer, str], ServedEmbedder]


def _describe_openai(server: ModelServer, model: str) -> ServedEmbedder:
    """Read the list of models, where vLLM and llama-server give the context length."""
    listing = server.get("/models")
    entries = listing.get("data") if isinstance(listing, dict) else None
    for entry in entries or ():
        if isinstance(entry, dict) and model in (entry.get("id"), *(entry.get("aliases") or ())):
            meta = entry.get("meta") or {}
            return ServedEmbedder(
                model, _length(entry.get("max_model_len") or meta.get("n_ctx_train"))
            )
    return ServedEmbedder(model)


def _describe_tei(server: ModelServer, model: str) -> ServedEmbedder:
    about = server.get("/info") or {}
    batch = about.get("max_client_batch_size")
    return ServedEmbedder(
        model or str(about.get("model_id") or "tei"),
        _length(about.get("max_input_length")),
        batch if isinstance(batch, int) and batch > 0 else MOST_TEXTS,
    )


def _describe_ollama(server: ModelServer, model: str) -> ServedEmbedder:
    about = server.post("/api/show", {"model": model}, QUERY).get("model_info") or {}
    lengths = [value for key, value in about.items() if key.endswith(".context_length")]
    return ServedEmbedder(model, _length(lengths[0] if lengths else None))


def _length(said: object) -> int:
    return said if isinstance(said, int) and said > 0 else UNKNOWN_LENGTH


def _in_order(answer: Any) -> list[Any]:
    """Return the vectors of OpenAI's answer, whose entries have the index of their text."""
    entries = sorted(answer["data"], key=lambda entry: entry["index"])
    return [entry["embedding"] for entry in entries]


APIS: Mapping[str, EmbeddingApi] = {
    "openai": EmbeddingApi(
        "/embeddings",
        lambda model, texts: {"model": model, "input": list(texts), "encoding_format": "float"},
        _in_order,
        _describe_openai,
    ),
    "tei": EmbeddingApi(
        "/embed",
        lambda _, texts: {"inputs": list(texts), "truncate": True},
        lambda answer: list(answer),
        _describe_tei,
    ),
    "ollama": EmbeddingApi(
        "/api/embed",
        lambda model, texts: {"model": model, "input": list(texts), "truncate": True},
        lambda answer: list(answer["embeddings"]),
        _describe_ollama,
    ),
}
"""OpenAI's (vLLM, llama-server, LM Studio, LiteLLM and others have it), Hugging Face's Text
Embeddings Inference, and Ollama's own."""
