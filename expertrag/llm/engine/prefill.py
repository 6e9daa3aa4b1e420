"""Chunked prefill: a step computes as many tokens of a prompt as it has rows left."""

from __future__ import annotations

from expertrag.llm.engine.sequences import SequenceState
from expertrag.llm.engine.step import NextStep, Scheduled


def schedule(step: NextStep, sequence: SequenceState) -> list[Scheduled]:
    """Schedule the next chunk of a prompt; its last rows run together, or not yet."""
    end = len(sequence.tokens)
    stop = min(end, sequence.computed + step.rows_left)
    if stop < end and end - stop < sequence.tail:
        stop = end - sequence.tail
    return schedule_up_to(step, sequence, stop, sequence) if stop > sequence.computed else []


def schedule_up_to(
    step: NextStep, sequence: SequenceState, stop: int, owner: SequenceState
) -> list[Scheduled]:
    """Schedule the tokens before ``stop``; none if no page is free."""
    if not step.reserve(sequence, stop):
        return []
    return [Scheduled(sequence, sequence.computed, stop, [], owner)]
