"""What the language model is told, and what it replies: prompts, markers, packing.

Training, serving and evaluation share this file. Prompts that show passages come in families
(:class:`Family`), by the kind of model; a reader (``expertrag train reader``) learns from those of
``PLAIN`` as they stand, so that serving it needs no prompt of its own.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from expertrag.api.errors import InvalidArgument
from expertrag.api.markers import split_markers
from expertrag.api.types import Passage
from expertrag.llm.base import Message

ABSTENTION = "The documents do not hold an answer to this question."
"""The text of an answer that is withheld in STRICT mode."""

# Tried with SmolLM2-135M-Instruct on 47 train questions of squad2, HotpotQA and PopQA, 3 passages:
# this form, best passage last, no system turn, the question before and after, "in one short
# sentence". An accepted answer in 32 to 36 % for all five (± 7), so the plainest form is kept.
CLOSED_BOOK = "You are a helpful assistant. Answer the question briefly and directly."
OPEN_BOOK = "You are a helpful assistant. Answer the question briefly, using the passages."
STRICT = (
    "You are a helpful assistant. Answer the question briefly, using nothing but the passages, "
    "in their words."
)

# Tried with SmolLM2-135M-Instruct on 8 passages of two sets, seven forms: this one gave 7 questions
# about the passage's subject. An instruction after the passage gave 5 ("What is the question?"),
# and two examples in earlier turns gave questions about the examples.
QUESTION = (
    "You turn a document into the question that a person types into a search engine to find it. "
    "Reply with the question alone."
)

NEXT_PASSAGE = "\n\n["
"""Where an answer ends at the latest: small models go on with a passage of their own making."""

NOT_FOUND = "Not in the passages."
"""What a reader replies where no passage holds the answer. Hardly an answer begins with its first
token, so that the probability of that token is the reader's doubt."""

ABSTAINS_FROM = 0.5
"""Doubt from which a reader abstains. Below it the answer's own words are drawn, though each of the
first ones may be less probable than abstention: it stands for all answers together."""

INSTRUCTED_FROM = 1_000_000_000
"""Parameters, all experts included, from which a chat model gets the prompts of ``INSTRUCT``."""

_LEAST = 1e-9  # probability whose log odds are still finite in float64


@dataclass(frozen=True, slots=True)
class Doubt:
    """Platt scaling of a reader's doubt: slope and intercept of its log odds (Platt 1999).

    A model that was not trained to abstain is too sure, or too unsure, that no passage holds the
    answer; the order of its doubts tells more than their size. ``strict_from``: calibrated doubt
    from which STRICT withholds an answer, where a wrong one costs more than none.
    """

    slope: float = 1.0
    intercept: float = 0.0
    strict_from: float = ABSTAINS_FROM

    def calibrated(self, probability: float) -> float:
        """Return the probability that no passage holds the answer.

        :param probability: that ``NOT_FOUND`` begins the reply.
        """
        return _probability(self.slope * _log_odds(probability) + self.intercept)

    def raw(self, calibrated: float) -> float:
        """Return the probability that :meth:`calibrated` was given."""
        return _probability((_log_odds(calibrated) - self.intercept) / self.slope)


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, _LEAST), 1.0 - _LEAST)
    return math.log(clipped / (1.0 - clipped))


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))


UNSCALED = Doubt()


@dataclass(frozen=True, slots=True)
class Family:
    """The prompts with passages of one kind of models.

    ``open_book`` and ``strict`` are system turns. ``short`` and ``long``: how the model's own turn
    begins, of a question that asks for something and of one that asks for an explanation
    (:func:`asks_to_explain`); what it goes on with is the answer. ``replies``: whether what models
    of the family say is served as a :class:`Reply` without training: it copies, and its doubt is
    looked at.
    """

    name: str
    open_book: str
    strict: str
    short: str = ""
    long: str = ""
    replies: bool = False
    doubt: Doubt = UNSCALED

    def beginning(self, question: str) -> str:
        """Return how the model's turn begins; empty where it begins it itself."""
        return self.long if asks_to_explain(question) else self.short


PLAIN = Family("plain", OPEN_BOOK, STRICT)
"""Of readers, and of small models without training."""

# Tried with Qwen2.5-Coder-1.5B-Instruct: instructions after the question or in the system turn that
# ask for few words, the number of the passage and "Not in the passages.", in fourteen wordings. Of
# 13 train questions of squad2 with three passages, .69 had an accepted answer in the reply without
# them and .46 to .69 with them; of 14 test questions with five passages, 13 and 7. The model gave
# parts of instructions and of examples for answers, and two words for "How do I ...?". So its
# prompt has none, and its citations come from grounding. What works is to begin its turn for it: of
# 16 dev questions of squad2, five best passages, .88 have an accepted answer in the reply (.25 are
# one and nothing else) without a beginning, 1.00 (.31) after "Answer:", 1.00 (.75) after "Short
# answer:", .94 (.38) after a quotation mark; a second turn that asks for fewer words, .88 (.81).
INSTRUCT = Family(
    "instruct",
    OPEN_BOOK,
    OPEN_BOOK,
    short="Short answer:",
    long="Answer:",
    replies=True,
    doubt=Doubt(slope=0.628, intercept=4.752),
)
"""Of chat models that read well without training. STRICT asks what the other modes ask, so that a
question has one doubt, and its passages are read once; it alone abstains by that doubt, which tells
too little to withhold answers that are asked for in other modes."""

