"""Adapters for LangChain: a retriever and a chat model over a client.

    retriever = ExpertRAGRetriever(client=Client("localhost:50051"), k=4)
    model = ExpertRAGChatModel(client=Client("localhost:50051"), mode="strict")

Needs ``pip install 'expertrag[langchain]'``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from dataclasses import asdict
from typing import Any

from expertrag.api.errors import InvalidArgument, MissingExtra

try:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForLLMRun,
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForLLMRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.retrievers import BaseRetriever
except ModuleNotFoundError as error:
    raise MissingExtra(
        f"the LangChain adapters need the package {error.name}; "
        "run: pip install 'expertrag[langchain]'",
        reason="MISSING_EXTRA",
    ) from error

from pydantic import ConfigDict

from expertrag.api.folding import AnswerFolder
from expertrag.api.rerank import RerankMode
from expertrag.api.turns import Turn, TurnRole, latest
from expertrag.api.types import (
    Answer,
    Constraint,
    DeltaEvent,
    GateMode,
    Passage,
    RetrieveResult,
    Sampling,
    SearchMode,
    Usage,
)
from expertrag.client import AsyncClient, Client
from expertrag.client.requests import DEFAULT_K

_SAMPLING = Sampling()


class ExpertRAGRetriever(BaseRetriever):
    """Retrieves passages as documents, with provenance and scores in their metadata.

    Asynchronous calls use ``async_client`` if given, else the client in a thread.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    client: Client
    async_client: AsyncClient | None = None
    k: int = DEFAULT_K
    filter: dict[str, Any] | None = None
    mode: SearchMode = SearchMode.HYBRID
    rerank: RerankMode = RerankMode.AUTO

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return _documents(self.client.retrieve(query, **self._options()))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        if self.async_client is None:
            return await super()._aget_relevant_documents(query, run_manager=run_manager)
        return _documents(await self.async_client.retrieve(query, **self._options()))

    def _options(self) -> dict[str, Any]:
        return {"k": self.k, "filter": self.filter, "mode": self.mode, "rerank": self.rerank}


