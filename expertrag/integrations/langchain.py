"""Adapters for LangChain: a retriever and a chat model over a client.

    retriever = ExpertRAGRetriever(client=Client("localhost:50051"), k=4)
    model = ExpertRAGChatModel(client=Client("localhost:50051"), mode="strict")

Needs ``pip install 'expertrag[langchain]'``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, closing
from operator import itemgetter
from typing import Any

from expertrag.api.errors import MissingExtra
from expertrag_common.extras import install_command

try:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForLLMRun,
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForLLMRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document
    from langchain_core.language_models import (
        BaseChatModel,
        LangSmithParams,
        LanguageModelInput,
    )
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
except ModuleNotFoundError as error:
    raise MissingExtra(
        f"the LangChain adapters need the package {error.name}; "
        f"run: {install_command('langchain')}",
        reason="MISSING_EXTRA",
    ) from error

from pydantic import ConfigDict

from expertrag.api.contrast import Contrast
from expertrag.api.events import DeltaEvent
from expertrag.api.folding import AnswerFolder
from expertrag.api.rerank import RerankMode
from expertrag.api.types import (
    Constraint,
    GateMode,
    QuestionScope,
    Sampling,
    SearchMode,
)
from expertrag.api.validation import invalid
from expertrag.client import AsyncClient, Client
from expertrag.client.requests import ANSWER_TIMEOUT_S, DEFAULT_K, DEFAULT_TIMEOUT_S
from expertrag.integrations.conversion import (
    history_of,
    instructions_of,
    question_of,
    to_chunk,
    to_documents,
    to_last_chunk,
    to_result,
)
from expertrag.integrations.structured import (
    METHODS,
    StructuredOutputParser,
    constraint_of,
    pydantic_class,
)

_SAMPLING = Sampling()
_RETRIEVE_OPTIONS = ("k", "filter", "mode", "rerank", "timeout")
_ANSWER_OPTIONS = (
    *_RETRIEVE_OPTIONS,
    "domain",
    "threshold",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "frequency_penalty",
    "constraint",
    "logprobs",
    "routing",
    "contrast",
    "steps",
    "scope",
    "as_of",
)


class ExpertRAGRetriever(BaseRetriever):
    """Retrieves passages as documents, with provenance and scores in their metadata.

    ``invoke(query, k=2)`` overrides an option for one call. ``timeout`` is in seconds.
    Asynchronous calls use ``async_client`` if given, else the client in a thread.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    client: Client
    async_client: AsyncClient | None = None
    k: int = DEFAULT_K
    filter: dict[str, Any] | None = None
    mode: SearchMode = SearchMode.HYBRID
    rerank: RerankMode = RerankMode.AUTO
    timeout: float = DEFAULT_TIMEOUT_S

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options = _options(self, _RETRIEVE_OPTIONS, kwargs)
        return to_documents(self.client.retrieve(query, **options))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.async_client is None:
            search, manager = self._get_relevant_documents, run_manager.get_sync()
            return await asyncio.to_thread(search, query, run_manager=manager, **kwargs)
        options = _options(self, _RETRIEVE_OPTIONS, kwargs)
        return to_documents(await self.async_client.retrieve(query, **options))


