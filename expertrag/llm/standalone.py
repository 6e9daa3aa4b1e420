"""The prompt by which a language model writes a follow-up as a question that stands alone.

Tried with Qwen2.5-Coder-1.5B-Instruct on half of lab/benchmarks/follow_ups.jsonl. With a message
that stands alone as the last example, it left .32 of the follow-ups as they were; as the first one,
.18. An example with two earlier questions, and the last question as the rules read it, changed
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from expertrag.api.types import Sampling
from expertrag.llm.base import Message

SAMPLING = Sampling(max_tokens=40, frequency_penalty=0.0, stop=("\n",))

MOST_EXCHANGES = 2
"""Questions with their answers that the model sees, the latest."""

_ANSWER_CHARACTERS = 200
_SYSTEM = (
    "You write the last message of a conversation as a question that can be understood without "
    "the conversation. Keep its words, replace pronouns, and name what it is about. Only a message "
    "about something else stays as it is."
)
_BEGINNING = "Standalone question:"
_EXAMPLES = (
    (
        "What does a nurse earn?",
        "About $60,000 a year.",
        "Who invented the radio?",
        "Who invented the radio?",
    ),
    (
        "Which trains go to Ghent?",
        "The S4, the IC 12 and the night train.",
        "And how often does the second one run?",
        "How often does the IC 12 run?",
    ),
    (
        "How long is the guarantee of the Arto sofa in Belgium?",
        "5 years.",
        "What about the Brix chair?",
        "How long is the guarantee of the Brix chair in Belgium?",
    ),
    (
        "Who directed Jaws?",
        "Steven Spielberg",
        "Is he still alive?",
        "Is Steven Spielberg still alive?",
    ),
    (
        "What do the rooms Ada and Grace cost?",
        "Ada costs $40 and Grace $60 an hour.",
        "Which is larger?",
        "Which room is larger, Ada or Grace?",
    ),
    (
        "How do I renew a library card?",
        "Fill in the form at the desk.",
        "Who signs it?",
        "Who signs the form to renew a library card?",
    ),
    (
        "When was the bridge in Mostar built?",
        "In 1566.",
        "No, I meant the one in Split.",
        "When was the bridge in Split built?",
    ),
    (
        "How is LASIK done?",
        "With a laser.",
        "What are the risks?",
        "What are the risks of LASIK?",
    ),
    (
        "How much did the choir earn in 2021?",
        "$900.",
        "And the year after?",
        "How much did the choir earn in the year after 2021?",
    ),
    (
        "How high is the deposit for a kayak?",
        "$50.",
        "Is there a discount?",
        "Is there a discount on the deposit for a kayak?",
    ),
)


def standalone_question(message: str, exchanges: Sequence[tuple[str, str]]) -> list[Message]:
    """Return the prompt whose continuation is the message as a question that stands alone.

    The examples come first, so that prefix caching computes them once.

    :param exchanges: questions of the conversation with their answers, oldest first.
    """
    messages = [Message("system", _SYSTEM)]
    for question, answer, follow_up, meant in _EXAMPLES:
        messages += [
            Message("user", _show(follow_up, [(question, answer)])),
            Message("assistant", f"{_BEGINNING} {meant}"),
        ]
    shown = _show(message, exchanges[-MOST_EXCHANGES:])
    return [*messages, Message("user", shown), Message("assistant", _BEGINNING)]


def _show(message: str, exchanges: Sequence[tuple[str, str]]) -> str:
    lines = [
        line
        for question, answer in exchanges
        for line in (f"User: {question}", f"Assistant: {answer[:_ANSWER_CHARACTERS]}")
    ]
    return "\n".join([*lines, f"User: {message}"])