class ExpertRAGChatModel(BaseChatModel):
    """Answers the last message of a chat, from the documents if the gate decides so.

    Earlier messages of the user and of the model are sent as its history, the latest that fit; a
    system message is not, because the prompts are ExpertRAG's own. ``response_metadata`` of the
    answer holds its id (for ``client.feedback``), whether it is ``from_documents`` or from the
    model alone, the gate's decision, the citations, the support, why the passages do not support it
    (``unsupported_reason``), log probabilities if requested, and the model's name;
    ``usage_metadata`` holds the token counts. Asynchronous calls use ``async_client`` if given,
    else the client in a thread.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    client: Client
    async_client: AsyncClient | None = None
    mode: GateMode = GateMode.AUTO
    k: int = DEFAULT_K
    filter: dict[str, Any] | None = None
    domain: str | None = None
    threshold: float | None = None
    max_tokens: int = _SAMPLING.max_tokens
    temperature: float = _SAMPLING.temperature
    seed: int = _SAMPLING.seed
    frequency_penalty: float | None = _SAMPLING.frequency_penalty
    constraint: Constraint | None = None
    logprobs: int | None = None
    steps: int = 1
    rerank: RerankMode = RerankMode.AUTO

    @property
    def _llm_type(self) -> str:
        return "expertrag"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        options = self._options(stop, kwargs)
        return _result(
            self.client.answer(_question(messages), history=_history(messages), **options)
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.async_client is None:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        options = self._options(stop, kwargs)
        history = _history(messages)
        return _result(
            await self.async_client.answer(_question(messages), history=history, **options)
        )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        folder = AnswerFolder()
        options = self._options(stop, kwargs)
        asked, history = _question(messages), _history(messages)
        with closing(self.client.stream(asked, history=history, **options)) as events:
            for event in events:
                folder.add(event)
                if isinstance(event, DeltaEvent):
                    chunk = _chunk(event.text)
                    if run_manager:
                        run_manager.on_llm_new_token(event.text, chunk=chunk)
                    yield chunk
        yield _last_chunk(folder.answer())

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if self.async_client is None:
            async for chunk in super()._astream(messages, stop, run_manager, **kwargs):
                yield chunk
            return
        folder = AnswerFolder()
        options = self._options(stop, kwargs)
        asked, history = _question(messages), _history(messages)
        async with aclosing(self.async_client.stream(asked, history=history, **options)) as events:
            async for event in events:
                folder.add(event)
                if isinstance(event, DeltaEvent):
                    chunk = _chunk(event.text)
                    if run_manager:
                        await run_manager.on_llm_new_token(event.text, chunk=chunk)
                    yield chunk
        yield _last_chunk(folder.answer())

    def _options(self, stop: list[str] | None, overrides: dict[str, Any]) -> dict[str, Any]:
        names = (
            "mode",
            "k",
            "filter",
            "domain",
            "threshold",
            "max_tokens",
            "temperature",
            "seed",
            "frequency_penalty",
            "constraint",
            "logprobs",
            "steps",
            "rerank",
        )
        options = {name: getattr(self, name) for name in names}
        options.update({name: overrides[name] for name in names if name in overrides})
        return {**options, "stop": stop or ()}


def _question(messages: list[BaseMessage]) -> str:
    last = messages[-1] if messages else None
    if not isinstance(last, HumanMessage):
        raise InvalidArgument(
            "messages: the last one is not from the user; end the chat with a question",
            reason="INVALID_FIELD",
            metadata={"field": "messages"},
        )
    return str(last.text)


def _history(messages: list[BaseMessage]) -> tuple[Turn, ...]:
    """Return the turns before the last message; messages without text are left out."""
    turns = [
        Turn(TurnRole.USER if isinstance(message, HumanMessage) else TurnRole.ASSISTANT, text)
        for message in messages[:-1]
        if isinstance(message, HumanMessage | AIMessage) and (text := str(message.text)).strip()
    ]
    return latest(turns)


def _documents(result: RetrieveResult) -> list[Document]:
    return [_document(passage, result.generation) for passage in result.passages]


def _document(passage: Passage, generation: int) -> Document:
    """Keep the document's own metadata; our fields take precedence."""
    return Document(
        id=f"{passage.document_id}#{passage.ordinal}",
        page_content=passage.text,
        metadata={
            **passage.metadata,
            "document_id": passage.document_id,
            "title": passage.title,
            "source": passage.source,
            "domain": passage.domain,
            "start": passage.start,
            "end": passage.end,
            "score": passage.score,
            "generation": generation,
            **({} if passage.page is None else {"page": passage.page}),
            **({} if passage.rerank_score is None else {"rerank_score": passage.rerank_score}),
        },
    )


def _result(answer: Answer) -> ChatResult:
    message = AIMessage(
        content=answer.text,
        response_metadata=_response_metadata(answer),
        usage_metadata=_usage_metadata(answer.usage),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunk(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


def _last_chunk(answer: Answer) -> ChatGenerationChunk:
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            response_metadata=_response_metadata(answer),
            usage_metadata=_usage_metadata(answer.usage),
            chunk_position="last",
        )
    )


def _response_metadata(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.id,
        "model_name": answer.model,
        "finish_reason": answer.finish_reason.value,
        "gate": asdict(answer.decision),
        "citations": [asdict(citation) for citation in answer.citations],
        "support": answer.support,
        "p_sufficient": answer.p_sufficient,
        "from_documents": answer.from_documents,
        "unsupported_reason": answer.unsupported_reason,
        "generation": answer.generation,
        "logprobs": [asdict(token) for token in answer.logprobs],
        "lm_calls": answer.usage.lm_calls,
        "retrieval_calls": answer.usage.retrieval_calls,
    }


def _usage_metadata(usage: Usage) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        input_token_details={"cache_read": usage.cached_prompt_tokens},
    )
