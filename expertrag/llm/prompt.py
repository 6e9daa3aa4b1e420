"""Prompts of the language model, the form of its replies, and the packing of passages.

Training, serving and evaluation share this file. Prompts with passages come in families
(:class:`Family`), by the kind of model. A reader (``expertrag train reader``) is trained on the
unchanged prompts of ``PLAIN``, so it needs no prompt of its own when served.
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
from expertrag.llm import quoting
from expertrag.llm.base import Message
from expertrag.llm.beginnings import beginning_of
from expertrag.llm.provenance import provenance

# Tried with SmolLM2-135M-Instruct on 47 train questions of squad2, HotpotQA and PopQA, 3 passages:
# this form, best passage last, no system turn, the question before and after, "in one short
# sentence". All five gave an accepted answer in 32 to 36 % (± 7), so the plainest form is kept.
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
"""Stop string of every answer: small models go on by inventing another passage."""

NOT_FOUND = "Not in the passages."
"""A reader's reply when no passage holds the answer. Hardly any answer begins with its first token,
so the probability of that token is the reader's doubt."""

ABSTAINS_FROM = 0.5
"""Doubt threshold at which a reader abstains. Below it, an answer is sampled, though each first
token may be less probable than abstention: the threshold weighs abstention against all answers
together."""

INSTRUCTED_FROM = 1_000_000_000
"""Chat models with at least this many parameters, all experts included, get the prompts of
``INSTRUCT``."""

# Tried with a probe of the hidden states on 230 answers to the choose half of
# lab/benchmarks/office, ten folds, AUROC of right against wrong: this question .89; "Do the
# passages say so, about exactly what was asked?" .85; the end of the answer without a question .83;
# the average of its tokens .84. The odds of " Yes" against " No" as the reply to this question:
# .71.
VERIFICATION = "Is this answer right, according to the passages? Reply with yes or no."
_VERDICT = "Reply:"

# Ten questions over passages with a former value, the answer being that: after this question, the
# answer is right for 10; after 'No, that is the former value. The passage says: "…" Answer again.'
# for 8; after 'The passage says: "…" So what is right?' for 4.
_CORRECTION = 'That value is no longer right: "{}" What is the answer now?'
ADDED_TOKENS = 544
"""Upper bound of the tokens that the turns of a verification or correction add to a prompt, without
the answer. It is 64, and four for each of the 120 characters of a sentence."""

_LEAST = 1e-9  # probability whose log odds are still finite in float64


