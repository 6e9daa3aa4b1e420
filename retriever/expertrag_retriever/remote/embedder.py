"""An embedder on a model server, with the interface of a local one."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from expertrag_common.token_estimate import estimate_tokens
from expertrag_index.search.combining import Combiner
from expertrag_index.types import FloatArray, Group, Progress
from expertrag_retriever.errors import RemoteModelError
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.prompts import Prompts, prompts_of_family, warn_of_unknown
from expertrag_retriever.remote.address import EMBEDDING_APIS, RemoteModel, parse_remote
from expertrag_retriever.remote.embedding_apis import APIS
from expertrag_retriever.remote.server import BUILD, QUERY, ModelServer, Patience

API_KEY = "EXPERTRAG_EMBEDDER_API_KEY"

SAME_MODEL = 0.98
"""Least cosine of two vectors of one text that a model computes at different times.

Number formats and batches move a vector by less than .01; another model moves it by more than .1.
"""

_PROBE = "The lease ends on 31 March; either party may give notice six months before."
_PROBE_EVERY_S = 60.0
_PARALLEL = 4
_TOGETHER = 64


class RemoteEmbedder:
    """Vectors [N, D] from a server, float32 and of unit length. Thread-safe.

    It has no experts. Token counts are estimates, rather too high: the tokenizer is unknown. About
    once a minute a known text is embedded again, which reveals that another model is served under
    the same name.
    """

    experts: tuple[str, ...] = ()

    def __init__(self, name: str, remote: RemoteModel, server: ModelServer) -> None:
        """Ask the server what it serves; use :func:`connect_embedder`."""
        self.name = name
        self._api = APIS[remote.api]
        self._server = server
        self._served = self._api.describe(server, remote.model)
        self._prompts = self._prompts_of(self._served.model)
        self._probe = self._request([_PROBE], QUERY)[0]  # [D]
        self._probed_at = time.monotonic()
        self._lock = threading.Lock()
        self._queries: Combiner[str, FloatArray] = Combiner(self._encode_queries, _TOGETHER)

    @staticmethod
    def _prompts_of(model: str) -> Prompts:
        known = prompts_of_family(model)
        if known is None:
            warn_of_unknown(model)
        return known or Prompts()

    @property
    def fingerprint(self) -> str:
        """Hash of the model's name, the dimension and the prompts; not of its weights.

        The vectors of a store tell whether its weights are served: see :meth:`check_same`.
        """
        known = (self._served.model, self.dimension, self._prompts.query, self._prompts.document)
        return hashlib.sha256(repr(("remote", *known)).encode()).hexdigest()[:32]

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        return len(self._probe)

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads; 512 if the server does not say."""
        return self._served.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Estimate the tokens of each text."""
        return [estimate_tokens(text) for text in texts]

    def tokens_read(self, texts: Sequence[str], role: str) -> list[int]:
        """Estimate the tokens of each text that encoding reads, with the prompt of the role."""
        prompt = self._prompts.query if role == "query" else self._prompts.document
        counts = self.count_tokens([prompt + text for text in texts])
        return [min(count, self.max_tokens) for count in counts]

    def fingerprint_of_expert(self, expert: str) -> str:
        """Hash of the model, for every domain."""
        del expert
        return self.fingerprint

    def posteriors(self, texts: Sequence[str]) -> FloatArray:
        """Domain posteriors [N, 1]: certainly no domain."""
        return np.ones((len(texts), 1), dtype=np.float32)

    def assign(
        self, samples: Mapping[str, Sequence[str]], known: Collection[Group], progress: Progress
    ) -> list[Group]:
        """Give every group to the base model, the only one."""
        return [Group(name, GENERAL) for name in samples]

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D].

        :raises RemoteUnavailableError: the server does not answer for half a minute.
        :raises RemoteModelError: it rejects the texts, or another model is served.
        """
        del domain
        return self._encode([self._prompts.document + text for text in texts], BUILD)

    def encode_queries(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D] in the order of the texts; errors as of documents."""
        del domain
        encode = self._queries if len(texts) == 1 else self._encode_queries
        return np.array(encode(list(texts))).reshape(len(texts), self.dimension)

    def encode_query(self, text: str, domain: str | None = None) -> FloatArray:
        """Vector of shape [D]."""
        vector: FloatArray = self.encode_queries([text], domain)[0]
        return vector

    def encode_queries_by_experts(self, texts: Sequence[str], experts: Sequence[str]) -> FloatArray:
        """Vectors of shape [N, P, D]: the same for each of P experts."""
        rows = self.encode_queries(texts)[:, None]  # [N, 1, D]
        return np.repeat(rows, len(experts), axis=1)

    def check_same(self, texts: Sequence[str], vectors: FloatArray) -> None:
        """Compare stored vectors [N, D] with those that the server computes for their texts now.

        :raises RemoteModelError: they differ: another model is served.
        """
        if not texts:
            return
        new = self.encode_documents(texts)
        cosine = (
            float(np.median(np.einsum("nd,nd->n", vectors, new)))
            if vectors.shape == new.shape
            else 0.0
        )
        if cosine < SAME_MODEL:
            raise self._another_model(cosine)

    def _encode_queries(self, texts: Sequence[str]) -> list[FloatArray]:
        return list(self._encode([self._prompts.query + text for text in texts], QUERY))

    def _encode(self, texts: Sequence[str], patience: Patience) -> FloatArray:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        probes = [_PROBE] if self._probe_is_due() else []
        wanted = [*texts, *probes]
        size = self._served.batch
        parts = [wanted[start : start + size] for start in range(0, len(wanted), size)]
        request = partial(self._request, patience=patience)
        if len(parts) == 1:
            vectors = request(parts[0])
        else:
            with ThreadPoolExecutor(min(_PARALLEL, len(parts))) as pool:
                vectors = np.concatenate(list(pool.map(request, parts)))
        if vectors.shape[1] != self.dimension:
            raise self._another_model(0.0)
        if probes:
            self._check_probe(vectors[-1])
        return vectors[: len(texts)]

    def _request(self, texts: Sequence[str], patience: Patience) -> FloatArray:
        """Return the vectors of one request [N, D], scaled to unit length."""
        body = self._api.body(self._served.model, texts)
        answer = self._server.post(self._api.path, body, patience)
        try:
            vectors = np.asarray(self._api.rows(answer), dtype=np.float32)
        except (KeyError, TypeError, ValueError):
            raise self._server.invalid("it has no list of vectors") from None
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            raise self._server.invalid(f"it does not have a vector for each of {len(texts)} texts")
        if not np.isfinite(vectors).all():
            raise self._server.invalid("a vector has values that are not finite")
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: FloatArray = vectors / np.maximum(length, np.finfo(np.float32).tiny)
        return scaled

    def _probe_is_due(self) -> bool:
        with self._lock:
            due = time.monotonic() - self._probed_at > _PROBE_EVERY_S
            if due:
                self._probed_at = time.monotonic()
            return due

    def _check_probe(self, vector: FloatArray) -> None:
        cosine = float(vector @ self._probe)
        if cosine < SAME_MODEL:
            with self._lock:
                self._probed_at = -_PROBE_EVERY_S  # the next request is checked as well
            raise self._another_model(cosine)

    def _another_model(self, cosine: float) -> RemoteModelError:
        return RemoteModelError(
            f"the model server {self._server.where} serves another model than before under the "
            f"name {self._served.model} (cosine {cosine:.2f}): serve the former model, or migrate "
            "the store with `expertrag index migrate`"
        )


def connect_embedder(name: str) -> RemoteEmbedder:
    """Connect to the embedder of a name such as ``openai:http://gpu-1:8000/v1#bge-m3``.

    The key comes from ``EXPERTRAG_EMBEDDER_API_KEY``, or from the file that
    ``EXPERTRAG_EMBEDDER_API_KEY_FILE`` names.

    :raises RemoteUnavailableError: no server answers.
    :raises RemoteModelError: the name is wrong, or the server rejects the key or the request.
    """
    remote = parse_remote(name, EMBEDDING_APIS)
    return RemoteEmbedder(name, remote, ModelServer(remote, API_KEY))
