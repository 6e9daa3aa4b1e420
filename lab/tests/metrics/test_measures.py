"""Measures against values computed by hand, and against ir_measures' own aggregates."""

from __future__ import annotations

from math import log2
from statistics import fmean

import ir_measures
import numpy as np
import pytest

from expertrag.api.errors import InvalidArgument
from expertrag_lab.metrics.measures import Measures, default_names

QRELS = {"q1": {"a": 1, "b": 1, "c": 2}, "q2": {"d": 1}, "q3": {"e": 1, "f": 1}}
RUN = {"q1": ["x", "c", "a", "y", "b"], "q2": ["d"], "q3": []}

EXPECTED = {
    # gains 0, 2, 1; ideal gains 2, 1, 1
    "nDCG@3": ((2 / log2(3) + 1 / 2) / (2 + 1 / log2(3) + 1 / 2), 1.0),
    "MAP": ((1 / 2 + 2 / 3 + 3 / 5) / 3, 1.0),
    "AP@3": ((1 / 2 + 2 / 3) / 3, 1.0),
    "MRR@10": (1 / 2, 1.0),
    "RR@1": (0.0, 1.0),
    "R@2": (1 / 3, 1.0),
    "P@5": (3 / 5, 1 / 5),
    "Success@1": (0.0, 1.0),
    "Success@2": (1.0, 1.0),
    "Rprec": (2 / 3, 1.0),
    "P(rel=2)@2": (1 / 2, 0.0),
}


def test_every_measure_of_every_query() -> None:
    found = Measures(tuple(EXPECTED)).per_query(QRELS, RUN)
    assert list(found) == list(EXPECTED)  # the caller's spelling
    for name, (first, second) in EXPECTED.items():
        # nothing found for q3, which still counts
        assert found[name] == pytest.approx({"q1": first, "q2": second, "q3": 0.0}), name


def test_missing_queries_count_and_unjudged_ones_do_not() -> None:
    found = Measures(["MAP"]).per_query(QRELS, {"q2": ["d"], "unjudged": ["a"]})
    assert found["MAP"] == {"q1": 0.0, "q2": 1.0, "q3": 0.0}


def test_means_match_the_aggregates_of_ir_measures() -> None:
    names = [*default_names(10), "P@5", "Success@1", "Rprec", "nDCG@100", "RR"]
    rng = np.random.default_rng(0)
    documents = [f"d{number}" for number in range(300)]
    qrels = {
        f"q{query}": {str(name): int(rng.integers(1, 4)) for name in rng.choice(documents, 5)}
        for query in range(30)
    }
    scores = {query: dict(zip(documents, rng.random(300), strict=True)) for query in qrels}
    run = {query: sorted(of, key=lambda name: -of[name])[:100] for query, of in scores.items()}
    found = Measures(names).per_query(qrels, run)
    judged = [ir_measures.Qrel(q, d, grade) for q, of in qrels.items() for d, grade in of.items()]
    scored = [ir_measures.ScoredDoc(q, d, scores[q][d]) for q, of in run.items() for d in of]
    parsed = {name: ir_measures.parse_measure(name) for name in names}
    aggregates = ir_measures.calc_aggregate(list(parsed.values()), judged, scored)
    for name, measure in parsed.items():
        assert fmean(found[name].values()) == pytest.approx(aggregates[measure], abs=1e-6), name


def test_names_and_depth() -> None:
    measures = Measures([" nDCG@20", "MAP", "R@500", "MAP"])
    assert measures.names == ("nDCG@20", "MAP", "R@500")
    assert measures.deepest == 500
    assert Measures(["MAP"]).deepest == 0
    assert default_names(5) == ("nDCG@5", "R@100", "MRR@5", "MAP")


@pytest.mark.parametrize(
    "name",
    [
        "", "foo", "ndcg@10", "P", "P@", "P@0", "P@x", "nDCG@1.5", "nDCG@True", "R@1001", "a b",
        "Rprec@5", "nDCG(rel=2)@5", "nDCG(judged_only=True)@5", "P(rel=0)@5", "Judged@10", "NumQ",
        "nDCG(dcg='exp-log2')@10", "__import__('os')", "\0", "(" * 300, "P@" + "9" * 5000,
    ],
)  # fmt: skip
def test_an_unknown_metric_is_rejected_with_examples(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"unknown metric .*nDCG@10, R@100, MRR@10, MAP"):
        Measures(["MAP", name])


def test_an_empty_list_of_metrics_is_rejected() -> None:
    with pytest.raises(InvalidArgument, match="no metric given"):
        Measures([])