FAMILIES: Mapping[str, Family] = {family.name: family for family in (PLAIN, INSTRUCT)}
"""By name, as :attr:`expertrag.llm.base.Generator.family` has it."""

_EXPLAINS = re.compile(
    r"\W*(how (can|could|do|does|did|should|would|to)\b|why\b|explain|describe|compare)", re.I
)

TokenCounter = Callable[[Sequence[Message]], int]
"""Length of a prompt in tokens, chat template included."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Passages that fit the model's context, best first, and those that were left out."""

    kept: tuple[Passage, ...]
    dropped: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reader replied: the answer without its markers, and the numbers of what it cites."""

    answer: str
    cited: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The reply as the reader writes it: the answer, then a marker for each passage."""
        markers = "".join(f"[{number}]" for number in self.cited)
        return f"{self.answer} {markers}".rstrip()

    @property
    def found(self) -> bool:
        """Whether it is an answer: False where the reader abstains."""
        return not self.answer.startswith(NOT_FOUND.rstrip("."))

    @classmethod
    def of(cls, text: str) -> Reply:
        """Read a reply; markers count at its end alone."""
        text = text.partition(NEXT_PASSAGE)[0].strip()
        return cls(*split_markers(text))


ABSTAINS = Reply(NOT_FOUND)


def closed_book(question: str) -> list[Message]:
    """Return the prompt for an answer from the model alone."""
    return [Message("system", CLOSED_BOOK), Message("user", question)]


def open_book(
    question: str,
    passages: Sequence[Passage],
    *,
    strict: bool = False,
    family: Family = PLAIN,
    begun: bool = True,
) -> list[Message]:
    """Return the prompt for an answer from ``passages``, which are numbered from 1, best first.

    :param begun: whether it ends in the beginning of the model's turn, where the family has one;
        not where the answer is held to a form.
    """
    shown = "\n\n".join(
        _numbered(number, passage) for number, passage in enumerate(passages, start=1)
    )
    turns = [
        Message("system", family.strict if strict else family.open_book),
        Message("user", f"{shown}\n\nQuestion: {question}"),
    ]
    if begun and (beginning := family.beginning(question)):
        turns.append(Message("assistant", beginning))
    return turns


def asks_to_explain(question: str) -> bool:
    """Whether a few words are hardly the answer: how to do something, or why."""
    return _EXPLAINS.match(question) is not None


def question_about(passage: str) -> list[Message]:
    """Return the prompt for a question that ``passage`` answers."""
    return [Message("system", QUESTION), Message("user", f"Document: {passage}\n\nQuestion:")]


def pack(
    question: str,
    passages: Sequence[Passage],
    count: TokenCounter,
    budget_tokens: int,
    family: Family = PLAIN,
) -> Packed:
    """Keep the first passages, whole, as many as fit; stop at the first that does not fit.

    The prompt is counted in its STRICT form, the longer of the two.

    :param passages: best first.
    :raises InvalidArgument: if not even the best passage fits.
    """

    def tokens(shown: Sequence[Passage]) -> int:
        return count(open_book(question, shown, strict=True, family=family))

    empty_tokens = tokens(())
    left_tokens, fitting = budget_tokens - empty_tokens, 0
    for passage in passages:
        left_tokens -= tokens((passage,)) - empty_tokens
        if left_tokens < 0:
            break
        fitting += 1
    # Counts of parts do not quite add up (token merges, longer numbers), so the sum is checked.
    while fitting and tokens(passages[:fitting]) > budget_tokens:
        fitting -= 1
    if passages and not fitting:
        raise InvalidArgument(
            f"question: it and the best passage need more than the {budget_tokens:,} tokens that "
            "the model's context leaves; shorten the question, lower max_tokens, or rebuild the "
            "index with smaller chunks",
            reason="CONTEXT_TOO_SMALL",
            metadata={"field": "question"},
        )
    return Packed(kept=tuple(passages[:fitting]), dropped=tuple(passages[fitting:]))


def _numbered(number: int, passage: Passage) -> str:
    heading = f"[{number}] {passage.title}".rstrip()
    return f"{heading}\n{passage.text}"


def fingerprint(family: Family = PLAIN) -> str:
    """Hash of the prompts and of the form of replies: what is trained with others reads worse."""
    passage = Passage("id", 0, "text", 0, 4, 1.0, title="title")
    shown = [
        open_book("question", [passage], strict=strict, family=family) for strict in (False, True)
    ]
    messages = [*closed_book("question"), *shown[0], *shown[1]]
    if family.long:
        messages.append(Message("assistant", family.long))
    forms = (messages, NEXT_PASSAGE, ABSTAINS.text, Reply("answer", (1, 2)).text)
    return hashlib.sha256(repr(forms).encode()).hexdigest()[:16]
