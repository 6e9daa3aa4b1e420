"""Answers to questions about invented records, and the model's states when it verifies each.

The answers are the model's own, both verdicts of a yes-or-no question, and values of other cells.
Rows are kept, so an interrupted run can be resumed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import results_file
from invented_records import RecordQuestion, questions
from office_questions import VERDICTS, first, words

from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.reply import reply_sampling
from expertrag.api.types import Sampling
from expertrag.llm import prompt
from expertrag.llm.base import Generator, Message
from expertrag.llm.probe import STATES
from expertrag_index.types import FloatArray, Progress
from expertrag_lab.data.resume import appending, read_results
from expertrag_lab.eval.manifest import inputs_id

GROUPS, SEED = 140, 0
_ONE = Sampling(max_tokens=1)
_ANSWER = Sampling(max_tokens=24)
_DIGITS = 4  # significant digits of a kept state


@dataclass(frozen=True, slots=True)
class Verified:
    """An answer: whether it is right, and the state [2 D] with which the model verifies it."""

    right: bool
    state: Sequence[float]


def verified(generator: Generator, work: Path, report: Progress) -> list[Verified]:
    """Answer the questions about records, and ask about each answer; kept rows are reused."""
    inputs = {
        "model": generator.fingerprint,
        "prompts": prompt.verification_fingerprint(prompt.FAMILIES[generator.family]),
        "probe": ReadingPolicy.of(generator).probe,
        "code": [results_file.code_hash(f"lab/benchmarks/{name}.py") for name in _CODE],
    }
    path = work / f"records-{inputs_id(inputs)}.jsonl"
    every = list(questions(GROUPS, SEED))
    with appending(path) as file:
        known = read_results(
            path, lambda item: (item["key"], [Verified(**r) for r in item["rows"]])
        )
        for done, asked in enumerate(every, start=1):
            key = f"{asked.group}/{asked.question}"
            if key in known:
                continue
            rows = known[key] = list(_rows(generator, asked))
            file.write(json.dumps({"key": key, "rows": list(map(asdict, rows))}) + "\n")
            file.flush()
            report("answers, records", done, len(every))
    return [row for rows in known.values() for row in rows]


_CODE = ("invented_records", "verification_rows")


def _rows(generator: Generator, asked: RecordQuestion) -> Iterator[Verified]:
    family = prompt.FAMILIES[generator.family]
    messages = prompt.open_book(asked.question, asked.passages, family=family)
    for answer in _answers(generator, messages, asked):
        yield Verified(is_right(answer, asked), state_of(generator, messages, answer))


def _answers(
    generator: Generator, messages: Sequence[Message], asked: RecordQuestion
) -> Iterator[str]:
    """Yield the model's answer, unless it abstains, and others."""
    sampling = reply_sampling(_ANSWER, reader=ReadingPolicy.of(generator).reader)
    with closing(generator.begin(messages, sampling, from_passages=True)) as session:
        doubt = session.look()
        if doubt is not None and doubt < prompt.ABSTAINS_FROM:
            yield prompt.Reply.of("".join(session.stream())).answer
    if asked.right and asked.right[0] in VERDICTS:
        yield from (f"{verdict.capitalize()}." for verdict in VERDICTS)
    elif asked.right:
        # as probable as the right one
        yield random.Random(asked.question).choice(sorted(_alike(asked.wrong, asked.right[0])))


def _alike(values: Sequence[str], right: str) -> Sequence[str]:
    """Return the values of the right one's form, such as other prices; all if there are none."""
    return [value for value in values if _form(value) == _form(right)] or values


def _form(value: str) -> Sequence[str]:
    """Return the words of a value, any number as "9" and any name as "a"."""
    said = words(value)
    amount = any(word[0].isdigit() for word in said)
    return ["9" if word[0].isdigit() else word if amount else "a" for word in said]


def is_right(answer: str, asked: RecordQuestion) -> bool:
    """Return whether an answer has the right value, or verdict, before any wrong one."""
    if not asked.right:
        return False
    verdict = [word for word in words(answer)[:1] if word in VERDICTS]
    if asked.right[0] in VERDICTS:
        return verdict == list(asked.right)
    right, wrong = first(answer, asked.right), first(answer, asked.wrong)
    # a wrong value may be the beginning of the right one: "14" and "14 March"
    return right is not None and (wrong is None or right <= wrong)


def state_of(generator: Generator, messages: Sequence[Message], answer: str) -> list[float]:
    """Return the model's hidden states when it is asked whether an answer is right."""
    with closing(generator.begin(prompt.verification(messages, answer), _ONE)) as session:
        signals = session.peek(1)
    assert signals is not None, "the model runs in this process"
    return rounded(signals.vectors)


def rounded(vectors: Mapping[str, FloatArray]) -> list[float]:
    """Return the states that a probe reads, with few digits."""
    state = np.concatenate([vectors[name] for name in STATES])
    return [float(f"{value:.{_DIGITS}g}") for value in state.tolist()]
