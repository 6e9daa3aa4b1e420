"""Ask every wording of a question; the replies are cached for the next run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag.api.errors import InvalidArgument
from expertrag.api.folding import fold
from expertrag.api.types import GateMode
from expertrag_lab.data.datasets import Query
from expertrag_lab.data.resume import appending, read_results, work_through
from expertrag_lab.data.types import JSON, Skipped
from expertrag_lab.eval.manifest import inputs_id
from expertrag_lab.eval.paraphrase import REWRITES, Paraphrase, wordings
from expertrag_lab.eval.questions import Asked
from expertrag_lab.eval.record import Recording

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline
    from expertrag_index.types import Progress


REPLY_FORMAT = 2
"""Version of the kept replies; questions of older versions are asked again."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How wordings are asked: at most ``most`` per question, None for all.

    Without ``answers`` only the gate is run, which costs a prefill per wording. Without
    ``rewrites``, only the paraphrases of the data set are asked.
    """

    recording: Recording
    most: int | None = None
    answers: bool = True
    rewrites: bool = True

    @property
    def inputs(self) -> dict[str, JSON]:
        """What the replies depend on in addition to the questions and the system."""
        rewrites = list(REWRITES) if self.rewrites else []
        return {**asdict(self), "rewrites": rewrites, "reply_format": REPLY_FORMAT}

    def wordings(self, query: Query) -> tuple[Paraphrase, ...]:
        """Return the wordings of a question, the original one first."""
        return wordings(query, self.most, rewrites=self.rewrites)


@dataclass(frozen=True, slots=True)
class ParaphraseReply:
    """Decision and answer for one wording.

    ``answer`` is None if only the gate was run. ``expert``: the language model's expert;
    ``passages``: those in its prompt, best first, as DOCUMENT#ORDINAL.
    """

    rewrite: str
    text: str
    retrieved: bool
    p_benefit: float
    answer: str | None
    expert: str = ""
    passages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replies:
    """A question with the replies to its wordings, the original wording first."""

    id: str
    question: str
    answers: tuple[str, ...] | None
    replies: tuple[ParaphraseReply, ...]


def ask_wordings(
    asked: Asked, asking: Asking, progress: Progress
) -> tuple[tuple[Replies, ...], tuple[Skipped, ...]]:
    """Ask all wordings of the questions of a data set; an interrupted run can be resumed.

    A question with a wording that fails is skipped and counted, and the next run asks it again.
    Questions with one wording are left out.

    :raises InvalidArgument: no question has another wording.
    :raises Unavailable: the model failed several times in a row.
    """
    queries = [query for query in asked.queries if len(asking.wordings(query)) > 1]
    if not queries:
        raise InvalidArgument(
            f"{asked.dataset.name}: none of the {len(asked.queries)} questions drawn has "
            "paraphrases (metadata.paraphrases, a list of strings); add them, raise the limit, or "
            "also ask rewrites"
        )
    with appending(_path(asked, asking)) as file:
        known = read_results(Path(file.name), _replies)
        failed = work_through(
            {query.id: query for query in queries},
            known,
            file,
            lambda query: _ask(query, asked.opened.pipeline, asking),
            lambda replies: json.dumps(asdict(replies), ensure_ascii=False),
            f"{asked.dataset.name}: asking wordings",
            progress,
        )
    replies = tuple(known[query.id] for query in queries if query.id in known)
    return replies, (*asked.opened.skipped, *asked.dataset.skipped, *failed)


def _path(asked: Asked, asking: Asking) -> Path:
    digest = inputs_id({**asked.inputs, **asking.inputs})
    return asked.work / "wordings" / f"{asked.dataset.name}-{digest}.jsonl"


def _ask(query: Query, pipeline: Pipeline, asking: Asking) -> Replies:
    replies = tuple(_reply(wording, pipeline, asking) for wording in asking.wordings(query))
    return Replies(query.id, query.text, query.answers, replies)


def _reply(wording: Paraphrase, pipeline: Pipeline, asking: Asking) -> ParaphraseReply:
    answer: str | None = None
    passages: tuple[str, ...] = ()
    if asking.answers:
        request = asking.recording.request(wording.text, GateMode.AUTO)
        whole = fold(pipeline.answer(request))
        decision, answer = whole.decision, whole.text
        passages = tuple(f"{item.document_id}#{item.ordinal}" for item in whole.passages)
    else:
        threshold = asking.recording.threshold
        decision = pipeline.decide(wording.text, GateMode.AUTO, threshold=threshold)
    p_benefit = 1.0 if decision.p_benefit is None else decision.p_benefit  # None: retrieves
    return ParaphraseReply(
        wording.rewrite,
        wording.text,
        decision.retrieve,
        p_benefit,
        answer,
        decision.expert or "",
        passages,
    )


def _replies(item: Mapping[str, Any]) -> tuple[str, Replies]:
    return item["id"], Replies(
        id=item["id"],
        question=item["question"],
        answers=None if item["answers"] is None else tuple(item["answers"]),
        replies=tuple(
            ParaphraseReply(**{**reply, "passages": tuple(reply["passages"])})
            for reply in item["replies"]
        ),
    )
