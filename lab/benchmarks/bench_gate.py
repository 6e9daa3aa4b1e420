"""How well the training-free gate separates questions about a store from other questions.

    python lab/benchmarks/bench_gate.py --data ../shared/data --json gate.json

Builds a store of each data set's corpus. Its own answerable train questions should be retrieved
for. Questions that it cannot help with are everyday requests written for this benchmark, train
questions of TriviaQA and WebQuestions, and train questions of data sets on other subjects.
Prints the AUC of p_benefit and the share of each kind that is retrieved at the gate's threshold.
With ``--model``, the closed-book prefill of that model is used as well.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import results_file

from expertrag import models
from expertrag.api.types import Sampling
from expertrag.llm import prompt
from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_lab.data.qrels import qrels_path, read_qrels
from expertrag_lab.json_lines import read_lines
from expertrag_lab.metrics.calibration import auc
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.gate import Gate, calibrate_coverage
from expertrag_retriever.gate.constants import CONSTANTS
from expertrag_retriever.types import GateMode, PrefillSignals

if TYPE_CHECKING:
    from expertrag.llm.base import Generator

SUBJECTS = {
    "squad2": "general",
    "hotpotqa": "general",
    "popqa": "general",
    "fiqa_small": "finance",
    "tatqa": "finance",
    "policyqa": "legal",
    "pubmedqa": "medicine",
    "bioasq": "medicine",
    "scifact": "medicine",
    "pydocs": "computing",
}
STORES = ("squad2", "hotpotqa", "popqa", "tatqa", "pubmedqa", "policyqa")
EVERYDAY = Path(__file__).with_name("everyday_requests.txt")
CODE = (
    *results_file.SEARCH,
    "lab/benchmarks/bench_gate.py",
    "lab/benchmarks/everyday_requests.txt",
)


def main() -> None:
    """Build, ask, report."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--sets", nargs="+", default=list(STORES))
    parser.add_argument("--limit", type=int, default=200, help="questions of each kind")
    parser.add_argument("--stores", type=Path, help="keep the stores in this folder")
    parser.add_argument("--embedder", default="all-minilm-l6-v2")
    parser.add_argument("--model", help="also use the prefill signals of this language model")
    arguments = parser.parse_args()

    embedder = load_embedder(models.ensure(arguments.embedder))
    prefills = _Prefills(arguments.model)
    report = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.sets:
            store = (arguments.stores or Path(scratch)) / name
            build(arguments.data / name, store, embedder)
            with Index.open(store) as index:
                kinds = questions(arguments.data, name, arguments.limit)
                scores = {
                    kind: p_benefit(Gate(index), embedder, prefills, texts)
                    for kind, texts in kinds.items()
                }
            report[name] = summary(scores)
            show(name, report[name])
    results_file.write(arguments.json, report, CODE)


def build(folder: Path, store: Path, embedder: SentenceTransformerEmbedder) -> None:
    """Index a data set's corpus, with the calibration for the gate."""
    documents = (
        Document(row["_id"], row["text"], row.get("title", ""))
        for row in _rows(folder / "corpus.jsonl.gz")
    )
    with IndexWriter.open(
        store, embedder, calibrate=lambda index: {"coverage": calibrate_coverage(index, embedder)}
    ) as writer:
        writer.build(documents)


def questions(data: Path, name: str, limit: int) -> dict[str, list[str]]:
    """Return questions by kind; ``own`` are those that the store can help with."""
    own = _train(data / name)
    kinds = {
        "own": own,
        "own, misspelled": list(map(misspelled, own)),
        "everyday": EVERYDAY.read_text().splitlines(),
    }
    for source in ("triviaqa", "webquestions"):
        kinds[source] = [
            row["text"]
            for row in _rows(data / "openqa" / "queries.jsonl.gz")
            if row["metadata"]["source"] == source and row["metadata"]["split"] == "train"
        ]
    kinds["other subjects"] = [
        text
        for other, subject in SUBJECTS.items()
        if subject != SUBJECTS.get(name)
        for text in _sampled(_train(data / other), limit // 5)
    ]
    return {kind: _sampled(texts, limit) for kind, texts in kinds.items()}


def misspelled(text: str) -> str:
    """Lower-case a question and swap two letters in two of its words."""
    rng = random.Random(text)
    words = text.lower().split()
    long = [place for place, word in enumerate(words) if len(word) > 4]
    for place in rng.sample(long, min(2, len(long))):
        word = words[place]
        at = rng.randrange(1, len(word) - 2)
        words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def p_benefit(
    gate: Gate, embedder: SentenceTransformerEmbedder, prefills: _Prefills, texts: Sequence[str]
) -> list[float]:
    """Return the gate's p_benefit of each question."""
    vectors = embedder.encode_queries(texts)
    decisions = [
        gate.decide(
            GateMode.AUTO, prefill=prefills.of(text), store=gate.store_signals(text, vector)
        )
        for text, vector in zip(texts, vectors, strict=True)
    ]
    return [decision.p_benefit or 0.0 for decision in decisions]


def summary(scores: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return each kind's retrieval rate, and the AUC of the store's own questions against it."""
    own = scores["own"]
    figures = {}
    for kind, other in scores.items():
        labels = [place < len(own) for place in range(len(own) + len(other))]
        figures[kind] = {
            "questions": len(other),
            "retrieved": round(fmean(score >= CONSTANTS.threshold for score in other), 4),
            "auc": round(auc([*own, *other], labels) or 0.0, 4),
        }
    return figures


def show(name: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print one store's table."""
    print(f"\n{name:<17} questions  retrieved    AUC")
    for kind, row in figures.items():
        auc = "" if kind.startswith("own") else f"{row['auc']:.3f}"
        print(f"  {kind:<15} {row['questions']:>9}  {row['retrieved']:>9.3f}  {auc:>5}")


class _Prefills:
    """Closed-book prefill signals of a model, one prefill per question."""

    def __init__(self, name: str | None) -> None:
        self._generator: Generator | None = None
        self._known: dict[str, PrefillSignals | None] = {}
        if name:
            from expertrag.llm import load_generator

            self._generator = load_generator(models.ensure(name))

    def of(self, text: str) -> PrefillSignals | None:
        """Signals of a question; None without a model."""
        if self._generator is None:
            return None
        if text not in self._known:
            from expertrag.answer.gate_signals import LOOKAHEAD_TOKENS

            session = self._generator.begin(prompt.write_closed_book(text), Sampling())
            with closing(session):
                self._known[text] = session.peek(LOOKAHEAD_TOKENS)
        return self._known[text]


def _train(folder: Path) -> list[str]:
    """Texts of the train queries that the data set's corpus can answer."""
    judged = read_qrels(qrels_path(folder, "train"))
    return [row["text"] for row in _rows(folder / "queries.jsonl.gz") if row["_id"] in judged]


def _sampled(texts: list[str], limit: int) -> list[str]:
    return random.Random(0).sample(texts, min(limit, len(texts)))


def _rows(path: Path) -> list[Mapping[str, Any]]:
    return [item for _, item in read_lines(path)[0]]


if __name__ == "__main__":
    main()
