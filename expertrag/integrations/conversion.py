"""Messages, documents and answers of LangChain, to and from the values of the client.

Needs ``pip install 'expertrag[langchain]'``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from expertrag.api.errors import InvalidArgument
from expertrag.api.turns import Turn, TurnRole, latest
from expertrag.api.types import Answer, Passage, RetrieveResult, Usage


def question_of(messages: list[BaseMessage]) -> str:
    """Return the text of the last message.

    :raises InvalidArgument: it is not from the user.
    """
    last = messages[-1] if messages else None
    if not isinstance(last, HumanMessage):
        raise InvalidArgument(
            "messages: the last one is not from the user; end the chat with a question",
            reason="INVALID_FIELD",
            metadata={"field": "messages"},
        )
    return str(last.text)


def history_of(messages: list[BaseMessage]) -> tuple[Turn, ...]:
    """Return the turns before the last message; messages without text are left out."""
    turns = [
        Turn(TurnRole.USER if isinstance(message, HumanMessage) else TurnRole.ASSISTANT, text)
        for message in messages[:-1]
        if isinstance(message, HumanMessage | AIMessage) and (text := str(message.text)).strip()
    ]
    return latest(turns)


def instructions_of(messages: list[BaseMessage]) -> str:
    """Return the texts of the system messages, separated by empty lines."""
    texts = (str(message.text) for message in messages if isinstance(message, SystemMessage))
    return "\n\n".join(text for text in texts if text.strip())


def to_documents(result: RetrieveResult) -> list[Document]:
    """Return the passages as documents, in rank order."""
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


def to_result(answer: Answer) -> ChatResult:
    """Return an answer as a message with its metadata and its usage."""
    message = AIMessage(
        content=answer.text,
        response_metadata=_response_metadata(answer),
        usage_metadata=_usage_metadata(answer.usage),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def to_chunk(text: str) -> ChatGenerationChunk:
    """Return a piece of a streamed answer."""
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


def to_last_chunk(answer: Answer) -> ChatGenerationChunk:
    """Return the end of a streamed answer: its metadata and its usage, without text."""
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
        "table": answer.table and asdict(answer.table),
        "coverage": answer.coverage and asdict(answer.coverage),
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
