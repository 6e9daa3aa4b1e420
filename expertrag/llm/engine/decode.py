"""Decode: a step computes the last tokens of a sequence, and draft tokens after them."""

from __future__ import annotations

from expertrag.llm.engine.sequences import SequenceState
from expertrag.llm.engine.step import NextStep, Scheduled


def schedule(step: NextStep, sequence: SequenceState, limit: int) -> list[Scheduled]:
    """Schedule all tokens that are left to compute, in at most ``limit`` rows with the drafts.

    Draft tokens follow a single token, of a sequence that samples. Nothing is scheduled if no page
    is free.
    """
    start, end = sequence.computed, len(sequence.tokens)
    if start == end:
        return []
    drafts: list[int] = []
    if end - start == 1 and not sequence.logit_rows:
        drafts = sequence.draft(min(step.draft_limit, limit - 1))
    if not step.reserve(sequence, end + len(drafts)):
        return []
    return [Scheduled(sequence, start, end, drafts, sequence)]
