"""Read follow-ups in their conversations: the share that is read as it is meant, by kind.

    python lab/benchmarks/eval_follow_ups.py --json follow_ups.json

The messages are those of ``follow_ups.jsonl``. The store has a document for each conversation: its
questions and answers. ``message``: as it was sent. ``rules``: as a server reads it with a model
that does not rewrite. ``without evidence``: the same, without a store. ``model``: as a server reads
it with the default model (``--model``); ``writes`` are its rewritings. ``English``: the share of
the rewritings without a fault that ``follow_ups.faults`` finds. Intervals are Wilson's, of 95 %.
Rules and prompt were chosen on the half ``choose``.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import results_file
from follow_ups import HALVES, STAND_ALONE, THANKS, FollowUp, faults, read_follow_ups
from rewriting_model import RewritingModel
from scipy.stats import binomtest

from expertrag.answer.assemble import open_generator
from expertrag.answer.follow_up import StoreEvidence, Write, exchanges
from expertrag.answer.read import read_question
from expertrag.config import ModelConfig
from expertrag.conversation.about import is_about_conversation
from expertrag.conversation.rewrite import rewrite, subject_of
from expertrag.llm.base import never_stop
from expertrag.stores.embedders import open_embedder
from expertrag.stores.served_index import View
from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_retriever.calibrate import calibrator

CODE = (
    "expertrag/conversation",
    "expertrag/answer/follow_up.py",
    "expertrag/answer/rewriting_check.py",
    "expertrag/answer/read.py",
    "expertrag/llm/standalone.py",
    "lab/benchmarks/follow_ups.py",
    "lab/benchmarks/eval_follow_ups.py",
    *results_file.SEARCH,
)

Readings = Mapping[str, Sequence[str]]
"""The question that each follow-up is read as, by method; "" for a message of thanks."""


def main() -> None:
    """Read, and report the shares by method, half and kind."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--model", action="store_true", help="rewrite by the default model too")
    parser.add_argument("--show", choices=HALVES, help="print the wrong readings of this half")
    given = parser.parse_args()
    asked = read_follow_ups()
    embedder = open_embedder(ModelConfig(), None)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        with IndexWriter.open(store, embedder, calibrate=calibrator(embedder)) as writer:
            writer.build(documents(asked), failures=[])
        with Index.open(store, embedder_fingerprint=embedder.fingerprint) as index:
            view = View.of(embedder, index)
            readings = {
                "message": [one.question for one in asked],
                "without evidence": [read_without_evidence(one) for one in asked],
                "rules": [read(one, view) for one in asked],
            }
            model = RewritingModel(open_generator(ModelConfig())) if given.model else None
            if model:
                readings["model"] = [read(one, view, model.write) for one in asked]
    for method, texts in readings.items():
        for one, text in zip(asked, texts, strict=True):
            if one.half == given.show and not is_right(one, text):
                print(f"{method} | {one.conversation} | {one.kind} | {one.question} | {text}")
    report = {
        "follow-ups": len(asked),
        "right": {
            half: {name: right(asked, texts, half) for name, texts in readings.items()}
            for half in HALVES
        },
        "English": {name: english(asked, texts) for name, texts in readings.items()},
    }
    if model:
        report["writes"] = {"n": len(model.seconds), "median seconds": median(model.seconds)}
    print(json.dumps(report, indent=1))
    results_file.write(given.json, report, CODE)


def documents(asked: Sequence[FollowUp]) -> list[Document]:
    """Return a document for each conversation."""
    histories = {one.conversation: one.history for one in asked}
    return [
        Document(id=name, text="\n".join(turn.text for turn in history))
        for name, history in histories.items()
    ]


def read(one: FollowUp, view: View, write: Write | None = None) -> str:
    """Return the question that a server reads; "" if the message is about the conversation."""
    asked = read_question(
        one.question, one.history, StoreEvidence(view, None, never_stop), write=write
    )
    return "" if asked.about_conversation else asked.question


def read_without_evidence(one: FollowUp) -> str:
    """Return what the rules read without a store."""
    if is_about_conversation(one.question):
        return ""
    return rewrite(one.question, subject_of(exchanges(one.history))).question


def is_right(one: FollowUp, reading: str) -> bool:
    """Return whether a message was read as it was meant."""
    return (reading == "") if one.kind == THANKS else one.is_right(reading)


def right(asked: Sequence[FollowUp], readings: Sequence[str], half: str) -> dict[str, Any]:
    """Return the shares of right readings in a half: of follow-ups, of all, and by kind."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for one, reading in zip(asked, readings, strict=True):
        if one.half != half:
            continue
        depends = one.kind not in (*STAND_ALONE, THANKS)
        for group in (one.kind, "all", *(("follow-ups",) if depends else ())):
            groups[group].append(is_right(one, reading))
    return {group: share(groups[group]) for group in sorted(groups)}


def english(asked: Sequence[FollowUp], readings: Sequence[str]) -> dict[str, Any]:
    """Return the share of changed messages in which no fault is found."""
    pairs = zip(asked, readings, strict=True)
    return share([not faults(text) for one, text in pairs if text not in {"", one.question}])


def share(hits: Sequence[bool]) -> dict[str, Any]:
    """Return a share with its interval; None of nothing."""
    if not hits:
        return {"n": 0, "share": None}
    low, high = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    return {
        "n": len(hits),
        "share": round(sum(hits) / len(hits), 3),
        "interval": [round(low, 3), round(high, 3)],
    }


if __name__ == "__main__":
    main()
