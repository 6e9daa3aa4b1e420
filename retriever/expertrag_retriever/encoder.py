"""The embedder: sentence-transformers models, run in length-sorted token-budget batches.

N texts, L tokens of the longest text of a batch, D dimensions.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expertrag_common.extras import install_command
from expertrag_index.search.combining import Combiner
from expertrag_index.types import FloatArray
from expertrag_retriever.errors import DeviceError, EmbedderError
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.fingerprint import fingerprint_of, folder_fingerprint
from expertrag_retriever.model_folder import CURE, folder_of
from expertrag_retriever.module_pass import ForwardPass, ModulePass
from expertrag_retriever.prompts import add_prompts
from expertrag_retriever.router import groups

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Encoding, Tokenizer

    from expertrag_retriever.plain_encoder import PlainEncoder

_BATCH_TOKENS = 2048
"""Padded tokens of a batch. MiniLM on one core, CPU seconds for 64 documents of 240 tokens: 1.3
with 1,024 or 2,048 tokens, 1.5 with 4,096; plain ``encode`` 4.4."""

_Pair = tuple[str, str | None]
"""A query and the expert that encodes it; None for a model without experts."""

_Forward = Callable[[Sequence["Encoding"], Sequence[int]], FloatArray]
"""Passes tokens of texts through the model, given their places in the call."""

_TOGETHER = 64
"""Most vectors of queries that are computed at once for concurrent callers."""


class SentenceTransformerEmbedder:
    """Wraps a sentence-transformers model in the embedder interface of the store and the search.

    Vectors are float32 and of unit length. If the model defines a "query" or "document" prompt, it
    is prepended to the text. ``domain`` selects an embedding expert: with None the model's router
    chooses; "general", or a domain without an expert, selects the base model. A model without
    experts returns the same vector for every domain. Thread-safe.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        fingerprint: str,
        parts: Mapping[str, str] | None = None,
        whole: Callable[[], SentenceTransformer] | None = None,
        forward: ForwardPass | None = None,
    ) -> None:
        """Wrap a loaded model; use :func:`load_embedder`.

        :param parts: fingerprints of the base model ("general") and of the experts, by name.
        :param whole: loads the model with sentence-transformers, if ``model`` is a plain encoder.
        :param forward: computes the vectors; None for the modules of ``model``.
        """
        self._name = name
        self._model = model
        self._loaded: SentenceTransformer = model  # unless it is still to be loaded
        self._whole = whole
        self._fingerprint = fingerprint
        self._parts = parts or {GENERAL: fingerprint}
        self._dimension = int(model.get_embedding_dimension())
        self._max_tokens = int(model.max_seq_length)
        # a plain encoder's tokenizer is not shared and never modified: no copy is needed
        self._counter = _tokenizer(model) if whole is None else model.tokenizer.backend_tokenizer
        self._encoder = _tokenizer(model)
        self._encoder.enable_truncation(self._max_tokens)
        self._pass: ForwardPass = forward or ModulePass(model)
        self._experts = self._pass.settings
        self._queries: Combiner[_Pair, FloatArray] = Combiner(self._encode_pairs, _TOGETHER)

    @property
    def name(self) -> str:
        """The name that the user gave: a model installed as a package, a folder or a hub id."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash of weights, configuration and vocabulary.

        The number format does not count: bfloat16 moves a vector by less than 1e-4 in cosine.
        """
        return self._fingerprint

    @property
    def model(self) -> SentenceTransformer:
        """The SentenceTransformer; for a plain encoder, it is loaded on first access."""
        if self._whole is not None:
            self._loaded, self._whole = self._whole(), None
        return self._loaded

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        return self._dimension

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads, special tokens included; the rest is truncated."""
        return self._max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text without truncation, special tokens included."""
        return [len(encoding) for encoding in self._counter.encode_batch_fast(list(texts))]

    def tokens_read(self, texts: Sequence[str], role: str) -> list[int]:
        """Count the tokens of each text that encoding reads.

        They include special tokens and the model's prompt of the role, and not what is truncated.

        :param role: "query" or "document".
        """
        prompt = self._prompt(role)
        read = self._encoder.encode_batch_fast([prompt + text for text in texts])
        return [len(encoding) for encoding in read]

    @property
    def experts(self) -> tuple[str, ...]:
        """Domains for which the model has an expert."""
        return () if self._experts is None else self._experts.domains

    def fingerprint_of_expert(self, expert: str) -> str:
        """Hash of the base model and one expert; the base's for "general" and unknown domains."""
        return self._parts.get(expert, self._parts[GENERAL])

    def posteriors(self, texts: Sequence[str]) -> FloatArray:
        """Domain posteriors [N, E + 1]: a column for each expert, the last for no domain.

        Runs only the layers below the experts.
        """
        if self._experts is None:
            return np.ones((len(texts), 1), dtype=np.float32)
        width = len(self._experts.domains) + 1
        return self._run(texts, "", width, lambda batch, *_: self._pass.posteriors(batch))

    assign = groups.assign

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D]; non-finite values are passed on, and the store rejects them."""
        return self._encode(texts, self._prompt("document"), domain)

    def encode_queries(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D] in the order of the texts."""
        return self._encode(texts, self._prompt("query"), domain)

    def encode_query(self, text: str, domain: str | None = None) -> FloatArray:
        """Vector of shape [D]."""
        vector: FloatArray = self.encode_queries([text], domain)[0]
        return vector

    def encode_queries_by_experts(self, texts: Sequence[str], experts: Sequence[str]) -> FloatArray:
        """Vectors of shape [N, P, D]: every text by each of P experts, batched together.

        Single texts of concurrent calls are batched too, which moves a vector by less than 1e-4 in
        cosine.
        """
        # without experts, one vector of each text stands for all
        encoders = (None,) if self._experts is None else experts
        pairs = [(text, expert) for text in texts for expert in encoders]
        encode = self._queries if len(texts) == 1 else self._encode_pairs
        rows = np.array(encode(pairs)).reshape(len(texts), len(encoders), self._dimension)
        return rows if self._experts else np.repeat(rows, len(experts), axis=1)

    def _encode_pairs(self, pairs: Sequence[_Pair]) -> list[FloatArray]:
        """Vectors [D] of queries, each by its own expert."""
        texts = [text for text, _ in pairs]
        domains = [expert for _, expert in pairs if expert is not None]
        return list(self._vectors(texts, self._prompt("query"), domains or None))

    def _prompt(self, role: str) -> str:
        return str(self._model.prompts.get(role) or "")

    def _encode(self, texts: Sequence[str], prompt: str, domain: str | None) -> FloatArray:
        return self._vectors(texts, prompt, None if domain is None else [domain] * len(texts))

    def _vectors(
        self, texts: Sequence[str], prompt: str, domains: Sequence[str] | None
    ) -> FloatArray:
        """Vectors [N, D] of texts.

        :param domains: the domain of each text; None lets the router choose.
        """
        prompt_tokens = len(self._counter.encode(prompt)) - 1 if prompt else 0

        def forward(encodings: Sequence[Encoding], batch: Sequence[int]) -> FloatArray:
            batch_domains = None if domains is None else [domains[row] for row in batch]
            return self._pass.vectors(encodings, batch_domains, prompt_tokens)

        return self._run(texts, prompt, self._dimension, forward)

    def _run(self, texts: Sequence[str], prompt: str, width: int, forward: _Forward) -> FloatArray:
        """Pass texts through the model in batches; rows [N, width] in the order of the texts."""
        rows = np.empty((len(texts), width), dtype=np.float32)
        if not texts:
            return rows
        encodings = self._encoder.encode_batch_fast([prompt + text for text in texts])

        def encode(batch: list[int]) -> None:
            rows[batch] = forward([encodings[row] for row in batch], batch)

        batches = list(token_batches([len(encoding) for encoding in encodings]))
        workers = min(len(batches), self._pass.workers)
        if workers == 1:
            for batch in batches:
                encode(batch)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(encode, batches))
        return rows


