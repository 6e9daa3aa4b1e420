"""Match each sentence of an answer to the span of a passage that supports it.

It is deterministic, without a model. The support of a sentence is the share of its words that occur
together in one or two adjacent sentences of a passage. Words are weighted by their rarity there.
Numbers, names, options and code identifiers must match exactly, and the names in the question must
be in the passage. It ignores word order and roles ("A beat B").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from expertrag.api.types import Citation, Passage
from expertrag.grounding.coverage import coverage
from expertrag.grounding.evidence import Evidence
from expertrag.grounding.former import find_former_value
from expertrag.grounding.judge import STANDS_UNDER, Lacking, is_verdict, judge
from expertrag.grounding.rows import SentenceSpan
from expertrag.grounding.values import whole_dates
from expertrag.grounding.wording import Wording, wording
from expertrag_index.words.sentences import spans

SUPPORTED = 0.5
"""Minimum score to cite a sentence, and minimum support to give a STRICT answer."""

_MAX_CITATIONS = 2  # per sentence
_MOST_WORDS_LISTED = 3
_RIVAL_MARGIN = 0.1  # a second passage is cited if it supports the sentence nearly as well

_NOT_DIGITS = re.compile(r"\D+")
_MARKS = re.compile(r"\[\d{1,3}\]|^\d{1,3}[.)]\s")  # citations and list numbers make no claim


@dataclass(frozen=True, slots=True)
class Grounding:
    """Citations in the order of the answer, or of the passages that the model cited itself.

    ``support`` in [0, 1] is the share of the answer, by content words, in supported sentences.
    ``reason`` says in one line that a value is a former one, or why the first unsupported
    sentence is not supported; empty if all are. ``coverage``: see
    :func:`expertrag.grounding.coverage.coverage`, and ``misplaced``: 1 if a value stands in another
    column than asked for, or is a former one; empty without a sentence. ``nearest``: the span that
    comes closest to supporting the answer.
    """

    citations: tuple[Citation, ...]
    support: float
    reason: str = ""
    coverage: Mapping[str, float] = field(default_factory=dict)
    nearest: tuple[Citation, ...] = ()

    @property
    def sources(self) -> tuple[Citation, ...]:
        """The citations; if the first sentence has none, the span nearest to it comes first."""
        starts_cited = any(
            cited.answer_start <= near.answer_start
            for cited in self.citations
            for near in self.nearest
        )
        return self.citations if starts_cited else (*self.nearest, *self.citations)


@dataclass(frozen=True, slots=True)
class _Match:
    """A span of a passage, its score, and the flaw that lowers its support of a claim."""

    passage: int
    span: SentenceSpan
    score: float
    flaw: str | Lacking


def ground(
    answer: str, passages: Sequence[Passage], question: str = "", named: Sequence[int] = ()
) -> Grounding:
    """Find the spans that support ``answer``.

    :param question: matches a bare answer such as "Paris." to a span that is also about it.
    :param named: 1-based numbers of the passages that the model cites. Those that support the
        answer are cited for all of it, each with its best span, instead of the citations found for
        each sentence; those that do not are cited only if nothing else is found. ``support`` is not
        affected.
    """
    evidence = Evidence(passages, question)
    claims = list(_claims(answer, evidence))
    cited = [(claim.start, claim.end, match) for claim in claims for match in claim.citable]
    if claims and named:
        whole, matches = (
            (claims[0].start, claims[-1].end),
            _matches(_read(answer, evidence), evidence),
        )
        by_number = {match.passage + 1: match for match in matches}
        sources = [by_number[number] for number in dict.fromkeys(named) if number in by_number]
        holding = [match for match in sources if match.score >= SUPPORTED]
        instead = [(*whole, match) for match in holding or sources]
        cited = instead if holding else cited or instead
    total = sum(claim.words for claim in claims)
    supported = sum(claim.words for claim in claims if claim.citable)
    former = _former_flaw(answer, evidence) if claims else ""
    return Grounding(
        tuple(_citation(match, passages[match.passage], *place) for *place, match in cited),
        supported / total if total else 0.0,
        former or next((claim.flaw for claim in claims if not claim.citable), ""),
        _coverage(answer, claims, evidence, former) if claims else {},
        tuple(_nearest(claims, passages)),
    )


def _nearest(claims: Sequence[_Claim], passages: Sequence[Passage]) -> Iterator[Citation]:
    """Yield the best span of the first sentence that has one, for the whole answer."""
    for claim in claims:
        for match in claim.matches[:1]:
            yield _citation(match, passages[match.passage], claims[0].start, claims[-1].end)
            return


def _former_flaw(answer: str, evidence: Evidence) -> str:
    """Return the flaw of an answer that gives a former value."""
    former = find_former_value(_read(answer, evidence), evidence)
    return f"'{former.value}' is a former value: \"{former.sentence}\"" if former else ""


def _coverage(
    answer: str, claims: Sequence[_Claim], evidence: Evidence, former: str
) -> Mapping[str, float]:
    best = next((claim.matches[0].passage for claim in claims if claim.matches), None)
    misplaced = any(not claim.citable and STANDS_UNDER in claim.flaw for claim in claims)
    wrong = bool(former) or misplaced
    return {**coverage(_read(answer, evidence), best, evidence), "misplaced": float(wrong)}


def sentence_scores(answer: str, passages: Sequence[Passage], question: str = "") -> list[float]:
    """Return the score in [0, 1] of the best span for each sentence of ``answer``."""
    return [claim.best for claim in _claims(answer, Evidence(passages, question))]


@dataclass(frozen=True, slots=True)
class _Claim:
    """A sentence of the answer, and the best span of each passage, best first."""

    start: int
    end: int
    words: int
    matches: Sequence[_Match]
    flaw: str

    @property
    def best(self) -> float:
        return self.matches[0].score if self.matches else 0.0

    @property
    def citable(self) -> list[_Match]:
        bar = max(SUPPORTED, self.best - _RIVAL_MARGIN)
        return [match for match in self.matches[:_MAX_CITATIONS] if match.score >= bar]


def _claims(answer: str, evidence: Evidence) -> Iterator[_Claim]:
    for start, end in whole_dates(answer, spans(answer)):
        said = _read(answer[start:end], evidence)
        matches = _matches(said, evidence)
        yield _Claim(
            start, end, max(len(said.words), 1), matches, _missing_words(matches, evidence)
        )


def _read(text: str, evidence: Evidence) -> Wording:
    return evidence.read(_MARKS.sub("", text))


def _matches(claim: Wording, evidence: Evidence) -> list[_Match]:
    """Return the best span of each passage for the claim, best first."""
    best = [
        max(
            (_match(claim, number, span, evidence) for span in _deciding(claim, spans, evidence)),
            key=lambda match: (match.score, match.span.start - match.span.end),
        )
        for number, spans in enumerate(evidence.spans)
        if spans
    ]
    return sorted(best, key=lambda match: -match.score)


def _match(claim: Wording, number: int, span: SentenceSpan, evidence: Evidence) -> _Match:
    result = judge(claim, number, span, evidence)
    return _Match(number, span, result.score, result.flaw)


def _deciding(
    claim: Wording, spans: Sequence[SentenceSpan], evidence: Evidence
) -> Sequence[SentenceSpan]:
    """Return the spans that may support a claim; for a bare yes or no, the one asked about."""
    asked = evidence.question
    if not is_verdict(claim, evidence):
        return spans
    return [max(spans, key=lambda some: evidence.recall(asked, some.content))]


def _missing_words(matches: Sequence[_Match], evidence: Evidence) -> str:
    """Return the flaw of the best match in words, the rarest missing words first."""
    if not matches:
        return "There is no passage to support it."
    best = matches[0]
    if isinstance(best.flaw, str):
        return best.flaw
    rarest = sorted(best.flaw.words, key=lambda word: (-evidence.weight(word), word))
    words = [best.flaw.text.written.get(word, word) for word in rarest[:_MOST_WORDS_LISTED]]
    listed = ", ".join(f"'{word}'" for word in words)
    instead = (
        _find_same_number(words[0], evidence.text_of(best.passage, best.span)) if words else ""
    )
    end = f"; it says '{instead}'." if instead and len(words) == 1 else "."
    return f"{listed} {'is' if len(words) == 1 else 'are'} not in the passage{end}"


def _find_same_number(value: str, text: str) -> str:
    """Return the value of a text with the same number as another value: €70 instead of £70."""
    number = _NOT_DIGITS.sub("", value)
    return next(
        (
            written
            for written in wording(text).written.values()
            if number and _NOT_DIGITS.sub("", written) == number
        ),
        "",
    )


def _citation(match: _Match, passage: Passage, start: int, end: int) -> Citation:
    return Citation(
        answer_start=start,
        answer_end=end,
        passage=match.passage + 1,
        document_id=passage.document_id,
        start=passage.start + match.span.start,
        end=passage.start + match.span.end,
        score=round(min(match.score, 1.0), 6),
        page=passage.page_at(passage.start + match.span.start),
    )
