"""The asyncio client; ``client`` runs it in the thread of the caller."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Unpack

from expertrag.api.adapters import AdapterInfo, LoadAdapterRequest
from expertrag.api.embed import Embeddings, Role
from expertrag.api.events import AnswerEvent
from expertrag.api.info import CollectionInfo, IndexStats, ServerInfo
from expertrag.api.rerank import RerankMode, RerankResult
from expertrag.api.tls import Tls
from expertrag.api.turns import History
from expertrag.api.types import (
    Answer,
    DocumentInput,
    Feedback,
    GateDecision,
    GateMode,
    RetrieveResult,
    SearchMode,
    UpdateReport,
)
from expertrag.client.connection import Connection, TokenSource
from expertrag.client.decisions import AsyncDecisions
from expertrag.client.documents import AsyncDocuments
from expertrag.client.local import LocalBackend
from expertrag.client.operations import (
    CREATE_COLLECTION,
    DECIDE,
    DELETE,
    DROP_COLLECTION,
    EMBED,
    INFO,
    LIST_ADAPTERS,
    LIST_COLLECTIONS,
    LOAD_ADAPTER,
    RERANK,
    RETRIEVE,
    STATS,
    UNLOAD_ADAPTER,
    no_collection,
)
from expertrag.client.remote import RemoteBackend
from expertrag.client.requests import (
    ANSWER_TIMEOUT_S,
    DEFAULT_K,
    DEFAULT_TIMEOUT_S,
    WRITE_TIMEOUT_S,
    AnswerOptions,
    answer_request,
    decide_request,
    embed_request,
    rerank_request,
    retrieve_request,
    strings,
)
from expertrag.client.target import parse_target

if TYPE_CHECKING:
    from expertrag.config import Config


class AsyncClient:
    """``Client`` for asyncio: the same methods, arguments, defaults, values and errors.

    Use it on one event loop, as an asynchronous context manager, or await ``close``.
    """

    # A coroutine awaits only its backend: if that blocks, as in ``Client``, it never suspends.
    _remote: type[RemoteBackend] = RemoteBackend
    _local: type[LocalBackend] = LocalBackend

    def __init__(
        self,
        target: str | os.PathLike[str],
        *,
        config: Config | None = None,
        token: TokenSource | None = None,
        tls: Tls | bool | None = None,
        collection: str = "",
        insecure: bool = False,
    ) -> None:
        """Parse the target; the client connects or loads the models at the first call.

        :param config: models and gate of an in-process store; None: environment and defaults.
        :param token: bearer token for a server, or a function that returns the current one; None:
            ``EXPERTRAG_TOKEN``.
        :param tls: TLS to a server; True uses the system's certificates, None ``EXPERTRAG_CA``.
        :param collection: the server's collection that every call names; empty for the default.
        :param insecure: send the token without TLS, in a network that encrypts.
        :raises NotFound: if the target is neither an address nor a folder.
        :raises InvalidArgument: if the token would cross a network in the clear.
        """
        parsed = parse_target(target)
        self._backend: LocalBackend | RemoteBackend
        if isinstance(parsed, str):
            self._backend = self._remote(
                Connection.of(
                    parsed, token=token, tls=tls, collection=collection, insecure=insecure
                )
            )
        else:
            no_collection(collection)
            self._backend = self._local(parsed, config)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect, or close the store."""
        await self._backend.close()

    async def wait_ready(self, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        """Wait until the server has loaded its models; in process, load them now.

        :raises DeadlineExceeded: if it takes longer.
        """
        await self._backend.wait_ready(timeout)

    async def answer(
        self, question: str, *, timeout: float = ANSWER_TIMEOUT_S, **options: Unpack[AnswerOptions]
    ) -> Answer:
        """Answer a question, and return the whole answer.

        :param timeout: deadline in seconds.
        :param options: see :class:`AnswerOptions`.
        """
        request = answer_request(question, **options)
        return await self._backend.answer(request, timeout)

    async def stream(
        self, question: str, *, timeout: float = ANSWER_TIMEOUT_S, **options: Unpack[AnswerOptions]
    ) -> AsyncGenerator[AnswerEvent]:
        """Answer a question, and yield events: gate, passages, delta*, citation*, usage, done.

        An answer about a set of documents also has a table before its text, and progress* before
        that. The call starts at the first event; closing the iterator cancels it.
        """
        request = answer_request(question, **options)
        async with aclosing(self._backend.stream(request, timeout)) as events:
            async for event in events:
                yield event

    async def retrieve(
        self,
        query: str,
        *,
        k: int = DEFAULT_K,
        filter: Mapping[str, object] | None = None,
        mode: SearchMode | str = SearchMode.HYBRID,
        history: History = (),
        rerank: RerankMode | str = RerankMode.AUTO,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> RetrieveResult:
        """Search, without generating an answer."""
        request = retrieve_request(query, k, filter, mode, history, rerank)
        return await self._backend.call(RETRIEVE, request, timeout)

    async def rerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        truncate: bool = True,
        raw_scores: bool = False,
        return_text: bool = False,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> RerankResult:
        """Rank 1 to 256 texts by the reranker's scores for a query, the best first.

        :param truncate: cut texts that are too long for the reranker; else they are an error.
        :param raw_scores: scores as the reranker computes them, else mapped to [0, 1].
        :param return_text: repeat the texts in the result.
        :raises Conflict: if no reranker is set.
        """
        request = rerank_request(query, texts, truncate, raw_scores, return_text)
        return await self._backend.call(RERANK, request, timeout)

    async def decide(
        self,
        question: str,
        *,
        mode: GateMode | str | None = None,
        threshold: float | None = None,
        domain: str | None = None,
        history: History = (),
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> GateDecision:
        """Run only the gate: whether to retrieve, and why."""
        return await self._backend.call(
            DECIDE, decide_request(question, mode, threshold, domain, history), timeout
        )

    async def feedback(
        self,
        answer_id: str,
        *,
        helpful: bool | None = None,
        correct_answer: str | None = None,
        query: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """Report whether an answer helped, the correct answer, or both.

        It is stored next to the server's audit log; a later call overrides the fields that it sets.

        :param answer_id: ``Answer.id``, or the ``id`` of a decision.
        :param correct_answer: the correct answer, a short text.
        :param query: the question, if it may be stored and the log has no texts.
        :raises Conflict: if no audit log is kept.
        """
        await self._backend.feedback(Feedback(answer_id, helpful, correct_answer, query), timeout)

    async def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        domain: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> list[list[float]]:
        """Encode 1 to 256 texts; return L2-normalised vectors in their order."""
        return (await self.embeddings(texts, role=role, domain=domain, timeout=timeout)).vectors

    async def embeddings(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        domain: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Embeddings:
        """Encode 1 to 256 texts, as ``embed`` does; also return the tokens that were read."""
        return await self._backend.call(EMBED, embed_request(texts, role, domain), timeout)

    async def upsert(
        self, documents: Iterable[DocumentInput], *, timeout: float = WRITE_TIMEOUT_S
    ) -> UpdateReport:
        """Add or replace documents; they are published together once all have been read.

        :raises PermissionDenied: if the server does not accept writes.
        """
        return await self._backend.upsert(documents, timeout)

    async def delete(self, ids: Sequence[str], *, timeout: float = WRITE_TIMEOUT_S) -> UpdateReport:
        """Delete documents by id.

        :raises PermissionDenied: if the server does not accept writes.
        """
        return await self._backend.call(DELETE, strings("ids", ids), timeout)

    @property
    def documents(self) -> AsyncDocuments:
        """The documents of the store: list them, and open one."""
        return AsyncDocuments(self._backend)

    @property
    def decisions(self) -> AsyncDecisions:
        """The decisions of the gate that the audit log holds."""
        return AsyncDecisions(self._backend)

    async def collections(self, *, timeout: float = DEFAULT_TIMEOUT_S) -> list[CollectionInfo]:
        """List the collections of the server that this client's token may name."""
        return await self._backend.call(LIST_COLLECTIONS, None, timeout)

    async def create_collection(self, name: str, *, timeout: float = WRITE_TIMEOUT_S) -> None:
        """Create an empty collection.

        :raises Conflict: if it exists, or the server creates none.
        """
        await self._backend.call(CREATE_COLLECTION, name, timeout)

    async def drop_collection(self, name: str, *, timeout: float = WRITE_TIMEOUT_S) -> None:
        """Delete a collection with its documents.

        :raises NotFound: if there is none.
        :raises Conflict: if it belongs to the server's configuration.
        """
        await self._backend.call(DROP_COLLECTION, name, timeout)

    async def adapters(self, *, timeout: float = DEFAULT_TIMEOUT_S) -> list[AdapterInfo]:
        """List the adapters of the language model that questions may name."""
        return await self._backend.call(LIST_ADAPTERS, None, timeout)

    async def load_adapter(
        self, name: str, folder: str, *, timeout: float = WRITE_TIMEOUT_S
    ) -> AdapterInfo:
        """Serve another adapter.

        :param folder: of the server's machine, in peft's layout.
        :raises InvalidArgument: if it cannot be served on this model.
        :raises Conflict: if there is an adapter of this name.
        """
        request = LoadAdapterRequest(name, folder)
        return await self._backend.call(LOAD_ADAPTER, request, timeout)

    async def unload_adapter(self, name: str, *, timeout: float = WRITE_TIMEOUT_S) -> None:
        """Refuse an adapter to new questions; those that use it go on.

        :raises NotFound: if there is none.
        """
        await self._backend.call(UNLOAD_ADAPTER, name, timeout)

    async def stats(self, *, timeout: float = DEFAULT_TIMEOUT_S) -> IndexStats:
        """Describe the store."""
        return await self._backend.call(STATS, None, timeout)

    async def info(self, *, timeout: float = DEFAULT_TIMEOUT_S) -> ServerInfo:
        """Describe the server: versions, models, limits, store."""
        return await self._backend.call(INFO, None, timeout)
