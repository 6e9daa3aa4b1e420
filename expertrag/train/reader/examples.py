"""Reading examples: a question, passages among which its answer stands or does not, the reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from expertrag.llm import prompt
from expertrag.llm.base import Message
from expertrag_retriever.types import Passage


@dataclass(frozen=True, slots=True)
class Example:
    """What a reader learns from, or is asked.

    ``accepted``: answers any one of which is right; empty where the passages hold none, and where
    the set has no short answers. ``strict``: asked in the STRICT form of the prompt.
    """

    source: str
    domain: str
    question: str
    passages: tuple[Passage, ...]
    reply: prompt.Reply
    accepted: tuple[str, ...] = ()
    strict: bool = False

    @property
    def messages(self) -> list[Message]:
        """The prompt, as it is served."""
        return prompt.open_book(self.question, self.passages, strict=self.strict)


@dataclass(frozen=True, slots=True)
class DevQuestions:
    """Questions kept from training, each with its gold passage alone and among distractors.

    ``unanswerable``: questions that the data set marks as such, with the tempting passage.
    """

    alone: tuple[Example, ...] = ()
    among: tuple[Example, ...] = ()
    unanswerable: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """What a data set gives: examples to train on, dev questions, and what was left out, by reason.

    ``sha256``: of the questions and judgements of the train split. ``licence``: as the user says.
    """

    name: str
    domain: str
    sha256: str
    examples: tuple[Example, ...]
    dev: DevQuestions
    licence: str = "not stated"
    dropped: Mapping[str, int] = field(default_factory=dict)


def numbered(passages: Sequence[Passage], evidence: Sequence[Passage]) -> tuple[int, ...]:
    """Numbers that the prompt gives to those passages that are evidence."""
    return tuple(number for number, item in enumerate(passages, 1) if item in evidence)
