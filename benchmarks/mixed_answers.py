"""Answers of a language model over the mixed store, cached on disk.

WORK/mixed/answers/MODEL-HASH.jsonl    by question and mode; an interrupted run can be resumed

HASH covers what answers in forced modes depend on: models, store, code, number of passages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixed_store import Asked

from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateMode, Sampling
from expertrag.data.resume import appending, read_results
from expertrag.data.types import JSON
from expertrag.eval.manifest import inputs_id
from expertrag.train.reader.answers import holding
from expertrag_index.types import Progress

TOKENS, PASSAGES = 25, 5


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it was served.

    ``shown``: whether one of its passages contains an accepted answer; ``seconds``: all stages.
    """

    text: str
    abstained: bool
    support: float | None
    p_sufficient: float | None
    shown: bool
    seconds: float


class Speaker:
    """A pipeline with the settings used here: greedy, five passages, few tokens."""

    def __init__(
        self, pipeline: Pipeline, inputs: Mapping[str, JSON], name: str, work: Path
    ) -> None:
        self._pipeline = pipeline
        self._name = name
        self.inputs: dict[str, JSON] = {**inputs, "tokens": TOKENS, "k": PASSAGES}
        self._path = work / "answers" / f"{name}-{inputs_id(self.inputs)}.jsonl"

    def ask(
        self, asked: Sequence[Asked], modes: Sequence[GateMode], report: Progress
    ) -> dict[GateMode, list[Said]]:
        """Answer questions, each in all modes; cached answers are reused.

        A later mode finds prefixes that an earlier one has cached, so its seconds are not usable.
        """
        with appending(self._path) as file:
            known = read_results(self._path, _parsed)
            wanted = [(item, mode) for item in asked for mode in modes]
            missing = [pair for pair in wanted if _key(*pair) not in known]
            for done, (item, mode) in enumerate(missing, start=1):
                said = known[_key(item, mode)] = self._ask(item, mode)
                file.write(json.dumps({"key": _key(item, mode), **asdict(said)}) + "\n")
                file.flush()
                report(self._name, done, len(missing))
        return {mode: [known[_key(item, mode)] for item in asked] for mode in modes}

    def _ask(self, asked: Asked, mode: GateMode) -> Said:
        request = AnswerRequest(
            asked.query.text, k=PASSAGES, mode=mode, sampling=Sampling(max_tokens=TOKENS)
        )
        return _said(fold(self._pipeline.answer(request)), asked)


def _key(asked: Asked, mode: GateMode) -> str:
    return f"{mode}/{asked.source}/{asked.query.id}"


def _said(answer: Answer, asked: Asked) -> Said:
    accepted = asked.query.answers or ()
    return Said(
        text=answer.text,
        abstained=answer.abstained,
        support=answer.support,
        p_sufficient=answer.p_sufficient,
        shown=any(holding(passage, accepted) for passage in answer.passages),
        seconds=sum(answer.usage.stage_seconds.values()),
    )


def _parsed(item: Mapping[str, Any]) -> tuple[str, Said]:
    return item["key"], Said(**{name: value for name, value in item.items() if name != "key"})
