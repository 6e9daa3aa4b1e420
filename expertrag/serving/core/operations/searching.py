"""Searches, embeddings and rankings, without an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from expertrag.api.embed import Embeddings, EmbedRequest
from expertrag.api.rerank import RerankRequest, RerankResult
from expertrag.api.types import RetrieveRequest, RetrieveResult
from expertrag.runtime.stop import Stop
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.runtime import Runtime
from expertrag.serving.core.workers import CallKind

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline

T = TypeVar("T")


async def retrieve(
    runtime: Runtime, context: CallContext, request: RetrieveRequest
) -> RetrieveResult:
    """Return the best passages."""
    return await runtime.run(
        CallKind.RETRIEVE, context, lambda pipeline, stop: pipeline.retrieve(request, stop)
    )


async def embed(
    runtime: Runtime, context: CallContext, request: EmbedRequest, form: Callable[[Embeddings], T]
) -> T:
    """Encode a batch of texts.

    :param form: converts the vectors in the worker thread: they are up to a million numbers.
    """

    def work(pipeline: Pipeline, stop: Stop) -> T:
        role, domain = request.role, request.domain
        return form(pipeline.embed(request.texts, role=role, domain=domain, should_stop=stop))

    return await runtime.run(CallKind.EMBED, context, work)


async def rerank(runtime: Runtime, context: CallContext, request: RerankRequest) -> RerankResult:
    """Rank a batch of texts."""
    return await runtime.run(
        CallKind.RERANK, context, lambda pipeline, stop: pipeline.rerank(request, stop)
    )
