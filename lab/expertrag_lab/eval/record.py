"""Record counterfactual rows: answer every question closed book and with retrieval.

All policies are scored on the same recorded answers, so they differ only in their decisions. The
language model, the prompt and the decoding are fixed, and a closed-book answer is the same text
whether NEVER or the gate requested it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.answer.gate_signals import LOOKAHEAD_TOKENS
from expertrag.api.errors import Conflict
from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateDecision, GateMode, Sampling
from expertrag.grounding.ground import ground
from expertrag.llm import prompt
from expertrag.runtime.meter import Meter
from expertrag_common.durable import write_durably
from expertrag_lab.data.datasets import Query
from expertrag_lab.data.resume import appending, work_through
from expertrag_lab.data.rows import dump_row, read_rows
from expertrag_lab.data.types import JSON, Branch, GateRecord, Recorded, Row, RowSet
from expertrag_lab.eval.manifest import inputs_id, make_manifest
from expertrag_lab.eval.questions import Asked
from expertrag_lab.eval.report.reading import flat
from expertrag_lab.eval.serving import Opened
from expertrag_lab.metrics.squad import contains

if TYPE_CHECKING:
    from expertrag_index.types import Progress

MAX_TOKENS = 32
"""Length of a recorded answer. Accepted answers are a few words long. What a small model adds after
its first sentence does not make a wrong answer right; it only makes containment easier to reach."""


ROW_FORMAT = 2
"""Version of the recorded content; rows of older versions are not continued."""


@dataclass(frozen=True, slots=True)
class Recording:
    """How questions are answered: greedily, from ``k`` passages, with at most ``max_tokens``.

    ``threshold`` replaces the gate's, None keeps it; it affects decisions, not answers.
    """

    k: int = 5
    max_tokens: int = MAX_TOKENS
    threshold: float | None = None

    def request(self, question: str, mode: GateMode) -> AnswerRequest:
        """Return the request for ``question``."""
        sampling = Sampling(max_tokens=self.max_tokens)
        return AnswerRequest(
            question, mode=mode, k=self.k, threshold=self.threshold, sampling=sampling
        )


def rows_path(asked: Asked, recording: Recording) -> Path:
    """Path of the rows between runs: one file per combination of inputs."""
    name = f"{asked.dataset.name}-{inputs_id(_inputs(asked, recording))}.jsonl"
    return asked.work / "rows" / name


def record(asked: Asked, recording: Recording, path: Path, progress: Progress) -> RowSet:
    """Answer the questions and append their rows to ``path``; existing rows are kept.

    Each row is written to disk before the next question, so an interrupted run can be resumed.
    Returns the rows of these questions, in order. A question that failed is skipped and counted,
    and the next run asks it again. The file has the gate's own threshold, the result the threshold
    of ``recording``.

    :raises Conflict: ``path`` contains rows of another model, store or setting, or another run is
        writing it.
    :raises Unavailable: the model failed several times in a row, or on every question.
    """
    dataset = asked.dataset
    with appending(path) as file:
        _check_same(path, _inputs(asked, recording))
        known = {row.id: row for row in read_rows(path).rows} if path.stat().st_size else {}
        failed = work_through(
            {query.id: query for query in asked.queries},
            known,
            file,
            lambda query: record_one(query, dataset.relevant(query.id), asked.opened, recording),
            dump_row,
            f"{dataset.name}: answering",
            progress,
        )
    rows = tuple(
        _with_threshold(known[query.id], recording.threshold)
        for query in asked.queries
        if query.id in known
    )
    skipped = (*asked.opened.skipped, *dataset.skipped, *failed)
    digest = inputs_id({"rows": [dump_row(row) for row in rows]})
    return RowSet(dataset.name, rows, skipped, digest)


def record_one(
    query: Query, relevant: tuple[str, ...], opened: Opened, recording: Recording
) -> Row:
    """Run the gate, then answer closed book and open book."""
    pipeline = opened.pipeline
    meter = Meter()
    sampling = recording.request(query.text, GateMode.NEVER).sampling
    decision = pipeline.decide(query.text, GateMode.AUTO, meter=meter, sampling=sampling)
    spent = meter.usage()
    never = fold(pipeline.answer(recording.request(query.text, GateMode.NEVER)))
    one_step = fold(pipeline.answer(recording.request(query.text, GateMode.ALWAYS)))
    p_benefit, threshold = decision.p_benefit, decision.threshold
    if p_benefit is None or threshold is None:  # the gate gave no probability: it retrieves
        p_benefit, threshold = 1.0, 0.5
    return Row(
        id=query.id,
        question=query.text,
        answers=query.answers,
        never=never.text,
        one_step=one_step.text,
        relevant=relevant,
        needs_documents=query.metadata.get("needs_documents") is not False,
        recorded=Recorded(
            never=_branch(query, never, _certainty(query, decision, opened), relevant, opened),
            one_step=_branch(query, one_step, one_step.support, relevant, opened),
            gate=GateRecord(
                name=decision.calibrator,
                p_benefit=p_benefit,
                threshold=threshold,
                signals=decision.signals,
                lm_calls=spent.lm_calls,
                prompt_tokens=spent.prompt_tokens,
                completion_tokens=spent.completion_tokens,
                stage_seconds=spent.stage_seconds,
                generator=opened.generator.fingerprint,
                embedder=opened.base_embedder,
            ),
        ),
    )


def _branch(
    query: Query,
    answer: Answer,
    confidence: float | None,
    relevant: tuple[str, ...],
    opened: Opened,
) -> Branch:
    usage, documents = answer.usage, opened.passages(relevant)
    return Branch(
        lm_calls=usage.lm_calls,
        retrieval_calls=usage.retrieval_calls,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        stage_seconds=usage.stage_seconds,
        confidence=confidence,
        documents=tuple(dict.fromkeys(passage.document_id for passage in answer.passages)),
        cited=tuple(dict.fromkeys(citation.document_id for citation in answer.citations)),
        evidence=opened.pipeline.evidence(query.text, answer.passages),
        sufficient=_sufficient(query, answer),
        relevant_support=(
            ground(answer.text, documents, query.text).support if documents else None
        ),
    )


def _certainty(query: Query, decision: GateDecision, opened: Opened) -> float | None:
    """Mean p(top-1) of a closed-book answer's first tokens, also if the gate does not use it."""
    if "max_probability" in decision.signals:
        return decision.signals["max_probability"]
    with closing(
        opened.generator.begin(prompt.write_closed_book(query.text), Sampling())
    ) as session:
        seen = session.peek(LOOKAHEAD_TOKENS)
    return seen.max_probability if seen else None


