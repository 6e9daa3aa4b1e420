"""Contrastive decoding: the rows of a sequence, and of the weak side that follows it.

Both sides are prefilled first, the strong one before the weak one. Then each step has the last
token of both, with the same draft tokens.
"""

from __future__ import annotations

from expertrag.llm.engine import decode, prefill
from expertrag.llm.engine.sequences import SequenceState, WeakSequence
from expertrag.llm.engine.step import NextStep, Scheduled


def schedule(step: NextStep, strong: SequenceState, weak: WeakSequence) -> list[Scheduled]:
    """Schedule rows of one side while its prompt is not computed, else rows of both."""
    if not strong.pages:
        step.tables.find_prefix(strong)
    end = len(strong.tokens) - strong.tail
    if strong.computed < end:
        return _prefill(step, strong, end, strong)
    if not weak.pages and not _open(step, strong, weak):
        return []
    end = len(weak.tokens) - 1
    if weak.computed < end:
        return _prefill(step, weak, end, strong)
    return _decode(step, strong, weak)


def _open(step: NextStep, strong: SequenceState, weak: WeakSequence) -> bool:
    """Find a weak side's first pages, or share the pages of its prompt; False if none is free."""
    if weak.shared_tokens:
        return step.share_prompt(strong, weak)
    step.tables.find_prefix(weak)
    return True


def _prefill(
    step: NextStep, side: SequenceState, end: int, strong: SequenceState
) -> list[Scheduled]:
    step.tables.release_passed(side)
    stop = min(end, side.computed + step.rows_left)
    return prefill.schedule_up_to(step, side, stop, strong)


def _decode(step: NextStep, strong: SequenceState, weak: WeakSequence) -> list[Scheduled]:
    """Schedule the last rows of both sides, or of none."""
    room = step.rows_left - strong.tail - 1
    if room < 0:
        return []
    step.tables.release_passed(weak)
    step.tables.open(strong)
    parts = decode.schedule(step, strong, strong.tail + min(step.draft_limit, room // 2))
    start, end = weak.computed, len(weak.tokens)
    drafts = [token for part in parts for token in part.drafts]
    if not parts or not step.reserve(weak, end + len(drafts)):
        return []
    return [Scheduled(weak, start, end, drafts, strong), *parts]
