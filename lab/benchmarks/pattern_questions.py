"""Questions of ``bench_patterns.py``, and answers and losses of an engine with expert patterns."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from surgery_texts import Traffic

from expertrag.llm.base import never_stop
from expertrag.llm.engine.sequences import PrefillOutput, SampledToken, SequenceState
from expertrag.llm.sampling import Sampler
from expertrag.llm.sequence_policy import SequencePolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from expertrag.llm.engine.engine import Engine
    from expertrag.llm.expert_pattern import ExpertPattern

MOST_TOKENS = 48  # of an answer
_TEXT_PROMPT = 128  # tokens of a text that are the question; the rest is the right answer


@dataclass(frozen=True, slots=True)
class PatternQuestion:
    """A question of a domain and its right answer, as tokens."""

    domain: str
    prompt: tuple[int, ...]
    right: tuple[int, ...]


def questions_of(held: Mapping[str, Traffic]) -> list[PatternQuestion]:
    """Return the questions of test traffic, the same number of each domain."""
    count = min(len(item.tokens) for item in held.values())
    found = []
    for domain, item in held.items():
        for tokens, reply in list(zip(item.tokens, item.replies, strict=True))[:count]:
            at = len(tokens) - reply if reply else _TEXT_PROMPT
            found.append(PatternQuestion(domain, tokens[:at], tokens[at:]))
    return found


def in_order(questions: Sequence[PatternQuestion], stay: int) -> list[PatternQuestion]:
    """Return the questions as a stream: ``stay`` of a domain, and then another domain's."""
    rng = random.Random(0)
    runs: list[list[PatternQuestion]] = []
    for domain in dict.fromkeys(item.domain for item in questions):
        own = [item for item in questions if item.domain == domain]
        runs += [own[start : start + stay] for start in range(0, len(own), stay)]
    rng.shuffle(runs)
    return [item for run in runs for item in run]


def answered(
    engine: Engine, question: PatternQuestion, pattern: ExpertPattern | None, ends: frozenset[int]
) -> list[int]:
    """Answer a question greedily; return the tokens."""
    sampler = Sampler(0.0, 0, torch.device("cpu"))
    sequence = SequenceState(
        list(question.prompt),
        sampler,
        ends,
        SequencePolicy(pattern=pattern),
        token_budget=MOST_TOKENS,
    )
    found: list[int] = []
    with _submitted(engine, sequence):
        while len(found) < MOST_TOKENS:
            output = engine.next_output(sequence, never_stop)
            assert isinstance(output, SampledToken), "nothing else was asked for"
            found.append(output.token)
            if output.last:
                break
    return found


class RightAnswer(NamedTuple):
    """The loss of a right answer, nats summed over tokens; the likeliest token in place of each."""

    loss: float
    likeliest: torch.Tensor


def read(engine: Engine, question: PatternQuestion, pattern: ExpertPattern | None) -> RightAnswer:
    """Read a question with its right answer."""
    sequence = SequenceState([], policy=SequencePolicy(pattern=pattern))
    right = torch.tensor(question.right)
    with _submitted(engine, sequence):
        tokens = [*question.prompt, *question.right]
        engine.prefill(sequence, tokens, len(right) + 1, return_states=False)
        output = engine.next_output(sequence, never_stop)
        assert isinstance(output, PrefillOutput), "prefill returns one"
        logits = output.logits[:-1]
    lost = torch.nn.functional.cross_entropy(logits, right, reduction="sum")
    return RightAnswer(float(lost), logits.argmax(-1))


@contextmanager
def _submitted(engine: Engine, sequence: SequenceState) -> Iterator[None]:
    engine.submit(sequence)
    try:
        yield
    finally:
        engine.close(sequence)
