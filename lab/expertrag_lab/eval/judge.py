"""An optional LLM judge, labelled as such: in addition to the exact figures, never instead.

The judge sees the question, the accepted answers and the output, and says yes or no. Other replies
are counted as ``unparsed`` and excluded from all means. Verdicts are cached by content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from expertrag.answer.assemble import open_generator
from expertrag.api.types import Sampling
from expertrag.config import Config
from expertrag.llm.base import Message
from expertrag_lab.data.resume import appending, read_results, work_through
from expertrag_lab.data.types import JSON, Row, RowSet
from expertrag_lab.eval.manifest import inputs_id
from expertrag_lab.eval.policies import outcome
from expertrag_lab.eval.stores import default_work
from expertrag_lab.metrics.squad import contains, normalise

if TYPE_CHECKING:
    from expertrag.llm.base import Generator
    from expertrag_index.types import Progress

_TASK = "You grade answers. Reply with one word: yes or no."
_CASE = (
    "Question: {question}\nAccepted answers: {answers}\nGiven answer: {output}\n\n"
    "Does the given answer say the same as one of the accepted answers?"
)
_SAMPLING = Sampling(max_tokens=8)
_VERDICTS = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts of a judge by question and output; None if it said neither yes nor no."""

    judge: str
    by_case: Mapping[str, bool | None]

    def of(self, row: Row, output: str) -> bool | None:
        """Return the verdict on an output."""
        return self.by_case.get(_case_id(self.judge, row, output))


@dataclass(frozen=True, slots=True)
class _Verdict:
    case: str
    correct: bool | None


def open_judge(name: str, config: Config) -> Generator:
    """Load the judge model.

    :raises ExpertRAGError: it cannot be used; the message says what to do.
    """
    return open_generator(replace(config.model, generator=name), lab=config.lab)


def judge_answers(
    judge: Generator,
    row_sets: Sequence[RowSet],
    policies: Sequence[str],
    work: Path | None,
    progress: Progress,
) -> dict[str, JSON]:
    """Let a model judge the answers, and return its section of the report.

    :raises Unavailable: the judge failed several times in a row, or on every answer.
    """
    verdicts = judge_rows(row_sets, judge, work or default_work(), progress)
    return judge_report(Path(judge.name).name, row_sets, policies, verdicts)


def judge_rows(
    row_sets: Sequence[RowSet], judge: Generator, work: Path, progress: Progress
) -> Verdicts:
    """Judge both answers of every row that has accepted answers; earlier verdicts are reused.

    :raises Unavailable: the judge failed several times in a row.
    """
    path = work / "verdicts" / f"{inputs_id({'judge': judge.fingerprint})}.jsonl"
    cases = {
        _case_id(judge.fingerprint, row, output): (row, output)
        for row_set in row_sets
        for row in row_set.rows
        if row.answers
        for output in (row.never, row.one_step)
    }
    with appending(path) as file:
        said = read_results(path, lambda item: (item["case"], _Verdict(**item)))
        work_through(
            {case: (case, *pair) for case, pair in cases.items()},
            said,
            file,
            lambda case: _Verdict(case[0], _ask(judge, case[1], case[2])),
            lambda verdict: json.dumps(asdict(verdict)),
            "judging",
            progress,
        )
    known = {case: verdict.correct for case, verdict in said.items()}
    return Verdicts(judge.fingerprint, known)


def judge_report(
    name: str, row_sets: Sequence[RowSet], policies: Sequence[str], verdicts: Verdicts
) -> dict[str, JSON]:
    """Accuracy of each policy by the judge, and its agreement with containment."""
    sets = {row_set.name: [row for row in row_set.rows if row.answers] for row_set in row_sets}
    pooled = [row for rows in sets.values() for row in rows]
    return {
        "name": name,
        "pooled": {policy: _figures(pooled, policy, verdicts) for policy in policies},
        "sets": {
            key: {policy: _figures(rows, policy, verdicts) for policy in policies}
            for key, rows in sets.items()
        },
    }


def _figures(rows: Iterable[Row], policy: str, verdicts: Verdicts) -> dict[str, JSON]:
    outputs = [(row, outcome(policy, row).output) for row in rows]
    said = [
        (verdict, contains(output, row.answers or ()))
        for row, output in outputs
        if (verdict := verdicts.of(row, output)) is not None
    ]
    return {
        "accuracy": fmean(verdict for verdict, _ in said) if said else None,
        "agreement": fmean(verdict == held for verdict, held in said) if said else None,
        "n": len(said),
        "unparsed": len(outputs) - len(said),
    }


def _ask(judge: Generator, row: Row, output: str) -> bool | None:
    case = _CASE.format(
        question=row.question, answers=" | ".join(row.answers or ()), output=output.strip()
    )
    messages = [Message("system", _TASK), Message("user", case)]
    with closing(judge.begin(messages, _SAMPLING)) as session:
        words = normalise("".join(session.stream())).split()
    return next((_VERDICTS[word] for word in words if word in _VERDICTS), None)


def _case_id(judge: str, row: Row, output: str) -> str:
    return inputs_id(
        {"judge": judge, "task": _TASK + _CASE, "question": row.question}
        | {"answers": row.answers, "output": output}
    )
