"""A server over gRPC."""

from __future__ import annotations

import asyncio
import copy
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import grpc

from expertrag.api.errors import Cancelled, DeadlineExceeded, ExpertRAGError, ServerError
from expertrag.api.events import AnswerEvent
from expertrag.api.types import (
    Answer,
    AnswerRequest,
    DocumentInput,
    Feedback,
    UpdateReport,
)
from expertrag.client.channel import HEALTH_POLL_S, HEALTH_SERVING, Stubs
from expertrag.client.connection import Connection
from expertrag.client.operations import Operation, RequestT, ResponseT
from expertrag.client.retry import Attempts, KnownServer
from expertrag.client.rpc_errors import translate_error
from expertrag.client.several import grpc_target
from expertrag.v1 import answer_pb2, gate_pb2, index_pb2
from expertrag.wire import answer, events, index
from expertrag.wire.common import request_of


class RemoteBackend:
    """Sends values as messages and returns values; raises only ``expertrag.api.errors``."""

    def __init__(self, connection: Connection) -> None:
        """Connect at the first call.

        :raises InvalidArgument: a file of its TLS cannot be read.
        :raises Unavailable: it names several servers, and one of the names is unknown.
        """
        self._connection = connection
        self._address = connection.address
        self._target = grpc_target(connection.address)
        self._credentials = connection.credentials
        self._server = KnownServer()

    @cached_property
    def _channel(self) -> Any:
        """Created at the first call: a channel belongs to the loop that runs at its creation."""
        return self._open(grpc.aio)

    def _open(self, grpc_api: Any) -> Any:
        """Return a channel of ``grpc`` or ``grpc.aio``."""
        options = self._connection.options
        if self._credentials is None:
            return grpc_api.insecure_channel(self._target, options=options)
        return grpc_api.secure_channel(self._target, self._credentials, options=options)

    @cached_property
    def _stubs(self) -> Stubs:
        return Stubs(self._channel)

    def sharing(self, connection: Connection) -> RemoteBackend:
        """Return a backend with another token or collection on the same channel."""
        assert self._stubs  # opens the channel, so that the copy has it
        other = copy.copy(self)
        other._connection = connection
        return other

    async def close(self) -> None:
        """Cancel running calls and disconnect."""
        await self._channel.close()

    async def call(
        self, operation: Operation[RequestT, ResponseT], request: RequestT, timeout: float
    ) -> ResponseT:
        """Send a request and return its answer."""
        message = operation.message(request)
        method = operation.method(self._stubs)
        return operation.value(await self._send(method, message, timeout, operation.repeatable))

    async def answer(self, request: AnswerRequest, timeout: float) -> Answer:
        """Answer in one message."""
        message = answer_pb2.AnswerRequest(question=answer.question_to_proto(request))
        response = await self._send(self._stubs.answer.Answer, message, timeout)
        return answer.answer_from_proto(response)

    async def stream(self, request: AnswerRequest, timeout: float) -> AsyncGenerator[AnswerEvent]:
        """Yield events; closing the iterator cancels the call."""
        message = answer_pb2.StreamAnswerRequest(
            question=answer.question_to_proto(request),
            collection=self._connection.collection,
            with_tables=True,
        )
        attempts = Attempts(self._server, timeout)
        while True:
            call = self._stubs.answer.StreamAnswer(
                message, timeout=attempts.remaining(), metadata=self._connection.metadata()
            )
            expected = 0
            try:
                async for response in call:
                    check_seq(response.seq, expected)
                    expected += 1
                    yield events.event_from_proto(response)
                self._server.answered = True
                return
            except grpc.RpcError as error:
                failure = translate_error(error, self._address, timeout)
                if expected:  # a stream is not resumed
                    raise failure from error
                await self._sleep(attempts.wait_s(failure))
            finally:
                call.cancel()

    async def feedback(self, feedback: Feedback, timeout: float) -> None:
        """Store feedback on an answer."""
        message = request_of(gate_pb2.ReportFeedbackRequest, feedback)
        await self._send(self._stubs.gate.ReportFeedback, message, timeout, repeatable=False)

    async def upsert(self, documents: Iterable[DocumentInput], timeout: float) -> UpdateReport:
        """Add or replace documents; an error of the iterable cancels the call and is raised.

        A sequence is sent again after a restart of the server; an iterator can be read only once.
        """
        key = uuid.uuid4().hex
        attempts = Attempts(self._server, timeout)
        while True:
            try:
                report = await self._upload(documents, key, attempts.remaining())
                self._server.answered = True
                return report
            except ExpertRAGError as error:
                if not isinstance(documents, Sequence):
                    raise
                await self._sleep(attempts.wait_s(error))

    async def _upload(
        self, documents: Iterable[DocumentInput], key: str, timeout: float
    ) -> UpdateReport:
        failure: list[Exception] = []

        async def messages() -> AsyncIterator[index_pb2.UpsertRequest]:
            try:
                first = index_pb2.UpsertRequest(
                    collection=self._connection.collection, idempotency_key=key
                )
                for document in documents:
                    message = index.document_to_proto(document)
                    message.MergeFrom(first)
                    first = index_pb2.UpsertRequest()
                    yield message
            except Exception as error:
                failure.append(error)
                raise  # gRPC cancels the call

        with self._errors(timeout):
            try:
                response = await self._stubs.index.Upsert(
                    messages(), timeout=timeout, metadata=self._connection.metadata()
                )
            except (asyncio.CancelledError, Cancelled):
                if failure:
                    raise failure[0] from None
                raise
            return index.upsert_from_proto(response)

    async def wait_ready(self, timeout: float) -> None:
        """Return once the server has loaded its models."""
        ends_at = time.monotonic() + timeout
        while (remaining := ends_at - time.monotonic()) > 0:
            try:
                state = await self._stubs.health(b"", timeout=remaining, wait_for_ready=True)
                if state == HEALTH_SERVING:
                    return
            except grpc.RpcError as error:
                if not may_become_ready(error.code()):
                    raise translate_error(error, self._address, timeout) from error
            await self._sleep(HEALTH_POLL_S)
        raise not_ready(self._address, timeout)

    async def _send(
        self, method: Callable[..., Any], message: Any, timeout: float, repeatable: bool = True
    ) -> Any:
        """Send a request, again while the server restarts or loads its models."""
        attempts = Attempts(self._server, timeout, repeatable=repeatable)
        name_collection(message, self._connection.collection)
        while True:
            try:
                with self._errors(timeout):
                    response = await method(
                        message,
                        timeout=attempts.remaining(),
                        metadata=self._connection.metadata(),
                    )
                self._server.answered = True
                return response
            except ExpertRAGError as error:
                await self._sleep(attempts.wait_s(error))

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @contextmanager
    def _errors(self, timeout: float) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise translate_error(error, self._address, timeout) from error


def name_collection(message: Any, collection: str) -> None:
    """Name the collection in a request that is about one."""
    if collection and "collection" in message.DESCRIPTOR.fields_by_name:
        message.collection = collection


def check_seq(got: int, expected: int) -> None:
    """Raise if a stream lost or repeated an event."""
    if got != expected:
        raise ServerError(
            f"got event {got} instead of event {expected}; ask again", reason="STREAM_BROKEN"
        )


def may_become_ready(code: grpc.StatusCode) -> bool:
    """Return whether to retry a failed health check."""
    return code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def not_ready(address: str, timeout: float) -> DeadlineExceeded:
    """Return the error for a wait that took too long."""
    return DeadlineExceeded(
        f"the server at {address} was not ready within {timeout:.3g} s; "
        "see its log, or wait longer",
        reason="NOT_READY",
    )
