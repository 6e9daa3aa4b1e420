"""The language model's hidden states after a question, which probes read.

The prompt is the question's closed-book prompt. Its pages stay in the prefix cache, so that the
gate's prefill and an answer from the model alone do not compute it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from expertrag.api.types import Sampling
from expertrag.llm import prompt

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.llm.base import Generator
    from expertrag_index.types import FloatArray

_ONE_TOKEN = Sampling(max_tokens=1)


def read_states(generator: Generator, context: AnswerContext) -> Mapping[str, FloatArray] | None:
    """Return the states of the prompt's last token by name; None of a model that shows none."""
    if context.states is not None:
        return context.states
    context.should_stop()
    session = generator.begin(
        prompt.write_closed_book(context.request.question),
        _ONE_TOKEN,
        context.should_stop,
        generator.make_policy(_ONE_TOKEN, context.route.answers, context.policy.salt),
    )
    with closing(session), context.meter.stage("prefill"):
        signals = session.peek(1)
        context.meter.count_prompt(session)
    return signals.vectors if signals and signals.vectors else None
