"""Rewrite a follow-up by a language model from four examples, to compare with the rules."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from expertrag.api.turns import Turn
from expertrag.api.types import Sampling
from expertrag.llm.base import Generator, Message

_SYSTEM = (
    "You rewrite the last question of a conversation so that it stands alone. Keep its words. "
    "Replace pronouns and add what is left out. If it stands alone, repeat it."
)
_EXAMPLES = (
    (
        "Who directed Jaws?",
        "Steven Spielberg",
        "When was he born?",
        "When was Steven Spielberg born?",
    ),
    ("What is LASIK?", "An eye surgery.", "What are the risks?", "What are the risks of LASIK?"),
    (
        "In what year was Normandy founded?",
        "911",
        "What about Brittany?",
        "In what year was Brittany founded?",
    ),
    (
        "What does a nurse earn?",
        "About 60,000 dollars a year.",
        "Who invented the radio?",
        "Who invented the radio?",
    ),
)
_SAMPLING = Sampling(max_tokens=48, frequency_penalty=0.0, stop=("\n",))
_ANSWER_CHARACTERS = 200


class RewritingModel:
    """Rewrites with a language model; keeps the seconds of each call."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.seconds: list[float] = []

    def rewrite(self, message: str, history: Sequence[Turn]) -> str:
        """Return the message so that it stands alone; as it is if the model writes nothing."""
        messages = [Message("system", _SYSTEM)]
        for asked, said, follow_up, alone in _EXAMPLES:
            shown = _shown(follow_up, (Turn.user(asked), Turn.assistant(said)))
            messages += [Message("user", shown), Message("assistant", alone)]
        messages.append(Message("user", _shown(message, history)))
        began = time.perf_counter()
        with closing(self._generator.begin(messages, _SAMPLING)) as session:
            text = "".join(session.stream()).strip()
        self.seconds.append(time.perf_counter() - began)
        return text or message


def _shown(message: str, history: Sequence[Turn]) -> str:
    lines = [f"{turn.role.capitalize()}: {turn.text[:_ANSWER_CHARACTERS]}" for turn in history]
    return "\n".join(
        [
            "Conversation:",
            *lines,
            f"User: {message}",
            "",
            "Rewrite the last question so that it can be understood without the conversation.",
        ]
    )
