"""STRICT's judge of passages: how well it detects questions that the documents do not answer.

    python lab/benchmarks/eval_strict.py --data DATA --json FILE

Passages for questions of squad2 are retrieved from a store of its paragraphs. The probability that
they hold an answer is fitted on train questions, answerable or not, and evaluated on test
questions, compared with the similarity of the best passage. No language model is used. Train and
test questions are about different articles.
"""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import results_file
from reader_figures import bootstrapped

from expertrag.answer.assemble import open_generator
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.api.types import RetrieveRequest
from expertrag.cli.progress import progress
from expertrag.config import Config, ModelConfig
from expertrag.llm.load.loading import quiet
from expertrag.stores.embedders import open_embedder
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.eval.stores import build_store
from expertrag_lab.json_lines import read_lines
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.reliability import ece
from expertrag_lab.train.gate.sufficiency import fit_sufficiency
from expertrag_retriever.gate.signals import Signals
from expertrag_retriever.gate.sufficiency import SUFFICIENT

CODE = (
    "expertrag/grounding/evidence.py",
    *results_file.SEARCH,
    "lab/expertrag_lab/train/gate",
    "lab/benchmarks/eval_strict.py",
    "lab/benchmarks/reader_figures.py",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--questions", type=int, default=1_500, help="questions per split")
    given = parser.parse_args()
    folder = given.data / "squad2"
    config = Config(model=ModelConfig(generator="smollm2-135m-reader"))  # no signal uses it
    seen: dict[str, list[Signals]] = {}
    answerable: dict[str, list[bool]] = {}
    with progress() as report, quiet():
        embedder = open_embedder(config.model, None)
        dataset = load_dataset(folder, "test")
        store, _ = build_store(dataset, embedder, "chunk", given.work, report)
        models = PipelineModels(embedder, open_generator(config.model))  # it only searches
        with closing(Pipeline(store, models)) as pipeline:
            for split in ("train", "test"):
                chosen = drawn(folder, split, given.questions)
                answerable[split] = [bool(item["answers"]) for item in chosen]
                seen[split] = []
                for done, item in enumerate(chosen, start=1):
                    question = str(item["text"])
                    passages = pipeline.retrieve(RetrieveRequest(question, k=5)).passages
                    seen[split].append(Signals(pipeline.evidence(question, passages)))
                    report(f"{split} questions", done, len(chosen))
    fitted = fit_sufficiency(seen["train"], answerable["train"])
    said = fitted.model.probability(seen["test"])
    body = figures(said, seen["test"], np.array(answerable["test"]))
    body["train"] = {
        "questions": len(seen["train"]),
        "answerable": statistics.fmean(answerable["train"]),
        "auc_unseen": auc(fitted.unseen.tolist(), answerable["train"]),
    }
    print(json.dumps(body, indent=1))
    results_file.write(given.json, body, CODE)


def drawn(folder: Path, split: str, count: int) -> list[dict[str, Any]]:
    """Draw questions of a split, with its share of unanswerable ones."""
    items, _ = read_lines(folder / "queries.jsonl.gz")
    every = [dict(item) for _, item in items if item["metadata"]["split"] == split]
    return random.Random(0).sample(every, min(count, len(every)))


def figures(said: Any, seen: Sequence[Signals], truth: Any) -> dict[str, Any]:
    """Return how well answerable questions are detected, with 95 % bootstrap intervals."""
    similar = np.array([item.numbers["evidence_dense_best"] for item in seen])

    def area(scores: Any, chosen: Any) -> float | None:
        return auc(scores[chosen].tolist(), truth[chosen].tolist())

    def gain(chosen: Any) -> float | None:
        judged, plain = area(said, chosen), area(similar, chosen)
        return None if judged is None or plain is None else judged - plain

    judged = bootstrapped(lambda chosen: area(said, chosen), len(truth))
    gained = bootstrapped(gain, len(truth))
    assert judged and gained, "there are questions of both kinds"
    given = truth[said >= SUFFICIENT]
    return {
        "questions": len(truth),
        "answerable": float(truth.mean()),
        "auc": judged.mean,
        "auc_interval": [judged.low, judged.high],
        "auc_similarity": auc(similar.tolist(), truth.tolist()),
        "gain_interval": [gained.low, gained.high],
        "ece": ece(said.tolist(), truth.tolist()),
        "answered": len(given) / len(truth),
        "answerable_of_answered": float(given.mean()) if len(given) else None,
    }


if __name__ == "__main__":
    main()
