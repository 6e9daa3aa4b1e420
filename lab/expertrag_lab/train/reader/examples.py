"""Reading examples: a question, passages with or without its answer, and the reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from expertrag.llm import prompt
from expertrag.llm.base import Message
from expertrag_retriever.types import Passage


@dataclass(frozen=True, slots=True)
class ReaderExample:
    """A question to train on or to ask.

    ``accepted``: short answers, any of which is right; empty if the passages hold none or the data
    set has no short answers. ``strict``: use the STRICT form of the prompt.
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
    """Questions held out from training, each with its gold passage alone and among distractors.

    ``unanswerable``: questions that the data set marks as unanswerable, with the tempting passage.
    """

    alone: tuple[ReaderExample, ...] = ()
    among: tuple[ReaderExample, ...] = ()
    unanswerable: tuple[ReaderExample, ...] = ()


@dataclass(frozen=True, slots=True)
class ReaderMaterial:
    """Train examples and dev questions of a data set; ``dropped`` counts the rest by reason.

    ``sha256`` covers the questions and judgements of the train split. ``licence`` is given by the
    user.
    """

    name: str
    domain: str
    sha256: str
    examples: tuple[ReaderExample, ...]
    dev: DevQuestions
    licence: str = "not stated"
    dropped: Mapping[str, int] = field(default_factory=dict)


def number_passages(passages: Sequence[Passage], evidence: Sequence[Passage]) -> tuple[int, ...]:
    """Numbers of the evidence passages in the prompt."""
    return tuple(number for number, item in enumerate(passages, 1) if item in evidence)