def _sufficient(query: Query, answer: Answer) -> bool | None:
    """Whether a passage holds an accepted answer; None if closed book or without answers."""
    if query.answers is None or not answer.passages:
        return None
    answers = query.answers
    return any(contains(passage.text, answers) for passage in answer.passages)


def _inputs(asked: Asked, recording: Recording) -> dict[str, JSON]:
    """Everything that a row depends on, which does not include the gate's threshold."""
    return {
        **asked.inputs,
        "row_format": ROW_FORMAT,
        "k": recording.k,
        "max_tokens": recording.max_tokens,
    }


def _with_threshold(row: Row, threshold: float | None) -> Row:
    if threshold is None or row.recorded is None:
        return row
    gate = replace(row.recorded.gate, threshold=threshold)
    return replace(row, recorded=replace(row.recorded, gate=gate))


def _check_same(path: Path, inputs: Mapping[str, JSON]) -> None:
    """Check that the rows of an earlier run have the same inputs; write these for a new file."""
    manifest_file = path.with_name(f"{path.name}.manifest.json")
    if not manifest_file.exists():
        if path.stat().st_size:
            raise Conflict(f"{path} exists and was not recorded by this command; name another file")
        manifest = asdict(make_manifest("record", inputs))
        write_durably(manifest_file, (json.dumps(manifest, indent=2) + "\n").encode())
        return
    try:
        recorded = dict(flat(json.loads(manifest_file.read_bytes())["inputs"]))
    except (ValueError, KeyError, TypeError):
        raise Conflict(
            f"{manifest_file} is damaged; delete it and {path.name}, and run again"
        ) from None
    wanted = dict(flat(inputs))
    if recorded != wanted:
        differing = ", ".join(
            f"{name} ({recorded.get(name, 'none')}, now {wanted.get(name, 'none')})"
            for name in sorted(recorded.keys() | wanted.keys())
            if recorded.get(name) != wanted.get(name)
        )
        raise Conflict(
            f"{path} contains rows made with another {differing}; name another file, or delete it "
            f"and {manifest_file.name} to start again"
        )
