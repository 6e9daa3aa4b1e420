"""Search for the last message of conversations: as it is, joined, rewritten, and as it was meant.

    python lab/benchmarks/eval_conversations.py --data ../shared/data --json conversations.json

Conversations are made of the questions of each set (``made_conversations.py``). nDCG@10 of hybrid
search over a set's documents, at most ``--documents`` of them: those judged for any question of the
split, then others. ``rewritten``: as a server reads the message in its conversation by its rules;
``language model``: with the default model for what they leave open (``--by-model``). Of questions
that the documents are not about, the share that is left as it is counts. ``seconds``: what reading
the conversation adds to an answer of the default language model.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import results_file
from made_conversations import (
    ALONE,
    ELSEWHERE,
    FOLLOW_UPS,
    MAKERS,
    Conversation,
    conversations,
    general_questions,
)
from rewriting_model import RewritingModel

from expertrag.answer.assemble import open_generator, reading_of
from expertrag.answer.context import QuestionInContext
from expertrag.answer.follow_up import StoreEvidence
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.answer.read import read_question
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode
from expertrag.config import ModelConfig
from expertrag.llm.base import never_stop
from expertrag.stores.embedders import open_embedder
from expertrag.stores.served_index import View
from expertrag_index.store.index import Index
from expertrag_lab.data.datasets import Dataset, load_dataset
from expertrag_lab.eval.stores import build_store
from expertrag_lab.metrics.measures import Measures

METHODS = ("last message", "all turns", "rewritten", "gold")
METRIC = "nDCG@10"
CODE = (
    "expertrag/conversation",
    "expertrag/answer/follow_up.py",
    "expertrag/answer/rewriting_check.py",
    "expertrag/answer/read.py",
    "expertrag/llm/standalone.py",
    "lab/benchmarks/made_conversations.py",
    "lab/benchmarks/rewriting_model.py",
    "lab/benchmarks/eval_conversations.py",
    *results_file.SEARCH,
)
_DEPTH = 30  # chunks of a search; their documents are ranked by the best chunk

Figures = Mapping[str, Mapping[str, float]]


def main() -> None:
    """Search, and report nDCG by set and kind, and seconds."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--sets", nargs="+", default=sorted(MAKERS), choices=sorted(MAKERS))
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=150, help="conversations of each kind")
    parser.add_argument("--documents", type=int, default=3_000, help="of each set")
    parser.add_argument("--answers", type=int, default=20, help="answers that are timed; 0: none")
    parser.add_argument(
        "--by-model", type=int, default=20, help="of each kind, to rewrite by the default model too"
    )
    given = parser.parse_args()
    embedder = open_embedder(ModelConfig(), None)
    generator = open_generator(ModelConfig()) if given.answers or given.by_model else None
    elsewhere = general_questions(given.data)
    sets: dict[str, Figures] = {}
    by_model: dict[str, Figures] = {}
    left, timed = {}, {}
    for name in given.sets:
        dataset = reduced(load_dataset(given.data / name, given.split), given.work, given.documents)
        made = conversations(dataset, elsewhere, given.limit, 0)
        store, _ = build_store(dataset, embedder, "chunk", given.work, lambda *_: None)
        with Index.open(store, embedder_fingerprint=embedder.fingerprint) as index:
            bench = Bench(View.of(embedder, index), dataset)
            sets[name], left[name] = bench.searched(made), bench.left_alone(made)
            if generator and given.by_model:
                few = conversations(dataset, elsewhere, given.by_model, 0)
                model = RewritingModel(generator)
                by_model[name] = bench.searched(few, model)
                timed[f"rewriting by the model, {name}"] = mean(model.seconds or [0.0])
        print(json.dumps({name: sets[name], "left alone": left[name]}), flush=True)
        if generator and given.answers and name == "squad2":
            reading = reading_of(ModelConfig(), generator)
            models = PipelineModels(embedder, generator, reading)
            timed |= seconds(Pipeline(store, models), made, given.answers)
    report = {
        "split": given.split,
        "sets": sets,
        **means(sets),
        "elsewhere left alone": left,
        "by model": by_model,
        "by model, means": means(by_model),
        "seconds": timed,
    }
    print(json.dumps(report, indent=2))
    results_file.write(given.json, report, CODE)