def load_embedder(
    source: str, *, name: str | None = None, device: str = "auto", experts: Path | None = None
) -> SentenceTransformerEmbedder:
    """Load a sentence-transformers model, optionally with the embedding experts of a bundle.

    :param source: a folder, or the id of a model on the hub.
    :param name: name of the model in stores and messages; defaults to ``source``.
    :param device: a torch device, or "auto" for CUDA if available, else the CPU.
    :param experts: folder of a bundle that was trained on this model.
    :raises DeviceError: the device is not usable here.
    :raises EmbedderError: the model is missing, damaged or not a text transformer, or the experts
        belong to another model.
    """
    plain = _plain(source, device)
    model = plain or load_model(source, device)
    fingerprint = base = fingerprint_of(source)
    parts = {GENERAL: base}
    if experts is not None:
        from expertrag_retriever.experts.bundle import attach

        attach(model, experts, base)
        parts = _parts(experts, base)
        fingerprint = hashlib.sha256(f"{base} {folder_fingerprint(experts)}".encode()).hexdigest()
        fingerprint = fingerprint[:32]
    elif getattr(model[0], "settings", None) is not None:
        from expertrag_retriever.experts.storage import FILES

        folder = folder_of(source)
        parts = _parts(folder, folder_fingerprint(folder, without=FILES))

    def whole() -> SentenceTransformer:
        loaded = load_model(source, device)
        if experts is not None:
            attach(loaded, experts, base)
        _ready(loaded)
        return loaded

    forward = None if plain is None else _fuse(plain)
    if forward is None:
        _ready(model)
    again = None if plain is None else whole
    return SentenceTransformerEmbedder(name or source, model, fingerprint, parts, again, forward)


