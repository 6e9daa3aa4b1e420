"""The retrieval evaluation on a real data set, and on data sets that cannot be evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import ir_measures
import numpy as np
import pytest
from eval.conftest import MakeSet

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.api.types import SearchMode
from expertrag_index.store.index import Index
from expertrag_index.types import silent
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.qrels import read_qrels
from expertrag_lab.eval.retrieval import UNANSWERABLE, RetrievalSettings, evaluate
from expertrag_lab.eval.stores import build_store
from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.search import Searcher

BEIR = Path(__file__).parents[3] / "tests" / "data" / "beir_small"
MODES = ("bm25", "dense", "hybrid")
METRICS = ("nDCG@10", "R@100", "MRR@10", "MAP")
Evaluated = Callable[..., Any]

CORPUS = {
    "tide": "The tide tables of the harbour.",
    "wind": "How the wind turns in autumn.",
    "bread": "Bread is baked before dawn.",
}
QUERIES = {"q1": "tide tables", "q2": "zephyr", "q3": "bread baked at dawn"}
QRELS = {"q1": {"tide": 1, "lost": 1}, "q2": {"wind": 1}, "q3": {"bread": 2, "wind": 0}}


class Guarded:
    """An embedder without some of its methods, and without a vector for some queries."""

    def __init__(
        self, inner: SentenceTransformerEmbedder, *forbidden: str, failing: str = ""
    ) -> None:
        self._inner = inner
        self._forbidden = forbidden
        self._failing = failing

    def __getattr__(self, name: str) -> Any:
        assert name not in self._forbidden
        return getattr(self._inner, name)

    def encode_queries(self, texts: list[str], domain: str | None = None) -> Any:
        assert "encode_queries" not in self._forbidden
        vectors = self._inner.encode_queries(texts, domain)
        vectors[[text == self._failing for text in texts]] = np.nan
        return vectors


@pytest.fixture(scope="module")
def report(work: Path, embedder: SentenceTransformerEmbedder) -> Any:
    return evaluate([BEIR], embedder, RetrievalSettings(), work, silent)


@pytest.fixture
def evaluated(embedder: SentenceTransformerEmbedder, tmp_path: Path) -> Evaluated:
    """Evaluates data sets with settings, by default with the real embedder."""

    def made(*folders: Path, by: Any = embedder, **settings: Any) -> Any:
        return evaluate(folders, by, RetrievalSettings(**settings), tmp_path, silent)

    return made


def test_the_report_has_the_documented_structure(report: Any) -> None:
    assert json.loads(json.dumps(report, allow_nan=False))["kind"] == "retrieval"
    assert list(report["datasets"]) == ["beir_small"]
    means, intervals = report["datasets"]["beir_small"], report["intervals"]["beir_small"]
    assert tuple(means) == MODES
    for mode in MODES:
        assert tuple(means[mode]) == METRICS
        for metric, value in means[mode].items():
            low, high = intervals[mode][metric]
            assert 0.0 <= low <= value <= high <= 1.0
    assert report["mean"] == means
    assert report["sizes"]["beir_small"] == {
        "documents": 150, "chunks": 150, "queries": 40, "judgements": 40, "judged_missing": 0
    }  # fmt: skip
    assert report["skipped"] == {"beir_small": []}
    assert means["hybrid"]["nDCG@10"] > 0.8


def test_every_judged_query_has_a_value_and_counts_in_the_mean(report: Any) -> None:
    judged = set(read_qrels(BEIR / "qrels" / "test.tsv"))
    for mode in MODES:
        for metric in METRICS:
            values = report["per_query"]["beir_small"][mode][metric]
            assert set(values) == judged
            assert report["datasets"]["beir_small"][mode][metric] == fmean(values.values())


def test_figures_match_ir_measures_on_the_searchers_run(
    report: Any, work: Path, embedder: SentenceTransformerEmbedder
) -> None:
    dataset = load_dataset(BEIR)
    store, _ = build_store(dataset, embedder, "document", work, silent)
    judged = [
        ir_measures.Qrel(query, document, grade)
        for query, grades in dataset.qrels.items()
        for document, grade in grades.items()
    ]
    measures = {name: ir_measures.parse_measure(name) for name in METRICS}
    with Index.open(store) as index:
        searcher = Searcher(index, embedder)
        for mode in SearchMode:
            run = [
                ir_measures.ScoredDoc(query.id, passage.document_id, passage.score)
                for query in dataset.judged
                for passage in searcher.search(query.text, k=100, mode=mode).passages
            ]
            expected = ir_measures.calc_aggregate(list(measures.values()), judged, run)
            for name, measure in measures.items():
                found = report["datasets"]["beir_small"][mode.value][name]
                assert found == pytest.approx(expected[measure], abs=1e-6), (mode, name)


def test_each_pair_of_modes_is_compared_by_every_metric(report: Any) -> None:
    rows = report["comparisons"]["beir_small"]
    pairs = [(row["a"], row["b"]) for row in rows]
    assert set(pairs) == {("bm25", "dense"), ("bm25", "hybrid"), ("dense", "hybrid")}
    assert len(rows) == 12
    means = report["datasets"]["beir_small"]
    for row in rows:
        gain = means[row["b"]][row["metric"]] - means[row["a"]][row["metric"]]
        assert row["difference"] == pytest.approx(gain)
        assert row["n"] == 40
        assert row["p_t"] <= row["p_t_holm"] <= 1.0
        assert row["p_fisher"] <= row["p_fisher_holm"] <= 1.0


def test_the_worst_queries_have_their_results(report: Any) -> None:
    worst = report["worst"]["beir_small"]
    values = report["per_query"]["beir_small"]["hybrid"]["nDCG@10"]
    assert [item["value"] for item in worst] == sorted(values.values())[:10]
    for item in worst:
        assert (item["mode"], item["metric"]) == ("hybrid", "nDCG@10")
        assert values[item["query_id"]] == item["value"]
        assert len(item["passages"]) == 10
        for passage in item["passages"]:
            assert passage["relevant"] == (passage["document_id"] in item["relevant"])
            assert 0 < len(passage["text"]) <= 301


def test_a_second_run_embeds_no_document_and_gives_the_same_report(
    report: Any, work: Path, embedder: SentenceTransformerEmbedder
) -> None:
    guarded: Any = Guarded(embedder, "encode_documents")
    stages: set[str] = set()
    again: Any = evaluate(
        [BEIR], guarded, RetrievalSettings(), work, lambda stage, *_: stages.add(stage)
    )
    assert {key: again[key] for key in again if key != "manifest"} == {
        key: report[key] for key in report if key != "manifest"
    }
    assert again["manifest"]["id"] == report["manifest"]["id"]
    names = ("reading", "queries", *MODES, "comparing")
    assert stages == {f"beir_small: {name}" for name in names}


def test_bm25_alone_embeds_no_query(
    report: Any, work: Path, embedder: SentenceTransformerEmbedder
) -> None:
    guarded: Any = Guarded(embedder, "encode_queries", "encode_query", "encode_documents")
    settings = RetrievalSettings(modes=("bm25",), metrics=("MRR@10",), k=3)
    found: Any = evaluate([BEIR], guarded, settings, work, silent)
    expected = report["datasets"]["beir_small"]["bm25"]["MRR@10"]
    assert found["datasets"] == {"beir_small": {"bm25": {"MRR@10": expected}}}
    assert found["comparisons"] == {"beir_small": []}
    assert {item["mode"] for item in found["worst"]["beir_small"]} == {"bm25"}
    assert max(len(item["passages"]) for item in found["worst"]["beir_small"]) == 3


def test_a_limit_draws_queries_by_seed(work: Path, embedder: SentenceTransformerEmbedder) -> None:
    def drawn(limit: int, seed: int) -> dict[str, float]:
        settings = RetrievalSettings(("bm25",), ("MAP",), limit=limit, seed=seed)
        found: Any = evaluate([BEIR], embedder, settings, work, silent)
        assert found["sizes"]["beir_small"]["queries"] == limit
        values: dict[str, float] = found["per_query"]["beir_small"]["bm25"]["MAP"]
        return values

    five = drawn(5, 0)
    assert drawn(5, 0) == five
    assert five.items() <= drawn(9, 0).items()
    assert set(drawn(5, 1)) != set(five)


def test_chunks_are_searched_but_documents_ranked(make_set: MakeSet, evaluated: Evaluated) -> None:
    corpus = {
        "long": "\n\n".join(f"Part {n}: harbours of Genoa. " * 20 for n in range(9)),
        **CORPUS,
    }
    folder = make_set(corpus, {"q": "tide tables of the harbour"}, {"q": {"tide": 1}})
    found = evaluated(folder, unit="chunk", metrics=("MRR@10",))
    assert found["sizes"]["tiny"]["documents"] == 4
    assert found["sizes"]["tiny"]["chunks"] > 8
    assert found["datasets"]["tiny"] == {mode: {"MRR@10": 1.0} for mode in MODES}
    (item,) = found["worst"]["tiny"]
    assert len(item["passages"]) == 4


def test_a_query_without_a_hit_scores_0_and_missing_documents_are_counted(
    make_set: MakeSet, evaluated: Evaluated
) -> None:
    qrels = {**QRELS, "ghost": {"tide": 1}}
    first = make_set(CORPUS, QUERIES, qrels, name="first")
    second = make_set(CORPUS, {"q": "bread"}, {"q": {"bread": 1}}, name="second")
    found = evaluated(first, second, metrics=("Success@1", "R@3"))
    bm25 = found["per_query"]["first"]["bm25"]
    assert bm25["Success@1"] == {"q1": 1.0, "q2": 0.0, "q3": 1.0}
    assert bm25["R@3"] == {"q1": 0.5, "q2": 0.0, "q3": 1.0}
    assert found["per_query"]["first"]["dense"]["R@3"] == {"q1": 0.5, "q2": 1.0, "q3": 1.0}
    assert found["datasets"]["first"]["bm25"]["R@3"] == 0.5
    assert found["mean"]["bm25"]["R@3"] == 0.75  # each set has the same weight
    assert found["sizes"]["first"] == {
        "documents": 3, "chunks": 3, "queries": 3, "judgements": 4, "judged_missing": 1
    }  # fmt: skip
    assert found["skipped"] == {
        "first": [
            {"id": "ghost", "reason": "not in queries", "retry": False},
            {
                "id": "lost",
                "reason": "judged, but not in the corpus: counts as not found",
                "retry": False,
            },
        ],
        "second": [],
    }
    json.dumps(found, allow_nan=False)


def test_questions_that_the_corpus_cannot_answer_are_counted_as_skipped(
    make_set: MakeSet, evaluated: Evaluated
) -> None:
    folder = make_set(CORPUS, QUERIES, QRELS)
    with (folder / "queries.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"_id": "q4", "text": "who sank?", "answers": []}))
    found = evaluated(folder, modes=("bm25",), metrics=("MAP",), limit=2)
    assert found["sizes"]["tiny"]["queries"] == 2
    assert {"id": "q4", "reason": UNANSWERABLE, "retry": False} in found["skipped"]["tiny"]


def test_a_query_that_cannot_be_searched_is_skipped_in_all_modes_and_counted(
    make_set: MakeSet, evaluated: Evaluated, embedder: SentenceTransformerEmbedder
) -> None:
    folder = make_set(CORPUS, QUERIES, QRELS)
    failing = Guarded(embedder, failing=QUERIES["q1"])
    found = evaluated(folder, by=failing, metrics=("MAP",))
    for mode in MODES:
        assert set(found["per_query"]["tiny"][mode]["MAP"]) == {"q2", "q3"}
    assert found["skipped"]["tiny"] == [
        {"id": "q1", "reason": "a query vector must be finite and not zero", "retry": False}
    ]
    assert found["sizes"]["tiny"]["queries"] == 2
    alone = make_set(CORPUS, {"q1": QUERIES["q1"]}, {"q1": {"tide": 1}})
    with pytest.raises(InvalidArgument, match="no query of tiny can be searched: a query vector"):
        evaluated(alone, by=failing, metrics=("MAP",))


def test_a_data_set_that_cannot_be_evaluated_is_rejected(
    make_set: MakeSet, evaluated: Evaluated, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no data set at"):
        evaluated(tmp_path / "nowhere")
    folder = make_set(CORPUS, QUERIES, QRELS)
    with pytest.raises(NotFound, match=r"no judgements .*dev\.tsv \(existing splits: test\)"):
        evaluated(folder, split="dev")
    with pytest.raises(InvalidArgument, match="two data sets are named tiny"):
        evaluated(folder, make_set(CORPUS, QUERIES, QRELS))
    with pytest.raises(InvalidArgument, match=r"split test of .* is empty"):
        evaluated(make_set(CORPUS, QUERIES, {}))
    unanswerable = make_set(CORPUS, {}, {})
    line = {"_id": "q", "text": "?", "answers": [], "metadata": {"split": "test"}}
    (unanswerable / "queries.jsonl").write_text(json.dumps(line))
    with pytest.raises(InvalidArgument, match="has no query with a relevant document"):
        evaluated(unanswerable)
    with pytest.raises(
        InvalidArgument, match=r"contains none of the documents that split test judges, .* dX"
    ):
        evaluated(make_set(CORPUS, QUERIES, {"q1": {"dX": 1}, "q2": {"dY": 1}}))


def test_the_mode_experts_needs_experts(evaluated: Evaluated) -> None:
    with pytest.raises(InvalidArgument, match="minilm-domains") as caught:
        evaluated(BEIR, modes=("hybrid", "experts"))
    assert caught.value.reason == "EXPERTS_MISSING"


def test_settings_are_checked_before_anything_is_loaded() -> None:
    with pytest.raises(InvalidArgument, match="unknown metric 'foo'"):
        RetrievalSettings(metrics=("foo",))
    with pytest.raises(InvalidArgument, match="unknown mode 'foo'"):
        RetrievalSettings(modes=("foo",))
    with pytest.raises(InvalidArgument, match="cut-offs of 1 to 1000"):
        RetrievalSettings(k=0)
    with pytest.raises(InvalidArgument, match="limit is 0"):
        RetrievalSettings(limit=0)