def reduced(dataset: Dataset, work: Path, documents: int) -> Dataset:
    """Write a set with at most this many documents to the work folder, and return it."""
    folder = work / "conversations" / f"{dataset.name}-{dataset.split}-{documents}" / dataset.name
    if not (folder / "qrels").exists():
        folder.mkdir(parents=True, exist_ok=True)
        judged = {document for grades in dataset.qrels.values() for document in grades}
        with gzip.open(dataset.folder / "corpus.jsonl.gz", "rt") as file:
            lines = {json.loads(line)["_id"]: line for line in file}
        kept = sorted(judged & lines.keys())[:documents]
        others = sorted(lines.keys() - judged)[: documents - len(kept)]
        with gzip.open(folder / "corpus.jsonl.gz", "wt") as file:
            file.writelines(lines[key] for key in (*kept, *others))
        present = {*kept, *others}
        rows = [
            f"{query.id}\t{key}\t{grade}\n"
            for query in dataset.judged
            for key, grade in dataset.qrels[query.id].items()
            if present >= dataset.qrels[query.id].keys()
        ]
        queries = (dataset.folder / "queries.jsonl.gz").read_bytes()
        (folder / "queries.jsonl.gz").write_bytes(queries)
        (folder / "qrels").mkdir()
        table = "".join(["query-id\tcorpus-id\tscore\n", *rows])
        (folder / "qrels" / f"{dataset.split}.tsv").write_text(table)
    return load_dataset(folder, dataset.split)


class Bench:
    """Searches the documents of one set."""

    def __init__(self, view: View, dataset: Dataset) -> None:
        self._view, self._dataset = view, dataset
        self._measures = Measures((METRIC,))

    def searched(
        self, made: Sequence[Conversation], model: RewritingModel | None = None
    ) -> dict[str, dict[str, float]]:
        """Return mean nDCG by kind and method.

        :param model: writes what the rules leave open, as the method "language model".
        """
        runs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for one in made:
            if one.kind == ELSEWHERE:
                continue
            joined = " ".join([turn.text for turn in one.history] + [one.message])
            texts = (one.message, joined, self._read(one).question, one.gold)
            for method, text in zip(METHODS, texts, strict=True):
                runs[one.kind][method].append(self._ndcg(text, one.query_id))
            if model:
                text = self._read(one, model).question
                runs[one.kind]["language model"].append(self._ndcg(text, one.query_id))
        return {
            kind: {"conversations": len(run["gold"]), **{name: mean(run[name]) for name in run}}
            for kind, run in sorted(runs.items())
        }

    def left_alone(self, made: Sequence[Conversation]) -> float:
        """Return the share of questions about something else that are left as they are."""
        others = [one for one in made if one.kind == ELSEWHERE]
        return mean(not self._read(one).rewritten for one in others) if others else 1.0

    def _read(self, one: Conversation, model: RewritingModel | None = None) -> QuestionInContext:
        write = model.write if model else None
        store = StoreEvidence(self._view, None, never_stop)
        return read_question(one.message, one.history, store, write=write)

    def _ndcg(self, text: str, query_id: str) -> float:
        found = self._view.searcher.search(text, k=_DEPTH).passages
        ranked = list(dict.fromkeys(passage.document_id for passage in found))
        qrels = {"q": self._dataset.qrels[query_id]}
        return self._measures.per_query(qrels, {"q": ranked})[METRIC]["q"]


def means(sets: Mapping[str, Figures]) -> dict[str, dict[str, float]]:
    """Return the means over sets and kinds of follow-ups, and of questions that stand alone."""
    found = {}
    for group, kinds in (("follow-ups", FOLLOW_UPS), ("stand alone", ALONE)):
        rows = [row for figures in sets.values() for kind, row in figures.items() if kind in kinds]
        if rows:
            names = rows[0].keys() - {"conversations"}
            found[group] = {name: mean(row[name] for row in rows) for name in sorted(names)}
    return found


def seconds(pipeline: Pipeline, made: Sequence[Conversation], answers: int) -> dict[str, float]:
    """Time answers of the default model in conversations.

    ``added``: seconds of the stage that reads the conversation, less those of embedding the
    question, which it saves.
    """
    asked = [one for one in made if one.kind != ELSEWHERE]
    reading, saved, whole = [], [], []
    for one in asked[:: max(1, len(asked) // answers)]:
        request = AnswerRequest(one.message, GateMode.AUTO, history=one.history)
        stages = fold(pipeline.answer(request)).usage.stage_seconds
        began = time.perf_counter()
        pipeline.embed([one.gold], role="query")
        saved.append(0.0 if "embed" in stages else time.perf_counter() - began)
        reading.append(stages.get("rewrite", 0.0))
        whole.append(sum(stages.values()))
    pipeline.close()
    added = mean(reading) - mean(saved)
    return {
        "answers timed": len(whole),
        "an answer": mean(whole),
        "reading the conversation": mean(reading),
        "added": added,
        "added share": added / (mean(whole) - added),
    }


if __name__ == "__main__":
    main()