def _fuse(plain: PlainEncoder) -> ForwardPass | None:
    """Compile an encoder, whose modules are no longer needed, where this is possible."""
    from expertrag_retriever.fused_pass import compile_pass

    forward = compile_pass(plain[0])
    if forward is not None:
        plain.drop_modules()
    return forward


def _plain(source: str, device: str) -> PlainEncoder | None:
    """Load a model without sentence-transformers if it is a plain BERT encoder."""
    try:
        from expertrag_retriever.plain_encoder import plain_encoder_of
    except ImportError:  # load_model reports it
        return None
    plain = plain_encoder_of(source, device)
    if plain is not None:
        add_prompts(plain, source, folder_of(source))
    return plain


def _ready(model: Any) -> None:
    """Prepare a model for inference in the number format of its device."""
    model.eval()
    model[0].to(number_format(model.device.type))


def _parts(folder: Path, base: str) -> dict[str, str]:
    """Fingerprints of a base model and of the experts in a folder."""
    from expertrag_retriever.experts.storage import expert_fingerprints

    return {GENERAL: base, **expert_fingerprints(folder, base)}


def load_model(source: str, device: str = "auto") -> SentenceTransformer:
    """Load a bare sentence-transformers model; for the errors see :func:`load_embedder`."""
    try:
        import torch

        from expertrag_retriever import nomic_moe
        from expertrag_retriever.experts.module import OwnCodeOnly
        from expertrag_retriever.quiet import quiet
    except ImportError as error:
        raise EmbedderError(f"embedding needs {error.name}: {install_command('server')}") from error

    if not Path(source).expanduser().is_dir() and (
        source.startswith((".", "~")) or os.path.isabs(source)
    ):
        raise EmbedderError(f"no embedder folder {source}: {CURE}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # unknown, absent, or not built into torch
        raise DeviceError(f"device {device!r} is not usable here; use 'auto' or 'cpu'") from error
    try:
        with quiet(), nomic_moe.loadable():
            model = OwnCodeOnly(source, device=device)
    except EmbedderError:  # raised by our own module: clearer than the message below
        raise
    # Loading runs the code of four libraries, which raise a dozen unrelated error types for a
    # missing or damaged file (OSError, SafetensorError, JSONDecodeError, RuntimeError, KeyError).
    except Exception as error:
        raise EmbedderError(
            f"cannot load embedder {source} ({_first_line(error)}): {CURE}"
        ) from error
    if not hasattr(model[0], "auto_model") or model.max_seq_length is None:
        raise EmbedderError(f"embedder {source} is not a text transformer: {CURE}")
    if "message" in getattr(model[0], "modality_config", ()):
        raise EmbedderError(
            f"embedder {source} embeds texts in a chat template, and here they are embedded as "
            'they are: if it was trained without the template, write "modality_config": {"text": '
            "...} alone in sentence_bert_config.json"
        )
    add_prompts(model, source, folder_of(source))
    return model


def number_format(device: str) -> torch.dtype:
    """Choose bfloat16 on CPUs that multiply it in hardware, float32 everywhere else.

    Measured with MiniLM on an AVX512-BF16 CPU: 2.6 times the documents per second, cosine with the
    float32 vectors at least 0.9999.
    """
    import torch

    if torch.device(device).type != "cpu":
        return torch.float32
    features = torch.cpu.get_capabilities()
    hardware = features.get("avx512_bf16") or features.get("amx_bf16")
    return torch.bfloat16 if hardware else torch.float32


def _tokenizer(model: Any) -> Tokenizer:
    """Copy the fast tokenizer: truncation is mutable state of the object, so not thread-safe."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def token_batches(lengths: Sequence[int], most: int = _BATCH_TOKENS) -> Iterator[list[int]]:
    """Yield batches of rows of similar length, longest first.

    :param most: padded tokens of a batch, at most _BATCH_TOKENS.
    """
    most = min(most, _BATCH_TOKENS)
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        rows = max(1, most // max(1, lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