class ExpertRAGChatModel(BaseChatModel):
    """Answers the last message of a chat, from the documents if the gate decides so.

    Earlier messages of the user and of the model are sent as its history, the latest that fit.
    System messages are added to the system prompt of the answer (``instructions``); the search does
    not see them. ``response_metadata`` of the answer holds its id (for ``client.feedback``), the
    gate's decision, the citations and the support. It also says whether the answer is
    ``from_documents`` or from the model alone, and why the passages do not support it
    (``unsupported_reason``). An answer about a set of documents has a ``table`` and its
    ``coverage`` there. Log probabilities are there if requested, and the model's name;
    ``usage_metadata`` holds the token counts. Asynchronous calls
    use ``async_client`` if given, else the client in a thread. ``invoke(messages, mode="strict")``
    overrides an option for one call. ``timeout`` is in seconds.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    client: Client
    async_client: AsyncClient | None = None
    mode: GateMode | None = None
    k: int = DEFAULT_K
    filter: dict[str, Any] | None = None
    domain: str | None = None
    threshold: float | None = None
    max_tokens: int = _SAMPLING.max_tokens
    temperature: float = _SAMPLING.temperature
    top_p: float = _SAMPLING.top_p
    seed: int = _SAMPLING.seed
    frequency_penalty: float | None = _SAMPLING.frequency_penalty
    constraint: Constraint | None = None
    logprobs: int | None = None
    routing: str = ""
    contrast: Contrast | None = None
    steps: int = 1
    rerank: RerankMode = RerankMode.AUTO
    scope: QuestionScope | None = None
    as_of: str = ""
    stop: list[str] | None = None
    timeout: float = ANSWER_TIMEOUT_S

    @property
    def _llm_type(self) -> str:
        return "expertrag"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """Return what traces say of a call; its model is known only from the answer."""
        known = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        known.setdefault("ls_model_name", "expertrag")
        known["ls_provider"] = "expertrag"
        return known

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None,
        *,
        include_raw: bool = False,
        method: str = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose answers are objects of a schema.

        Decoding is constrained to the schema, so that every answer fits it, with two exceptions. An
        abstention raises ``ModelRefusalError``, and an answer that was cut by ``max_tokens`` raises
        ``OutputParserException``. With ``include_raw``, the error is in ``parsing_error``.

        :param schema: a pydantic class, whose objects are returned; or a TypedDict or JSON Schema,
            which give dictionaries. None, with ``json_mode``, is any JSON object.
        :param include_raw: return a dictionary of ``raw`` (the message), ``parsed`` and
            ``parsing_error``; errors of parsing are not raised then.
        :param method: "json_schema", "json_mode" or "function_calling"; all do the same.
        :param strict: False allows properties that the schema does not name, where it does not
            forbid them.
        :raises InvalidArgument: the method is unknown, or there is no schema.
        """
        if kwargs:
            raise invalid(min(kwargs), "is not an option of with_structured_output")
        if method not in METHODS:
            raise invalid("method", f"is {method!r}; choose one of {', '.join(METHODS)}")
        if schema is None and method != "json_mode":
            raise invalid("schema", "is None; give a schema, or method='json_mode'")
        traced = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
        model = self.bind(
            constraint=constraint_of(schema, closed=strict is not False),
            ls_structured_output_format=traced if schema is not None else None,
        )
        parser = StructuredOutputParser(pydantic_object=pydantic_class(schema))
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks(
            [failed], exception_key="parsing_error"
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return to_result(self.client.answer(**self._request(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.async_client is None:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        return to_result(await self.async_client.answer(**self._request(messages, stop, kwargs)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        folder = AnswerFolder()
        with closing(self.client.stream(**self._request(messages, stop, kwargs))) as events:
            for event in events:
                folder.add(event)
                if isinstance(event, DeltaEvent):
                    chunk = to_chunk(event.text)
                    if run_manager:
                        run_manager.on_llm_new_token(event.text, chunk=chunk)
                    yield chunk
        yield to_last_chunk(folder.answer())

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
        request = self._request(messages, stop, kwargs)
        async with aclosing(self.async_client.stream(**request)) as events:
            async for event in events:
                folder.add(event)
                if isinstance(event, DeltaEvent):
                    chunk = to_chunk(event.text)
                    if run_manager:
                        await run_manager.on_llm_new_token(event.text, chunk=chunk)
                    yield chunk
        yield to_last_chunk(folder.answer())

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, overrides: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the arguments of ``client.answer`` and ``client.stream``."""
        return {
            **_options(self, _ANSWER_OPTIONS, overrides),
            "question": question_of(messages),
            "history": history_of(messages),
            "instructions": instructions_of(messages),
            "stop": stop or self.stop or (),
        }


def _options(owner: object, names: Sequence[str], overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a call: the options of its model or retriever, with the overrides.

    :raises InvalidArgument: there is no such option, such as ``tools``.
    """
    if unknown := sorted(overrides.keys() - set(names)):
        raise invalid(unknown[0], f"is not an option; choose among {', '.join(sorted(names))}")
    return {**{name: getattr(owner, name) for name in names}, **overrides}
