"""The blocking client: the asyncio client, run in the thread of the caller."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Unpack

from expertrag.api.events import AnswerEvent
from expertrag.api.tls import Tls
from expertrag.client.aclient import AsyncClient
from expertrag.client.blocking import iterate, make_blocking
from expertrag.client.blocking_remote import BlockingRemoteBackend
from expertrag.client.connection import TokenSource
from expertrag.client.decisions import Decisions
from expertrag.client.documents import Documents
from expertrag.client.local import BlockingLocalBackend
from expertrag.client.requests import ANSWER_TIMEOUT_S, AnswerOptions

if TYPE_CHECKING:
    from expertrag.config import Config


class _BlockingCore(AsyncClient):
    """The client over backends that block, so that its coroutines never suspend."""

    _remote = BlockingRemoteBackend
    _local = BlockingLocalBackend


class Client:
    """Client of a server, or of an in-process store; both give the same values and errors.

    ========================== ==========================================================
    ``Client("host:50051")``   a server
    ``Client("a:1,b:1")``      several servers of one store, in turn
    ``Client("unix:/run/e")``  a server on a Unix socket
    ``Client("./store")``      the store in that folder, in process (extra ``server``)
    ========================== ==========================================================

    Thread-safe; use it as a context manager or call ``close``. Every method takes ``timeout`` in
    seconds; the default is 30, for answers 60, for upsert and delete 600. Every method raises only
    errors of ``expertrag.api.errors``.
    """

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
        self._core = _BlockingCore(
            target, config=config, token=token, tls=tls, collection=collection, insecure=insecure
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    close = make_blocking(AsyncClient.close)
    wait_ready = make_blocking(AsyncClient.wait_ready)
    answer = make_blocking(AsyncClient.answer)

    def stream(
        self, question: str, *, timeout: float = ANSWER_TIMEOUT_S, **options: Unpack[AnswerOptions]
    ) -> Generator[AnswerEvent]:
        """Answer a question, and yield events: gate, passages, delta*, citation*, usage, done.

        An answer about a set of documents also has a table before its text, and progress* before
        that. The call starts at the first event; closing the iterator cancels it.
        """
        yield from iterate(self._core.stream(question, timeout=timeout, **options))

    retrieve = make_blocking(AsyncClient.retrieve)
    rerank = make_blocking(AsyncClient.rerank)
    decide = make_blocking(AsyncClient.decide)
    feedback = make_blocking(AsyncClient.feedback)
    embed = make_blocking(AsyncClient.embed)
    embeddings = make_blocking(AsyncClient.embeddings)
    upsert = make_blocking(AsyncClient.upsert)
    delete = make_blocking(AsyncClient.delete)

    @property
    def documents(self) -> Documents:
        """The documents of the store: list them, and open one."""
        return Documents(self._core.documents)

    @property
    def decisions(self) -> Decisions:
        """The decisions of the gate that the audit log holds."""
        return Decisions(self._core.decisions)

    collections = make_blocking(AsyncClient.collections)
    create_collection = make_blocking(AsyncClient.create_collection)
    drop_collection = make_blocking(AsyncClient.drop_collection)
    adapters = make_blocking(AsyncClient.adapters)
    load_adapter = make_blocking(AsyncClient.load_adapter)
    unload_adapter = make_blocking(AsyncClient.unload_adapter)
    stats = make_blocking(AsyncClient.stats)
    info = make_blocking(AsyncClient.info)
