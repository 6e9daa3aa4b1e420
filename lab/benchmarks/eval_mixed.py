"""Evaluate gate, search, answers and abstention over a store of many sources, like a team's folder.

    python lab/benchmarks/eval_mixed.py --data DATA --json FILE

    gate       questions about the documents against general requests, as written, misspelled, as
               keywords and in lower case: AUC of p_benefit, retrieval rate, and the searches that
               run, including searches of the decision (always: one a question)
    search     nDCG@10 of each source in the mixed store, compared with a store of its own
    answers    never, always, auto and strict, as served: five passages, greedy, at most 25 tokens.
               Auto is composed: the gate decides, and the answer is that of never or always, which
               is the same text

``--json`` keeps the figures in the file of parts that are not run. Questions and sources:
``mixed_store.py``. Answers are cached on disk, so an interrupted run can be resumed. Choices are
made on questions of the train split (``--split train``).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import results_file
from bench_gate import misspelled
from eval_answers import MODELS, config_of, judged
from mixed_store import (
    GENERAL,
    MANUALS,
    SETS,
    SMALL,
    UNANSWERABLE,
    build,
    documents_of,
    questions,
    scored,
    split_of,
    write_documents,
)
from reader_figures import HEADER, Figure, area, mean, means
from served_answers import AnswerCache, ServedAnswer, SourcedQuestion

from expertrag.answer.assemble import open_pipeline
from expertrag.answer.pipeline import Pipeline
from expertrag.api.types import GateDecision, GateMode, SearchMode, Usage
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag.llm.load.loading import quiet
from expertrag.runtime.meter import Meter
from expertrag.stores.embedders import open_embedder
from expertrag_index.store.index import Index
from expertrag_index.types import Progress
from expertrag_index.words.query_words import query_terms
from expertrag_lab.data.datasets import load_dataset, sample
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.ranking import Ranker, embed_queries
from expertrag_lab.metrics import squad
from expertrag_lab.metrics.measures import Measures
from expertrag_retriever.search import Searcher

PARTS = ("gate", "search", "answers")
ANSWERABLE = "answerable"
ANSWERING = (
    "expertrag/answer",
    "expertrag/grounding",
    "expertrag/stores",
    "expertrag/llm",
    "retriever/expertrag_retriever",
)
"""The code between a question and its answer; cached answers of other code are not reused."""
QUERIES_OF_A_SOURCE = 150
DEPTH = 10
VARIANTS: Mapping[str, Callable[[str], str]] = {
    "as they are": lambda text: text,
    "misspelled": misspelled,
    "in keywords": lambda text: " ".join(query_terms(text)),
    "in lower case": lambda text: text.lower(),
}
CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/eval_mixed.py",
    "lab/benchmarks/served_answers.py",
    "lab/benchmarks/mixed_store.py",
    "lab/benchmarks/reader_figures.py",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--questions", type=int, help="maximum per kind, drawn at random")
    parser.add_argument("--answers", type=int, help="how many of these to answer, per kind")
    given = parser.parse_args()
    asked = {
        kind: drawn(some, given.questions)
        for kind, some in questions(given.data, given.split).items()
    }
    work = given.work / "mixed"
    figures: dict[str, list[Figure]] = {}
    inputs: dict[str, JSON] = {}
    with progress() as report, quiet():
        write_documents(given.data, work / "documents")
        embedder = open_embedder(Config().model, None)
        store = build(work / "documents", work / "store", embedder, report)
        if "search" in given.parts:
            figures["search"] = search(given, work, store, report)
        for model in given.models if {"gate", "answers"} & {*given.parts} else ():
            with closing(opened(model, store)) as pipeline:
                about = described(pipeline, store)
                cache = AnswerCache(pipeline, model, about, work / "answers")
                inputs[model] = cache.inputs
                if "gate" in given.parts:
                    figures[f"gate, {model}"] = gate(pipeline, asked)
                if "answers" in given.parts:
                    some = scorable(asked, given.answers)
                    figures[f"answers, {model}"] = answers(pipeline, cache, some, report)
    for part, found in figures.items():
        print("\n".join((f"\n{part}\n", HEADER, *(figure.row for figure in found))))
    sizes = {kind: len(items) for kind, items in asked.items()}
    known = results_file.read(given.json).get("figures", {})
    body = {
        "inputs": {"models": inputs, "questions": sizes, **sized(store)},
        "figures": {**known, **{part: list(map(asdict, some)) for part, some in figures.items()}},
    }
    results_file.write(given.json, body, CODE, figures)


def drawn(asked: Sequence[SourcedQuestion], most: int | None) -> list[SourcedQuestion]:
    """Draw questions in random order, which mixes the sources."""
    return random.Random(0).sample(asked, min(most or len(asked), len(asked)))


def scorable(
    asked: Mapping[str, Sequence[SourcedQuestion]], most: int | None
) -> dict[str, list[SourcedQuestion]]:
    """Select the questions whose answers can be scored."""
    return {kind: [item for item in items if scored(item)][:most] for kind, items in asked.items()}


def opened(model: str, store: Path) -> Pipeline:
    """Open the pipeline with default settings, except the language model."""
    return open_pipeline(replace(config_of(model), index=str(store)))


def described(pipeline: Pipeline, store: Path) -> dict[str, JSON]:
    """Return what answers in forced modes depend on; the gate is not cached."""
    info = pipeline.info()
    with Index.open(store) as index:
        corpus = index.manifest.corpus_hash
    return {
        "corpus": corpus,
        "embedder": info.embedder,
        "generator": info.model,
        "code": [results_file.code_hash(folder) for folder in ANSWERING],
    }


def sized(store: Path) -> dict[str, JSON]:
    """Count documents and chunks."""
    with Index.open(store) as index:
        return {"chunks": index.size, "sources": len(SETS) + len(MANUALS) + 1}


def gate(pipeline: Pipeline, asked: Mapping[str, Sequence[SourcedQuestion]]) -> list[Figure]:
    """Figures of the gate: questions about the documents against general requests."""
    figures, seconds = [], []
    for variant, vary in VARIANTS.items():
        scores: dict[str, list[float]] = {}
        rates: dict[str, list[float]] = {}
        searches: dict[str, list[float]] = {}
        for kind in (ANSWERABLE, GENERAL, UNANSWERABLE):
            decided = [
                decide(pipeline, vary(item.query.text) or item.query.text) for item in asked[kind]
            ]
            scores[kind] = [decision.p_benefit or 0.0 for decision, _ in decided]
            rates[kind] = [float(decision.retrieve) for decision, _ in decided]
            # an answer from documents reuses the search of a decision that has read passages
            searches[kind] = [float(d.retrieve or u.retrieval_calls > 0) for d, u in decided]
            seconds += [sum(usage.stage_seconds.values()) for _, usage in decided]
        both = (*scores[ANSWERABLE], *scores[GENERAL])
        about = [place < len(asked[ANSWERABLE]) for place in range(len(both))]
        figures.append(Figure(f"{variant}: AUC", area(both, about)).at_least(0.98))
        figures.append(mean(f"{variant}: answerable retrieved", rates[ANSWERABLE]).at_least(0.97))
        small = [
            rate
            for item, rate in zip(asked[ANSWERABLE], rates[ANSWERABLE], strict=True)
            if item.source in SMALL
        ]
        figures.append(mean(f"{variant}: of these of small sources", small).at_least(0.97))
        figures.append(mean(f"{variant}: general retrieved", rates[GENERAL]).at_most(0.10))
        figures.append(mean(f"{variant}: unanswerable retrieved", rates[UNANSWERABLE]))
        figures += [
            mean(f"{variant}: searches of a question, {kind}", searches[kind]) for kind in searches
        ]
    return [*figures, mean("seconds to decide", seconds)]


def decide(pipeline: Pipeline, question: str) -> tuple[GateDecision, Usage]:
    """Decide on a question; return the decision and its cost."""
    meter = Meter()
    return pipeline.decide(question, GateMode.AUTO, meter=meter), meter.usage()


def search(given: argparse.Namespace, work: Path, store: Path, report: Progress) -> list[Figure]:
    """NDCG@10 of each source in the mixed store, compared with a store of its own."""
    embedder = open_embedder(Config().model, store)
    figures: list[Figure] = []
    changes: list[float] = []
    ndcg = Measures(["nDCG@10"])
    for name in SETS:
        dataset = load_dataset(given.data / name, split_of(given.data / name, given.split))
        queries = sample(dataset.judged, QUERIES_OF_A_SOURCE, 0)
        held = documents_of(work / "documents" / name)
        qrels = {
            query.id: relevant
            for query in queries
            if (
                relevant := {
                    f"{name}/{document}": grade
                    for document, grade in dataset.qrels[query.id].items()
                    if f"{name}/{document}" in held
                }
            )
        }
        embedded = embed_queries(embedder, [q for q in queries if q.id in qrels], report)
        own = build(work / "documents" / name, work / "own" / name, embedder, report)
        values = []
        for folder in (own, store):
            with Index.open(folder) as index:
                ranker = Ranker(Searcher(index, embedder), DEPTH)
                run = {
                    item.query.id: [p.document_id for p in ranker.rank(item, SearchMode.HYBRID)]
                    for item in embedded
                }
            values.append(list(ndcg.per_query(qrels, run)["nDCG@10"].values()))
        figures.append(means(name, *values).losing_at_most(0.03))
        changes.append(fmean(values[1]) - fmean(values[0]))
    return [*figures, mean("mean of the changes", changes).at_least(-0.01)]


def answers(
    pipeline: Pipeline,
    cache: AnswerCache,
    asked: Mapping[str, Sequence[SourcedQuestion]],
    report: Progress,
) -> list[Figure]:
    """Figures of right answers by policy, and of answers that STRICT gives and withholds."""
    documents, general, nothing = asked[ANSWERABLE], asked[GENERAL], asked[UNANSWERABLE]
    said: dict[tuple[str, GateMode], list[ServedAnswer]] = {}
    never, always, strictly = GateMode.NEVER, GateMode.ALWAYS, GateMode.STRICT
    for kind, some, modes in (
        (GENERAL, general, (never, always)),
        (ANSWERABLE, documents, (never, always, strictly)),
        (UNANSWERABLE, nothing, (always, strictly)),
    ):
        for mode, given in cache.ask(some, modes, report).items():
            said[kind, mode] = given
    for kind, some in ((ANSWERABLE, documents), (GENERAL, general)):
        said[kind, GateMode.AUTO] = [
            chosen(pipeline, item, *both)
            for item, *both in zip(
                some, said[kind, GateMode.NEVER], said[kind, GateMode.ALWAYS], strict=True
            )
        ]
    return [
        *policies(said, documents, general),
        *by_source(said[ANSWERABLE, GateMode.AUTO], documents),
        *strict(said, documents, nothing),
    ]


def chosen(
    pipeline: Pipeline, asked: SourcedQuestion, never: ServedAnswer, always: ServedAnswer
) -> ServedAnswer:
    """Return the answer of auto: that of the mode that the gate decides for, and its time."""
    decision, usage = decide(pipeline, asked.query.text)
    answer = always if decision.retrieve else never
    deciding = sum(usage.stage_seconds.values())
    return replace(answer, seconds=answer.seconds + deciding)


def policies(
    said: Mapping[tuple[str, GateMode], Sequence[ServedAnswer]],
    documents: Sequence[SourcedQuestion],
    general: Sequence[SourcedQuestion],
) -> list[Figure]:
    """Figures of right answers and seconds of never, always and auto."""
    figures = []
    modes = GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO
    for kind, some in ((ANSWERABLE, documents), (GENERAL, general)):
        rights = {mode: scores(said[kind, mode], some) for mode in modes}
        figures += [mean(f"{kind}, {mode}: right", rights[mode]) for mode in modes]
        least = -0.01 if kind == ANSWERABLE else 0.0
        name = f"{kind}: right by auto, less those by always"
        gained = [
            auto - always
            for auto, always in zip(rights[GateMode.AUTO], rights[GateMode.ALWAYS], strict=True)
        ]
        figures.append(mean(name, gained).at_least(least))
    for mode in modes:
        seconds = [item.seconds for kind in (ANSWERABLE, GENERAL) for item in said[kind, mode]]
        figures.append(mean(f"{mode}: seconds", seconds))
    shown = [float(item.shown) for item in said[ANSWERABLE, GateMode.ALWAYS]]
    return [*figures, mean("answerable, always: a passage holds an answer", shown)]


def by_source(said: Sequence[ServedAnswer], asked: Sequence[SourcedQuestion]) -> list[Figure]:
    """Figures of right answers of auto by source."""
    pairs = list(zip(said, asked, strict=True))
    return [
        mean(
            f"{name}, auto: right",
            [float(judged(item, each.query)) for item, each in pairs if each.source == name],
        )
        for name in dict.fromkeys(item.source for item in asked)
    ]


def strict(
    said: Mapping[tuple[str, GateMode], Sequence[ServedAnswer]],
    documents: Sequence[SourcedQuestion],
    nothing: Sequence[SourcedQuestion],
) -> list[Figure]:
    """Figures of STRICT: answers given and withheld, and AUROC of support for right answers."""
    given = said[ANSWERABLE, GateMode.STRICT]
    withheld = [float(item.abstained) for item in said[UNANSWERABLE, GateMode.STRICT]]
    right = [
        (float(judged(item, each.query)))
        for item, each in zip(given, documents, strict=True)
        if not item.abstained
    ]
    lost = [float(item.abstained) for item in given]
    wrong = [0.0] * round(len(withheld) - sum(withheld))
    both = [GateMode.ALWAYS, GateMode.STRICT]
    verdicts = [
        place
        for place, item in enumerate(documents)
        if {*map(squad.normalise, item.query.answers or ())} <= squad.VERDICTS
    ]
    decided = [
        [float(judged(said[ANSWERABLE, mode][at], documents[at].query)) for at in verdicts]
        for mode in both
    ]
    supports, labels = [], []
    for kind, some in ((ANSWERABLE, documents), (UNANSWERABLE, nothing)):
        for item, each in zip(said[kind, GateMode.ALWAYS], some, strict=True):
            if not item.abstained:
                supports.append(item.support or 0.0)
                labels.append(judged(item, each.query) if each.query.answers else False)
    return [
        mean("strict: right, of those that it gives", [*right, *wrong]).at_least(0.80),
        mean("strict: the same of answerable questions alone", right),
        mean("strict: abstains, unanswerable", withheld).at_least(0.85),
        mean("strict: abstains, answerable", lost),
        means("yes or no: right, always and strict", *decided).losing_at_most(0.01),
        Figure("support: AUROC of right against wrong answers", area(supports, labels)).at_least(
            0.80
        ),
    ]


def scores(said: Sequence[ServedAnswer], asked: Sequence[SourcedQuestion]) -> list[float]:
    """Whether each answer is right."""
    return [float(judged(item, each.query)) for item, each in zip(said, asked, strict=True)]


if __name__ == "__main__":
    main()