@dataclass(frozen=True, slots=True)
class Doubt:
    """Platt scaling of a reader's doubt: slope and intercept of its log odds (Platt 1999).

    A model that was not trained to abstain is too sure, or too unsure, that no passage holds the
    answer. The order of its doubts is more reliable than their values. ``strict_from``: calibrated
    doubt at which STRICT withholds an answer, as a wrong answer costs more there than none.
    """

    slope: float = 1.0
    intercept: float = 0.0
    strict_from: float = ABSTAINS_FROM

    def calibrate(self, probability: float) -> float:
        """Return the probability that no passage holds the answer.

        :param probability: that the reply begins with ``NOT_FOUND``.
        """
        return _probability(self.slope * _log_odds(probability) + self.intercept)

    def raw(self, calibrated: float) -> float:
        """Invert :meth:`calibrate`."""
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

    ``open_book`` and ``strict`` are system turns. ``short`` and ``long`` begin the model's own
    turn, for a question that asks for a few words and for one that wants an explanation
    (:func:`asks_to_explain`). ``sentence`` is for one that needs several passages. The model's
    continuation is the answer. ``replies``: whether answers
    are served as a :class:`Reply` without training: the models copy from the passages, and their
    doubt is used.
    """

    name: str
    open_book: str
    strict: str
    short: str = ""
    long: str = ""
    sentence: str = ""
    replies: bool = False
    doubt: Doubt = UNSCALED

    def beginning(self, question: str) -> str:
        """Return the beginning of the model's turn, in the question's language if it is known.

        Empty if the model begins its turn itself.
        """
        if self.short and (own := beginning_of(question)):
            return own
        return self.long if asks_to_explain(question) else self.short


PLAIN = Family("plain", OPEN_BOOK, STRICT)
"""For readers, and for small models without training."""

# Of 60 train questions of hotpotqa with the passages of two searches, .45 of the replies after
# "Short answer:" have an accepted answer, .55 after "According to the passages,". Of 36 of them, it
# is .47, .56, and .61 after the beginning ``sentence``. Facts or steps first: .42 of 24, as "Short
# answer:".
# Tried with Qwen2.5-Coder-1.5B-Instruct: instructions after the question or in the system turn that
# ask for few words, the number of the passage and "Not in the passages.", in fourteen wordings. Of
# 13 train questions of squad2 with three passages, .69 had an accepted answer in the reply without
# instructions and .46 to .69 with them; of 14 test questions with five passages, 13 and 7. The
# model answered with parts of instructions and examples, and with two words to "How do I ...?". So
# its prompt has no instructions, and grounding adds citations. What works is to begin its turn: of
# 16 dev questions of squad2, five best passages, .88 have an accepted answer in the reply (.25 are
# one and nothing else) without a beginning, 1.00 (.31) after "Answer:", 1.00 (.75) after "Short
# answer:", .94 (.38) after a quotation mark; a second turn that asks for fewer words, .88 (.81).
INSTRUCT = Family(
    "instruct",
    OPEN_BOOK,
    OPEN_BOOK,
    short="Short answer:",
    long="Answer:",
    sentence="Answer in one sentence, with full names:",
    replies=True,
    doubt=Doubt(slope=0.628, intercept=4.752),
)
"""For chat models that read well without training. STRICT uses the prompt of the other modes, so a
question has one doubt and its passages are prefilled once. Only STRICT abstains by that doubt: it
is too weak to withhold answers in other modes."""

FAMILIES: Mapping[str, Family] = {family.name: family for family in (PLAIN, INSTRUCT)}
"""By name; see :attr:`expertrag.llm.base.Generator.family`."""

_EXPLAINS = re.compile(
    r"\W*(how (can|could|do|does|did|should|would|to)\b|why\b|explain|describe|compare)", re.I
)

TokenCounter = Callable[[Sequence[Message]], int]
"""Length of a prompt in tokens, chat template included."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Passages that fit into the model's context, best first, and those that were dropped."""

    kept: tuple[Passage, ...]
    dropped: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reader's reply: the answer without its markers, and the numbers of the cited passages."""

    answer: str
    cited: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The reply as the reader writes it: the answer, then a marker for each cited passage."""
        markers = "".join(f"[{number}]" for number in self.cited)
        return f"{self.answer} {markers}".rstrip()

    @property
    def has_answer(self) -> bool:
        """Whether it is an answer; False if the reader abstains."""
        return not self.answer.startswith(NOT_FOUND.rstrip("."))

    @classmethod
    def of(cls, text: str) -> Reply:
        """Parse a reply; only markers at its end count."""
        text = text.partition(NEXT_PASSAGE)[0].strip()
        return cls(*split_markers(text))


ABSTAINS = Reply(NOT_FOUND)


def write_closed_book(question: str, instructions: str = "") -> list[Message]:
    """Return the prompt for an answer from the model alone.

    :param instructions: of the caller, added to the system turn.
    """
    return [_system(CLOSED_BOOK, instructions), Message("user", question)]


def open_book(
    question: str,
    passages: Sequence[Passage],
    *,
    strict: bool = False,
    family: Family = PLAIN,
    begun: bool = True,
    instructions: str = "",
    sentence: bool = False,
) -> list[Message]:
    """Return the prompt for an answer from ``passages``, which are numbered from 1, best first.

    Without passages, it is the same prompt with the question alone, for contrastive decoding.

    :param begun: whether it ends with the beginning of the model's turn, if the family has one;
        False for an answer with a constraint.
    :param instructions: of the caller, added to the system turn.
    :param sentence: whether to answer in a sentence, because the question needs several passages.
    """
    shown = [_number(number, passage) for number, passage in enumerate(passages, start=1)]
    turns = [
        _system(family.strict if strict else family.open_book, instructions),
        Message("user", "\n\n".join([*shown, f"Question: {question}"])),
    ]
    beginning = (family.sentence if sentence else "") or family.beginning(question)
    if begun and beginning:
        turns.append(Message("assistant", beginning))
    return turns


def verification(messages: Sequence[Message], answer: str) -> list[Message]:
    """Return the prompt that asks whether an answer is right.

    :param messages: the prompt of the answer.
    """
    asked = Message("user", VERIFICATION), Message("assistant", _VERDICT)
    return [*_with_answer(messages, answer), *asked]


def correction(messages: Sequence[Message], answer: str, sentence: str) -> list[Message]:
    """Return the prompt that asks again after a former value.

    :param messages: the prompt of the answer, which ends with the beginning of the model's turn, if
        its family has one.
    :param sentence: the sentence of a passage that calls the value former.
    """
    asked = Message("user", _CORRECTION.format(quoting.passage_text(sentence)))
    begun = [turn for turn in messages[-1:] if turn.role == "assistant"]
    return [*_with_answer(messages, answer), asked, *begun]


def _with_answer(messages: Sequence[Message], answer: str) -> list[Message]:
    """Return a prompt with its answer as the model's turn."""
    turns = list(messages)
    begun = f"{turns.pop().content} " if turns[-1].role == "assistant" else ""
    return [*turns, Message("assistant", f"{begun}{answer}")]


