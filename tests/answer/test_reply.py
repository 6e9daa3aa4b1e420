"""Readers' replies become answers: abstention, citations, drafts; in the real pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from answer.conftest import Answered
from serving_fixtures import OpenPipeline, TellingGenerator, TellingSession

from expertrag.answer.ground import ground_reply
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.reply import ReplyStream, draft_of, mark_citations, reply_sampling
from expertrag.api.errors import InvalidArgument
from expertrag.api.events import DeltaEvent
from expertrag.api.folding import fold
from expertrag.api.types import (
    AnswerRequest,
    Constraint,
    FinishReason,
    GateMode,
    Passage,
    Sampling,
)
from expertrag.llm import prompt
from expertrag.llm.abstentions import ABSTENTION
from expertrag.llm.base import Message, ShouldStop

LEAVE = "How many days of paid leave do employees of Northwind get?"
ROSES = Passage("roses", 0, "Roses are pruned in March. They bloom in June.", 100, 146, 1.0)
TULIPS = Passage("tulips", 0, "Tulips bloom in May. Roses bloom in June, too.", 0, 46, 1.0)
CONSULTED = [GateMode.AUTO, GateMode.ALWAYS, GateMode.STRICT]


def deltas(text: str, size: int = 1) -> Iterator[DeltaEvent]:
    return (DeltaEvent(text[start : start + size]) for start in range(0, len(text), size))


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("text", ["Paris [2]", "No", "Not in Paris. [1]", " Not", "", "[1]"])
def test_a_reply_without_abstention_is_yielded_whole(text: str, size: int) -> None:
    stream = ReplyStream(deltas(text, size), reader=True)
    said = "".join(delta.text for delta in stream)
    assert said + "".join(delta.text for delta in stream.markers) == text
    assert not stream.abstained


@pytest.mark.parametrize(
    ("text", "markers"),
    [
        ("Paris [2]", " [2]"),
        ("In [2] and [1][3]", " [1][3]"),
        ("No", ""),
        ("a [1] b", ""),
        ("x [", " ["),
        ("1999 [3].", " [3]."),
        ("1999 [3], [1].", " [3], [1]."),
        ("It ended in 1999.", ""),
    ],
)
def test_markers_wait_for_the_end(text: str, markers: str) -> None:
    stream = ReplyStream(deltas(text), reader=True)
    assert "".join(delta.text for delta in stream) == text.removesuffix(markers)
    assert "".join(delta.text for delta in stream.markers) == markers
    plain = ReplyStream(deltas(text), reader=False)
    assert "".join(delta.text for delta in plain) == text and not plain.markers


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("text", ["Not in the passages.", "\nNot in the passages. [1]"])
def test_an_abstention_yields_nothing(text: str, size: int) -> None:
    stream = ReplyStream(deltas(text, size), reader=True)
    assert list(stream) == []
    assert stream.abstained


@pytest.mark.parametrize(
    ("asked", "reader", "sampled"), [(None, True, 0.0), (None, False, None), (0.3, True, 0.3)]
)
def test_a_reader_may_repeat_what_it_copies(
    asked: float | None, reader: bool, sampled: float | None
) -> None:
    made = reply_sampling(Sampling(stop=("\n",), frequency_penalty=asked), reader=reader)
    assert made == Sampling(stop=("\n", prompt.NEXT_PASSAGE), frequency_penalty=sampled)


def test_buffered_words_are_yielded_as_soon_as_possible() -> None:
    said = [delta.text for delta in ReplyStream(deltas("Nothing grows."), reader=True)]
    assert said == list("Nothing grows.")
    stream = deltas("Nor does it.")
    assert next(iter(ReplyStream(stream, reader=True))).text == "N"
    assert next(stream).text == " "  # "Nor" was enough


def test_a_plain_model_may_use_the_abstention_text() -> None:
    stream = ReplyStream(deltas(prompt.NOT_FOUND, 5), reader=False)
    assert "".join(delta.text for delta in stream) == prompt.NOT_FOUND
    assert not stream.abstained


REFUSAL = "Not in the following lists. Not in the tables."


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("reader", [True, False])
@pytest.mark.parametrize("sure", [0.02, None])
def test_a_refusal_in_other_words_is_an_abstention(
    size: int, reader: bool, sure: float | None
) -> None:
    stream = ReplyStream(deltas(REFUSAL, size), reader=reader, p_sufficient=lambda: sure)
    assert list(stream) == []
    assert stream.abstained


@pytest.mark.parametrize("reader", [True, False])
def test_a_refusal_that_the_probability_contradicts_is_yielded(reader: bool) -> None:
    """ "Not mentioned." may be what the passages say."""
    stream = ReplyStream(deltas(REFUSAL), reader=reader, p_sufficient=lambda: 0.9)
    assert "".join(delta.text for delta in stream) == REFUSAL
    assert not stream.abstained


def test_a_doubted_answer_is_yielded_whole() -> None:
    for text in ("Not before March. Then daily.", "The price", "", "No"):
        stream = ReplyStream(deltas(text, 2), reader=True, p_sufficient=lambda: 0.1)
        assert "".join(delta.text for delta in [*stream, *stream.markers]) == text
        assert not stream.abstained


def test_markers_select_passages_and_grounding_selects_spans() -> None:
    text = " In June. [2][1]"
    found = ground_reply(text, [ROSES, TULIPS], "When do roses bloom?")
    assert [(c.passage, c.document_id) for c in found.citations] == [(2, "tulips"), (1, "roses")]
    spans = [TULIPS.text[21:], ROSES.text]
    for citation, passage, span in zip(found.citations, [TULIPS, ROSES], spans, strict=True):
        start = passage.start
        assert passage.text[citation.start - start : citation.end - start] == span
        assert text[citation.answer_start : citation.answer_end] == "In June."
    assert found.support == 1.0


def test_the_whole_answer_is_cited_without_its_markers() -> None:
    text = "Roses are pruned in March. They bloom in June. [1]"
    (citation,) = ground_reply(text, [ROSES, TULIPS], "").citations
    assert text[citation.answer_start : citation.answer_end] == text[:-4]
    assert (citation.start, citation.end) == (ROSES.start, ROSES.end)
    assert ground_reply(text, [ROSES, TULIPS], "").support == 1.0


@pytest.mark.parametrize("marker", ["", " [3]", " [0][7]"])
def test_a_marker_without_a_passage_falls_back_to_the_best_one(marker: str) -> None:
    (citation,) = ground_reply(
        f"In March{marker}", [ROSES, TULIPS], "When to prune roses?"
    ).citations
    assert citation.passage == 1


def test_one_valid_marker_is_enough() -> None:
    found = ground_reply("In June [9][2][2]", [ROSES, TULIPS], "When do roses bloom?")
    assert [citation.passage for citation in found.citations] == [2]


@pytest.mark.parametrize(
    ("text", "served"),
    [
        ("In March [2]", " [1]"),  # the wrong passage
        ("In March [1]", " [1]"),
        ("In March [1][2]", " [1]"),  # one of two is right
        ("In Bergen [2]", " [2]"),  # no passage supports it: kept as generated
        ("In March", ""),
    ],
)
def test_a_wrong_marker_is_corrected(text: str, served: str) -> None:
    found = ground_reply(text, [ROSES, TULIPS], "When to prune roses?")
    stream = ReplyStream(deltas(text), reader=True)
    assert "".join(delta.text for delta in stream) + served == f"{text.split(' [')[0]}{served}"
    assert "".join(delta.text for delta in mark_citations(stream.markers, found)) == served
    numbers = [f"[{citation.passage}]" for citation in found.citations]
    assert not served or served.strip() == "".join(numbers)


def test_a_wrong_marker_adds_no_support() -> None:
    found = ground_reply("In Bergen [1]", [ROSES], "When do roses bloom?")
    assert found.support == 0.0
    assert found.citations[0].score < 0.5


def test_markers_alone_are_not_supported() -> None:
    assert ground_reply("[1]", [ROSES], "").citations == ()


def test_drafts() -> None:
    assert draft_of("Ridley Scott [1][2]") == "Ridley Scott"
    assert draft_of(prompt.NOT_FOUND) == ""


@pytest.mark.parametrize("mode", CONSULTED)
def test_an_answer_that_cites(answered: Answered, mode: GateMode) -> None:
    found = answered(TellingGenerator("27 [1]"), AnswerRequest(LEAVE, mode))
    assert (found.text, found.finish_reason, found.support) == ("27 [1]", FinishReason.STOP, 1.0)
    (citation,) = found.citations
    assert (citation.passage, citation.document_id) == (1, "office/leave")
    assert found.text[citation.answer_start : citation.answer_end] == "27"
    assert found.p_sufficient is None


@pytest.mark.parametrize("mode", CONSULTED)
def test_an_abstention(answered: Answered, mode: GateMode) -> None:
    model = TellingGenerator(prompt.NOT_FOUND, doubt=0.75)
    found = answered(model, AnswerRequest(LEAVE, mode, sampling=Sampling(logprobs=0)))
    assert (found.text, found.abstained, found.support) == (ABSTENTION, True, None)
    assert found.passages and not found.citations
    assert found.p_sufficient == 0.25
    assert found.usage.completion_tokens == 7  # generation stops there
    assert model.open_sessions == 0


def test_a_closed_book_reply_is_not_parsed(answered: Answered) -> None:
    found = answered(TellingGenerator(prompt.NOT_FOUND, 0.75), AnswerRequest(LEAVE, GateMode.NEVER))
    assert (found.text, found.abstained) == (prompt.NOT_FOUND, False)
    assert found.p_sufficient is None


def test_strict_requires_support_and_low_doubt(answered: Answered) -> None:
    request = AnswerRequest(LEAVE, GateMode.STRICT)
    wrong = answered(TellingGenerator("28 [1]", doubt=0.1), request)
    assert wrong.abstained and wrong.support == 0.0
    assert wrong.p_sufficient == pytest.approx(0.9)
    unsure = answered(TellingGenerator("27 [1]", doubt=0.51), request)
    assert unsure.abstained and unsure.support is None
    sure = answered(TellingGenerator("27 [1]", doubt=0.49), request)
    assert sure.text == "27 [1]"
    assert sure.p_sufficient == pytest.approx(0.51)
    wary = TellingGenerator("27 [1]", doubt=0.49)
    wary.reading = ReadingPolicy(reader=True, strict_from=0.25)
    assert answered(wary, request).abstained
    always = answered(TellingGenerator("27 [1]", doubt=0.9), AnswerRequest(LEAVE, GateMode.ALWAYS))
    assert always.text == "27 [1]"
    assert always.p_sufficient == pytest.approx(0.1)


@pytest.mark.parametrize("text", [prompt.NOT_FOUND, "27 [2]"])
def test_a_constrained_text_is_not_parsed(answered: Answered, text: str) -> None:
    sampling = Sampling(constraint=Constraint(choices=(text,)))
    found = answered(
        TellingGenerator(text), AnswerRequest(LEAVE, GateMode.ALWAYS, sampling=sampling)
    )
    assert (found.text, found.abstained) == (text, False)
    assert all(citation.document_id == "office/leave" for citation in found.citations)


@pytest.mark.parametrize(("draft", "searched"), [("27 [1]", "27"), (prompt.NOT_FOUND, "")])
def test_later_searches_use_the_readers_draft(
    open_pipeline: OpenPipeline, draft: str, searched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = open_pipeline(TellingGenerator(draft))
    with pipeline._served.lease() as view:
        search, queries = view.searcher.search, []

    def noted(query: str, **options: Any) -> Any:
        queries.append(query)
        return search(query, **options)

    monkeypatch.setattr(view.searcher, "search", noted)
    fold(pipeline.answer(AnswerRequest(LEAVE, GateMode.ALWAYS, steps=2)))
    later = [f"{LEAVE} {searched}"] if searched else []  # the same search is not repeated
    assert queries == [LEAVE, *later]


class ThinkingGenerator(TellingGenerator):
    """A model whose tokens are all used by thoughts, which are not shown."""

    reading = ReadingPolicy()

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> TellingSession:
        session = super().session(messages, sampling, stop)
        session.finish_reason = FinishReason.LENGTH
        session.completion_tokens = sampling.max_tokens
        return session


@pytest.mark.parametrize("mode", [GateMode.NEVER, GateMode.ALWAYS, GateMode.STRICT])
def test_thoughts_that_use_all_tokens_are_an_error(answered: Answered, mode: GateMode) -> None:
    request = AnswerRequest(LEAVE, mode, sampling=Sampling(max_tokens=9))
    with pytest.raises(InvalidArgument, match=r"max_tokens: the model used all 9 tokens before"):
        answered(ThinkingGenerator(), request)


def test_an_abstention_is_in_the_language_of_the_question(answered: Answered) -> None:
    model = TellingGenerator(prompt.NOT_FOUND, doubt=0.75)
    answer = answered(model, AnswerRequest("Wie viele Tage Urlaub haben wir?", GateMode.ALWAYS))
    assert answer.abstained
    assert answer.text == "Die Dokumente enthalten keine Antwort auf diese Frage."
