"""Answers of one language model through the pipeline over one store, cached on disk.

WORK/answers/SET-HASH.jsonl    by question and mode; an interrupted run can be resumed

HASH covers everything that an answer depends on: models, store, gate, prompts, number of passages.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateMode, Sampling
from expertrag.data.datasets import Dataset, Query
from expertrag.data.resume import appending, read_results
from expertrag.data.types import JSON
from expertrag.eval.manifest import inputs_id
from expertrag.eval.serving import Opened
from expertrag.train.reader.answers import holding
from expertrag_index.types import Progress


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it was served.

    ``holding``: for each passage, whether it contains an accepted answer as whole words;
    ``judged``: whether its document is judged relevant, which includes documents that lead to the
    answer. ``cited``: numbers of the cited passages, from 1. ``seconds``: total of all stages.
    """

    text: str
    abstained: bool
    p_sufficient: float | None
    support: float | None
    retrieved: bool
    holding: tuple[bool, ...]
    judged: tuple[bool, ...]
    cited: tuple[int, ...]
    seconds: float
    prompt_tokens: int

    @property
    def shown(self) -> bool:
        """Whether one of the passages contains an accepted answer."""
        return any(self.holding)

    @property
    def citations(self) -> tuple[int, int]:
        """Number of citations of passages with an accepted answer, and of all citations."""
        return self._cited(self.holding)

    @property
    def right_citations(self) -> tuple[int, int]:
        """Number of citations of passages with an accepted answer or judged, and of all."""
        return self._cited([any(both) for both in zip(self.holding, self.judged, strict=True)])

    def _cited(self, right: Sequence[bool]) -> tuple[int, int]:
        return sum(right[number - 1] for number in self.cited), len(self.cited)


class Speaker:
    """A pipeline with the settings used here: greedy, ``k`` passages, at most ``tokens`` tokens."""

    def __init__(self, opened: Opened, dataset: Dataset, tokens: int, k: int, work: Path) -> None:
        self._opened = opened
        self._dataset = dataset
        self._request = AnswerRequest("", k=k, sampling=Sampling(max_tokens=tokens))
        self.inputs: dict[str, JSON] = {**opened.inputs, "tokens": tokens, "k": k}
        self._path = work / "answers" / f"{dataset.name}-{inputs_id(self.inputs)}.jsonl"

    def ask(self, queries: Sequence[Query], mode: GateMode, report: Progress) -> list[Said]:
        """Answer questions in one mode; cached answers are reused."""
        model = self._opened.generator.name
        with appending(self._path) as file:
            known = read_results(self._path, _parsed)
            missing = [query for query in queries if f"{mode}/{query.id}" not in known]
            for done, query in enumerate(missing, start=1):
                said, key = self._ask(query, mode), f"{mode}/{query.id}"
                file.write(json.dumps({"key": key, **asdict(said)}) + "\n")
                file.flush()
                known[key] = said
                report(f"{model}, {self._dataset.name}, {mode}", done, len(missing))
        return [known[f"{mode}/{query.id}"] for query in queries]

    def _ask(self, query: Query, mode: GateMode) -> Said:
        request = replace(self._request, question=query.text, mode=mode)
        answer = fold(self._opened.pipeline.answer(request))
        return _said(answer, query, self._dataset.relevant(query.id))


def _said(answer: Answer, query: Query, relevant: Collection[str]) -> Said:
    return Said(
        text=answer.text,
        abstained=answer.abstained,
        p_sufficient=answer.p_sufficient,
        support=answer.support,
        retrieved=answer.decision.retrieve,
        holding=tuple(bool(holding(item, query.answers or ())) for item in answer.passages),
        judged=tuple(item.document_id in relevant for item in answer.passages),
        cited=tuple(dict.fromkeys(citation.passage for citation in answer.citations)),
        seconds=sum(answer.usage.stage_seconds.values()),
        prompt_tokens=answer.usage.prompt_tokens,
    )


def _parsed(item: Mapping[str, Any]) -> tuple[str, Said]:
    fields = {name: value for name, value in item.items() if name != "key"}
    tuples = {name: tuple(fields[name]) for name in ("holding", "judged", "cited")}
    return item["key"], Said(**{**fields, **tuples})
