"""Compare a reader with its base model on test splits: answers, citations, abstention, cost.

    python lab/benchmarks/eval_reader.py --data DATA --reader BUNDLE --json FILE

Both are run by the generation engine, as served: greedy decoding, with the prompts of
``expertrag/llm/prompt.py``, each question by the expert that the embedder's router chooses. For the
passages of a question see ``reader_questions.py``, for the cache of answers ``reader_answers.py``.

    gold        answers from the gold passages alone: squad2, hotpotqa, popqa
    found       answers from the system's five best passages
    verdicts    pubmedqa: yes, no or maybe, at the start of the answer
    citations   where they point, with the system's passages and with gold among them
    abstention  squad2: AUROC of its probability, unanswerable questions against the others
    experts     test questions of each domain by the routed expert, against each of the others
    general     loss on questions without passages, and general questions by the shared expert
    speed       tokens per second and parameters per token, compared with the dense base

``--json`` keeps the figures in the file of parts that are not run.
"before" is the base model, except in ``experts`` and the last rows of ``general``, where it is the
named expert.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import results_file
from reader_answers import Contestants
from reader_figures import (
    HEADER,
    Figure,
    areas,
    citations,
    compared,
    exact,
    holds_answer,
    is_gold,
    mean,
    means,
    recall,
    right,
    scored,
    shares,
)
from reader_questions import FOUND, QuestionSet, Search
from reader_speed import ROUNDS, TEXTS, speed

from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.api.types import RetrieveRequest
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag.llm.base import SHARED
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.loading import model_files, quiet
from expertrag.llm.load.source import ModelSource
from expertrag.stores.embedders import open_embedder
from expertrag_index.types import Progress
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.serving import model_inputs
from expertrag_lab.eval.stores import build_store
from expertrag_lab.train.reader.network import ANSWER_TOKENS

BASE = "smollm2-135m-instruct-moe"
GENERAL_SETS = ("squad2", "hotpotqa", "popqa")
DOMAINS = {  # data sets with short answers
    "biomedicine": ("pubmedqa", "bioasq"),
    "finance": ("tatqa",),
    "encyclopedia": GENERAL_SETS,
}
GOLD_BARS = {"squad2": 0.5, "hotpotqa": 0.5, "popqa": 0.7}
FOUND_BARS = {"squad2": 0.4}
QUICK = 20
CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/eval_reader.py",
    "lab/benchmarks/reader_answers.py",
    "lab/benchmarks/reader_figures.py",
    "lab/benchmarks/reader_questions.py",
)


def main() -> None:
    """Run the parts, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--reader", type=Path, required=True, help="bundle of `train reader`")
    parser.add_argument("--base", default=BASE, help="the model that the reader was trained on")
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--questions", type=int, default=300, help="questions per data set")
    parser.add_argument("--tokens", type=int, default=ANSWER_TOKENS, help="tokens per answer")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} questions per data set")
    given = parser.parse_args()
    count = QUICK if given.quick else given.questions
    figures = results_file.read(given.json).get("figures", {})
    with progress() as report, quiet(), Bench(given, count, report) as bench:
        for part in given.parts:
            found = PARTS[part](bench)
            print("\n".join((f"\n{part}\n", HEADER, *(figure.row for figure in found))))
            sys.stdout.flush()
            figures[part] = list(map(asdict, found))
            # after each part, because all parts take hours
            body = {"inputs": bench.inputs, "figures": figures}
            results_file.write(given.json, body, CODE, (part,))


class Bench(ExitStack):
    """The models, data sets and stores, each opened on demand."""

    def __init__(self, given: argparse.Namespace, count: int, report: Progress) -> None:
        super().__init__()
        self.report, self.quick = report, given.quick
        self._data, self._work, self._count = given.data, given.work, count
        self._embedder = open_embedder(Config().model, None)
        self.models = Contestants(
            given.base, given.reader, self._embedder, given.work, given.tokens, report
        )
        self._sets: dict[str, QuestionSet] = {}
        self._pipelines: dict[str, Pipeline] = {}
        self._tokens = given.tokens

    @property
    def inputs(self) -> dict[str, JSON]:
        """Everything that the figures depend on, for the manifest."""
        return {
            "base": model_inputs(self.models.base.generator),
            "reader": model_inputs(self.models.reader.generator),
            "embedder": model_inputs(self._embedder),
            "questions": self._count,
            "tokens": self._tokens,
            "sets": {name: item.dataset.sha256 for name, item in sorted(self._sets.items())},
        }

    def set(self, name: str) -> QuestionSet:
        """Open the test questions of a data set."""
        if name not in self._sets:
            self._sets[name] = QuestionSet(self._data / name, self._count)
        return self._sets[name]

    def search(self, name: str) -> Search:
        """Return the pipeline's search over a store of a data set's corpus; build it if needed."""
        if name not in self._pipelines:
            store, _ = build_store(
                self.set(name).dataset, self._embedder, "chunk", self._work, self.report
            )
            opened = Pipeline(store, PipelineModels(self._embedder, self.models.base.generator))
            self._pipelines[name] = opened
            self.callback(opened.close)
        pipeline = self._pipelines[name]
        return lambda question, k: pipeline.retrieve(RetrieveRequest(question, k=k)).passages


