"""Write follow-ups by a language model, as a server does, and keep the seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence

from expertrag.answer.follow_up import writer
from expertrag.llm.base import Generator, Message, never_stop
from expertrag.runtime.meter import Meter


class RewritingModel:
    """Writes with a language model; keeps the seconds of each call."""

    def __init__(self, generator: Generator) -> None:
        """Take the model.

        :raises SystemExit: it is too small to rewrite.
        """
        write = writer(generator, Meter(), never_stop)
        if write is None:
            raise SystemExit(f"{generator.name} does not rewrite; set EXPERTRAG_MODEL_GENERATOR")
        self._write = write
        self.seconds: list[float] = []

    def write(self, messages: Sequence[Message]) -> str:
        """Continue a prompt."""
        began = time.perf_counter()
        text = self._write(messages)
        self.seconds.append(time.perf_counter() - began)
        return text
