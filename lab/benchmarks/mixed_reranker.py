"""Answers over a store of many sources with the shipped reranker, and without.

    python lab/benchmarks/mixed_reranker.py --data ../shared/data --json FILE

The store and the questions are those of ``eval_mixed``. Each question is answered from the
documents twice, with the reranker and without. The estimate is what ``auto`` decides by.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import results_file
from eval_answers import config_of
from eval_mixed import ANSWERABLE, described, drawn, scorable, scores
from mixed_store import UNANSWERABLE, build, questions, write_documents
from reader_figures import HEADER, Figure, means
from served_answers import AnswerCache, ServedAnswer, SourcedQuestion

from expertrag import models
from expertrag.answer.assemble import open_pipeline
from expertrag.api.types import GateMode
from expertrag.cli.progress import progress
from expertrag.config import NO_RERANKER, ON_RERANKER, Config
from expertrag.llm.load.loading import quiet
from expertrag.stores.embedders import open_embedder
from expertrag_index.store.index import Index
from expertrag_index.types import Progress
from expertrag_retriever.rerank.estimate import RerankEstimate, estimate_gain
from expertrag_retriever.rerank.loading import load_reranker

CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/mixed_reranker.py",
    "lab/benchmarks/served_answers.py",
    "lab/benchmarks/mixed_store.py",
)
"""The code that the figures depend on."""
MODEL = "qwen2.5-coder-1.5b-instruct"


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--answers", type=int, default=100, help="questions to answer, per kind")
    given = parser.parse_args()
    asked = {kind: drawn(some, None) for kind, some in questions(given.data, "test").items()}
    some = scorable(asked, given.answers)
    work = given.work / "mixed"
    with progress() as report, quiet():
        write_documents(given.data, work / "documents")
        embedder = open_embedder(Config().model, None)
        store = build(work / "documents", work / "store", embedder, report)
        estimate = estimated(store)
        said = [
            answered(given.model, reranker, store, work / "answers", some, report)
            for reranker in (NO_RERANKER, ON_RERANKER)
        ]
    found = figures(said, some)
    print("\n".join((HEADER, *(figure.row for figure in found))))
    print(f"estimate {estimate.gain:+.3f}; auto uses it: {estimate.helps}")
    body = {
        "model": given.model,
        "estimate": {**asdict(estimate), "gain": estimate.gain, "helps": estimate.helps},
        "figures": [asdict(figure) for figure in found],
    }
    results_file.write(given.json, body, CODE)


def estimated(store: Path) -> RerankEstimate:
    """Estimate the gain of the shipped reranker on the store's own questions."""
    name = models.SHIPPED_RERANKERS[0]
    reranker = load_reranker(models.reranker_source(name), name=name, resolve=models.resolve)
    with Index.open(store) as index:
        return estimate_gain(index, open_embedder(Config().model, store), reranker)


def answered(
    model: str,
    reranker: str,
    store: Path,
    folder: Path,
    asked: dict[str, list[SourcedQuestion]],
    report: Progress,
) -> dict[str, list[ServedAnswer]]:
    """Answer the questions from the documents."""
    config = config_of(model)
    config = replace(config, index=str(store), model=replace(config.model, reranker=reranker))
    with closing(open_pipeline(config)) as pipeline:
        about = {**described(pipeline, store), "reranker": reranker}
        cache = AnswerCache(pipeline, f"{model}-reranker-{reranker}", about, folder)
        return {
            kind: cache.ask(asked[kind], (GateMode.ALWAYS,), report)[GateMode.ALWAYS]
            for kind in (ANSWERABLE, UNANSWERABLE)
        }


def figures(
    said: list[dict[str, list[ServedAnswer]]], asked: dict[str, list[SourcedQuestion]]
) -> list[Figure]:
    """Figures without the reranker and with it."""
    documents = asked[ANSWERABLE]
    rights = [scores(each[ANSWERABLE], documents) for each in said]
    shown = [[float(item.shown) for item in each[ANSWERABLE]] for each in said]
    first = [[float(any(item.judged[:1])) for item in each[ANSWERABLE]] for each in said]
    found = [
        means("answerable: right", *rights).losing_at_most(0.0),
        means("answerable: a passage holds an answer", *shown),
        means("answerable: the first passage is relevant", *first),
    ]
    for kind in (ANSWERABLE, UNANSWERABLE):
        withheld = [[float(item.abstained) for item in each[kind]] for each in said]
        found.append(means(f"{kind}: abstains", *withheld))
    seconds = [[item.seconds for item in each[ANSWERABLE]] for each in said]
    return [*found, means("seconds", *seconds)]


if __name__ == "__main__":
    main()