def gold(bench: Bench) -> list[Figure]:
    """Figures of answers from the gold passages."""
    figures = []
    for name, bar in GOLD_BARS.items():
        asked = bench.set(name).alone()
        replies = bench.models.both(asked)
        figures.append(compared(f"{name} gold", right, asked, replies).at_least(bar))
        figures.append(compared(f"{name} gold, exact", exact, asked, replies))
    return figures


def found(bench: Bench) -> list[Figure]:
    """Figures of answers from the system's passages."""
    figures = []
    for name in GENERAL_SETS:
        asked = bench.set(name).found(bench.search(name))
        replies = bench.models.both(asked)
        figure = compared(f"{name} top-{FOUND}", right, asked, replies)
        figures.append(figure.at_least(FOUND_BARS[name]) if name in FOUND_BARS else figure)
        figures.append(mean(f"{name} recall@{FOUND} of gold documents", list(map(recall, asked))))
    return figures


def verdicts(bench: Bench) -> list[Figure]:
    """Figures of verdicts: yes, no or maybe."""
    testset = bench.set("pubmedqa")
    asked = testset.alone()
    replies = bench.models.both(asked)
    name = f"pubmedqa verdict (commonest {testset.majority:.3f})"
    return [compared(name, scored, asked, replies).at_least(testset.majority + 0.05)]


def cited(bench: Bench) -> list[Figure]:
    """Figures of citations: where they point, and how many answers have one."""
    testset, search = bench.set("squad2"), bench.search("squad2")
    figures = []
    for form, asked in (
        (f"top-{FOUND}", testset.found(search)),
        ("gold among others", testset.among(search)),
    ):
        replies = bench.models.both(asked)
        for whose, chosen in (("all", None), ("right", right)):
            for what, points in (("answer", holds_answer), ("gold", is_gold)):
                before, after = (
                    [
                        citations(item, answer, points)
                        for item, answer in zip(asked, some, strict=True)
                        if chosen is None or chosen(item, answer)
                    ]
                    for some in replies
                )
                name = f"squad2 {form}: citations of {what}, {whose} answers"
                figure = shares(name, before, after)
                barred = form == f"top-{FOUND}" and what == "answer"
                figures.append(figure.at_least(0.8) if barred else figure)
        cites = f"squad2 {form}: answers that cite"
        figures.append(compared(cites, lambda _, said: bool(said.reply.cited), asked, replies))
    return figures


def abstention(bench: Bench) -> list[Figure]:
    """Figures of abstention: unanswerable questions with a tempting document against the others."""
    testset = bench.set("squad2")
    tempting, alone = testset.tempting(), testset.alone()
    before, after = bench.models.both([*tempting, *alone])
    labels = [place < len(tempting) for place in range(len(before))]
    doubt_before, doubt = ([item.doubt for item in some] for some in (before, after))
    figures = [areas("squad2 AUROC of abstention", doubt_before, doubt, labels).at_least(0.7)]
    for name, part in (
        ("unanswerable", slice(len(tempting))),
        ("answerable", slice(len(tempting), None)),
    ):
        rates = (
            [float(not item.reply.has_answer) for item in some[part]] for some in (before, after)
        )
        figures.append(means(f"squad2 abstains, {name}", *rates))
    return figures


def experts(bench: Bench) -> list[Figure]:
    """Figures of each domain's questions by the routed expert, against each named expert."""
    figures = []
    for domain in [name for name in bench.models.experts if name in DOMAINS]:
        sets = [bench.set(name).alone() for name in DOMAINS[domain]]
        asked = [item for some in sets for item in some if item.reply]
        chosen = bench.models.chosen(asked)
        own = [float(name == domain) for name in chosen]
        figures.append(mean(f"{domain}: questions routed to it", own))
        routed = bench.models.routed(asked)
        for expert in bench.models.experts:
            rival = bench.models.by(expert, asked)
            name = f"{domain}: routed after {expert}"
            figures.append(compared(name, scored, asked, (rival, routed)))
            likely = ([item.likely or 0.0 for item in some] for some in (rival, routed))
            figures.append(means(f"{name}, log p of a gold token", *likely))
    return figures


def general(bench: Bench) -> list[Figure]:
    """Figures of questions without passages, and of general questions by the shared expert."""
    closed = bench.set("openqa").closed()
    pair = bench.models.both(closed)
    figures = [compared("openqa closed book", right, closed, pair).losing_at_most(0.01)]
    if "encyclopedia" in bench.models.experts:
        for name in GENERAL_SETS:
            asked = bench.set(name).alone()
            pair = bench.models.by("encyclopedia", asked), bench.models.by(SHARED, asked)
            figures.append(compared(f"{name} gold: general after encyclopedia", right, asked, pair))
    return figures


def cost(bench: Bench) -> list[Figure]:
    """Figures of speed and parameters, on gold prompts of squad2."""
    asked = bench.set("squad2").alone()[:TEXTS]
    chat = ChatTokenizer(ModelSource(model_files(bench.models.base_folder)).tokenizer)
    prompts = [chat.encode(item.messages) for item in asked]
    folders = bench.models.base_folder, bench.models.reader_folder
    return speed(*folders, prompts, bench.report, 2 if bench.quick else ROUNDS)


PARTS: dict[str, Callable[[Bench], list[Figure]]] = {
    "gold": gold,
    "found": found,
    "verdicts": verdicts,
    "citations": cited,
    "abstention": abstention,
    "experts": experts,
    "general": general,
    "speed": cost,
}


if __name__ == "__main__":
    main()