def asks_to_explain(question: str) -> bool:
    """Whether a question asks for an explanation (how to do something, or why), not a few words."""
    return _EXPLAINS.match(question) is not None


def question_about(passage: str) -> list[Message]:
    """Return the prompt for a question that ``passage`` answers."""
    shown = quoting.passage_text(passage)
    return [Message("system", QUESTION), Message("user", f"Document: {shown}\n\nQuestion:")]


def pack(
    question: str,
    passages: Sequence[Passage],
    count: TokenCounter,
    budget_tokens: int,
    family: Family = PLAIN,
    instructions: str = "",
) -> Packed:
    """Keep as many whole passages as fit, in order; stop at the first that does not fit.

    The prompt is counted in its STRICT form, the longer of the two.

    :param passages: best first.
    :raises InvalidArgument: if not even the best passage fits.
    """

    def tokens(shown: Sequence[Passage]) -> int:
        prompt = open_book(question, shown, strict=True, family=family, instructions=instructions)
        return count(prompt)

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
            f"question: with the best passage, it needs more than the {budget_tokens:,} tokens "
            "left in the model's context; shorten the question or the instructions, lower "
            "max_tokens, or rebuild the index with smaller chunks",
            reason="CONTEXT_TOO_SMALL",
            metadata={"field": "question"},
        )
    return Packed(kept=tuple(passages[:fitting]), dropped=tuple(passages[fitting:]))


def _system(text: str, instructions: str) -> Message:
    return Message("system", f"{text}\n\n{instructions}" if instructions else text)


def _number(number: int, passage: Passage) -> str:
    title = quoting.passage_title(passage.title)
    origin = quoting.passage_title(provenance(passage))
    heading = " ".join(filter(None, (f"[{number}]", title, origin and f"({origin})")))
    return f"{heading}\n{quoting.passage_text(passage.text)}"


def fingerprint(family: Family = PLAIN) -> str:
    """Hash the prompts and the form of replies: a model trained with others reads worse.

    The origin of a passage is left out: the passages of data sets have none.
    """
    passage = Passage("id", 0, "text", 0, 4, 1.0, title="title")
    shown = [
        open_book("question", [passage], strict=strict, family=family) for strict in (False, True)
    ]
    messages = [*write_closed_book("question"), *shown[0], *shown[1]]
    if family.long:
        messages.append(Message("assistant", family.long))
    forms = (messages, NEXT_PASSAGE, ABSTAINS.text, Reply("answer", (1, 2)).text)
    return hashlib.sha256(repr(forms).encode()).hexdigest()[:16]


def verification_fingerprint(family: Family) -> str:
    """Hash the prompts with passages and the question about an answer."""
    asked = verification([Message("assistant", family.short)], "answer")
    return hashlib.sha256(repr((fingerprint(family), asked)).encode()).hexdigest()[:16]


def fingerprint_closed_book() -> str:
    """Hash the closed-book prompt: a probe of its states fits no other prompt."""
    return hashlib.sha256(repr(write_closed_book("question")).encode()).hexdigest()[:16]
