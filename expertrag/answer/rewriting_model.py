"""Write a follow-up as a question that stands alone, by the language model that answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from expertrag.llm import prompt, standalone
from expertrag.llm.base import Generator, Message, ShouldStop
from expertrag.runtime.meter import Meter

Write = Callable[[Sequence[Message]], str]
"""Continues a prompt of :func:`expertrag.llm.standalone.standalone_question`."""


def writer(
    generator: Generator, meter: Meter, should_stop: ShouldStop, salt: str = ""
) -> Write | None:
    """Return what continues a prompt by a model; None if the model is too small to rewrite.

    :param meter: counts the cost of a continuation.
    :param salt: the caller's; see :meth:`Generator.make_policy`.
    """
    if generator.family != prompt.INSTRUCT.name:
        return None

    def write(messages: Sequence[Message]) -> str:
        policy = generator.make_policy(standalone.SAMPLING, salt=salt)
        begun = generator.begin(messages, standalone.SAMPLING, should_stop, policy)
        with closing(begun) as session:
            text = "".join(session.stream())
            meter.count(session)
        return text.strip()

    return write
