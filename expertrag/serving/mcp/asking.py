"""The tools ``answer`` and ``explain_gate``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, with_config

from expertrag.api.citing import quote
from expertrag.api.events import (
    AnswerEvent,
    GateEvent,
    PassagesEvent,
    ProgressEvent,
    TableEvent,
)
from expertrag.api.folding import AnswerFolder
from expertrag.api.tables import AnswerTable, Coverage
from expertrag.api.types import (
    Answer,
    Citation,
    GateDecision,
    GateMode,
    Passage,
    QuestionScope,
)
from expertrag.client import AnswerOptions
from expertrag.serving.mcp.documents import SOURCE, DocumentLinks
from expertrag.serving.mcp.tool import McpTool, ToolCall


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class AnswerArguments:
    """What to answer, and how."""

    question: Annotated[str, Field(description="A question that stands alone.")]
    mode: Annotated[
        str | None,
        Field(
            description="auto: the gate decides whether to retrieve; never, always: skip or force "
            "retrieval; strict: answer from the documents or abstain. Unset: the server's own.",
            json_schema_extra={"enum": [*GateMode, None]},
        ),
    ] = None
    scope: Annotated[
        str | None,
        Field(
            description="What the question asks of the documents: lookup, list, count, aggregate "
            "(a sum, an average, a maximum), exists (any or every one), compare, latest (the "
            "version in force), two_hops, document (a summary). Unset: recognised.",
            json_schema_extra={"enum": [*QuestionScope, None]},
        ),
    ] = None
    as_of: Annotated[
        str,
        Field(
            description="Answer from the versions in force on this day, YYYY-MM-DD. Empty: today."
        ),
    ] = ""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class GateArguments:
    """What the gate is asked about."""

    question: Annotated[str, Field(description="A question that stands alone.")]


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What the gate decided, and why.

    Probabilities are None where they were not estimated. ``contributions`` are to the log odds of
    the benefit, by group of signals.
    """

    retrieve: bool
    mode: str
    reason: str
    p_benefit: Annotated[
        float | None, Field(description="Probability that retrieval improves the answer.")
    ]
    threshold: Annotated[float | None, Field(description="Retrieve where p_benefit reaches it.")]
    p_correct_closed_book: float | None
    p_correct_retrieval: float | None
    contributions: Mapping[str, float]
    rewritten_question: Annotated[str, Field(description="Empty if it was asked as it stands.")]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """A passage that the answer was generated from; ``number`` is the number in its markers."""

    number: int
    id: Annotated[str, Field(description="Id of the document; fetch returns its text.")]
    title: str
    url: str
    source: Annotated[str, Field(description=SOURCE)]
    page: int | None
    text: str


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence of the answer and the span that supports it.

    ``start`` and ``end`` are character offsets into the document; ``quote`` is the text there.
    ``support`` in [0, 1] is the share of the sentence that the span supports.
    """

    sentence: str
    source: Annotated[int, Field(description="Number of the source.")]
    quote: str
    start: int
    end: int
    page: int | None
    support: float


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """An answer, whose text marks its citations as [1], [2], …."""

    text: str
    from_documents: Annotated[
        bool, Field(description="False: the text is from the language model alone.")
    ]
    abstained: Annotated[bool, Field(description="No answer was given; the text says why.")]
    unsupported_reason: Annotated[
        str, Field(description="Why to check the text, or why it was withheld; empty if neither.")
    ]
    citations: list[CitedSentence]
    sources: list[AnswerSource]
    gate: GateOutcome
    id: str
    table: Annotated[
        AnswerTable | None, Field(description="Rows that were listed or counted, all of them.")
    ] = None
    coverage: Annotated[
        Coverage | None,
        Field(description="What was counted from; complete is null where that is unknown."),
    ] = None


async def _answer(call: ToolCall, asked: AnswerArguments) -> CitedAnswer:
    # Streamed, so that a call that is cancelled ends the work.
    folder, events = AnswerFolder(), 0
    options: AnswerOptions = {
        "k": call.k,
        "mode": asked.mode,
        "scope": asked.scope,
        "as_of": asked.as_of,
    }
    async with aclosing(call.client.stream(asked.question, **options, **call.deadline)) as stream:
        async for event in stream:
            folder.add(event)
            events += 1
            await call.report(events, _progress(event))
    return _cite(folder.answer(), call.links)


async def _explain_gate(call: ToolCall, asked: GateArguments) -> GateOutcome:
    return _outcome(await call.client.decide(asked.question, **call.deadline))


def _progress(event: AnswerEvent) -> str:
    match event:
        case GateEvent(decision):
            return "searching the documents" if decision.retrieve else "answering without them"
        case ProgressEvent(done, total):
            return f"read {done} of {total} documents"
        case PassagesEvent(passages):
            return f"found {len(passages)} passages"
        case TableEvent(table) if table.columns:
            return f"counted {len(table.rows)} rows"
        case _:
            return "writing"


def _cite(answer: Answer, links: DocumentLinks) -> CitedAnswer:
    return CitedAnswer(
        text=_mark(answer),
        from_documents=answer.from_documents,
        abstained=answer.abstained,
        unsupported_reason=answer.unsupported_reason,
        citations=[_sentence(answer, citation) for citation in answer.citations],
        sources=[
            _source(number, passage, links) for number, passage in enumerate(answer.passages, 1)
        ],
        gate=_outcome(answer.decision),
        id=answer.id,
        table=answer.table,
        coverage=answer.coverage,
    )


def _mark(answer: Answer) -> str:
    """Return the text with a marker behind each cited sentence, unless the model wrote one."""
    cited: dict[int, list[int]] = {}
    for citation in answer.citations:
        cited.setdefault(citation.answer_end, []).append(citation.passage)
    text = answer.text
    for end in sorted(cited, reverse=True):  # from the end, so that the offsets stay true
        markers = "".join(f"[{number}]" for number in dict.fromkeys(cited[end]))
        if not text[end:].lstrip().startswith(markers):
            text = f"{text[:end]} {markers}{text[end:]}"
    return text


def _sentence(answer: Answer, citation: Citation) -> CitedSentence:
    passage = answer.passages[citation.passage - 1]
    return CitedSentence(
        sentence=answer.text[citation.answer_start : citation.answer_end],
        source=citation.passage,
        quote=quote(citation, passage),
        start=citation.start,
        end=citation.end,
        page=citation.page,
        support=citation.score,
    )


def _source(number: int, passage: Passage, links: DocumentLinks) -> AnswerSource:
    return AnswerSource(
        number=number,
        id=passage.document_id,
        title=passage.title or passage.document_id,
        url=links.url_of(passage.document_id, passage.source),
        source=passage.source,
        page=passage.page,
        text=passage.text,
    )


def _outcome(decision: GateDecision) -> GateOutcome:
    return GateOutcome(
        retrieve=decision.retrieve,
        mode=decision.mode.value,
        reason=decision.reason,
        p_benefit=decision.p_benefit,
        threshold=decision.threshold,
        p_correct_closed_book=decision.p_correct_closed_book,
        p_correct_retrieval=decision.p_correct_retrieval,
        contributions=decision.contributions,
        rewritten_question=decision.rewritten_question,
        warnings=decision.warnings,
    )


ANSWER = McpTool(
    name="answer",
    title="Answer a question",
    description="Answer a question from the documents, or from the language model alone where the "
    "gate expects no benefit from them. The text marks its citations as [1]; sources hold the "
    "passages.",
    arguments=AnswerArguments,
    result=CitedAnswer,
    run=_answer,
)
EXPLAIN_GATE = McpTool(
    name="explain_gate",
    title="Explain the gate",
    description="Tell whether the documents would be searched for a question, and why, without "
    "answering it.",
    arguments=GateArguments,
    result=GateOutcome,
    run=_explain_gate,
)
