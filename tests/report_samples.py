"""Reports written by hand, small enough to check every figure that is shown of them."""

from __future__ import annotations

import copy
from typing import Any

Report = dict[str, Any]

NASTY = "<script>alert('x')</script> $\\alpha$ | [a](http://evil.example) \x1b[31m"
"""What a data set may hold to steer a page, a plot, a table or a terminal."""


def manifest(command: str, **inputs: object) -> Report:
    return {
        "id": "0123456789abcdef",
        "command": command,
        "inputs": {"seed": 7, **inputs},
        "version": "0.1.0",
        "commit": "abc1234",
        "created_at": "2025-02-03T04:05:06+00:00",
        "machine": {"platform": "Linux x86_64", "cpu": "Some CPU", "cores": 2},
    }


def comparison(a: str, b: str, metric: str, difference: float, p: float) -> Report:
    return {
        "metric": metric,
        "a": a,
        "b": b,
        "n": 5,
        "difference": difference,
        "low": difference - 0.1,
        "high": difference + 0.1,
        "p_t": p / 2,
        "p_fisher": p / 2,
        "p_t_holm": p,
        "p_fisher_holm": p,
    }


def retrieval(query: str = "where is the moon", name: str = "scifact") -> Report:
    """Two sets and two modes; ``hybrid`` is significantly better on the first alone."""
    return {
        "kind": "retrieval",
        "manifest": manifest("retrieval", embedder="/models/all-minilm-l6-v2"),
        "datasets": {
            name: {"bm25": {"nDCG@10": 0.5}, "hybrid": {"nDCG@10": 0.75}},
            "2wikimultihopqa": {"bm25": {"nDCG@10": 0.25}, "hybrid": {"nDCG@10": 0.35}},
        },
        "mean": {"bm25": {"nDCG@10": 0.375}, "hybrid": {"nDCG@10": 0.55}},
        "intervals": {
            name: {"bm25": {"nDCG@10": [0.4, 0.6]}, "hybrid": {"nDCG@10": [0.7, 0.8]}},
            "2wikimultihopqa": {
                "bm25": {"nDCG@10": [0.2, 0.3]},
                "hybrid": {"nDCG@10": [0.3, 0.4]},
            },
        },
        "comparisons": {
            name: [comparison("bm25", "hybrid", "nDCG@10", 0.25, 0.004)],
            "2wikimultihopqa": [comparison("bm25", "hybrid", "nDCG@10", 0.1, 0.08)],
        },
        "per_query": {
            name: {
                "bm25": {"nDCG@10": {"q1": 0.25, "q2": 0.75}},
                "hybrid": {"nDCG@10": {"q1": 0.5, "q2": 1.0}},
            }
        },
        "sizes": {
            name: {"documents": 5183, "chunks": 7000, "queries": 300, "judgements": 339},
        },
        "worst": {
            name: [
                {
                    "query_id": "q1",
                    "query": query,
                    "mode": "hybrid",
                    "metric": "nDCG@10",
                    "value": 0.0,
                    "relevant": ["d9"],
                    "passages": [passage("d1", relevant=False), passage("d9", relevant=True)],
                }
            ]
        },
        "skipped": {
            name: [{"id": f"q{n}", "reason": "not in queries"} for n in range(5)],
            "2wikimultihopqa": [],
        },
    }


def passage(document: str, *, relevant: bool) -> Report:
    return {
        "document_id": document,
        "title": f"Title of {document}",
        "text": "The moon is up.",
        "score": 0.5,
        "relevant": relevant,
    }


def policy(accuracy: float, rate: float, **more: object) -> Report:
    return {
        "accuracy": accuracy,
        "rate": rate,
        "lm_calls": 1.0,
        "n": 1000,
        "interval": [accuracy - 0.02, accuracy + 0.02],
        **more,
    }


def policies(*, with_gate: bool = True) -> Report:
    found = {
        "never": policy(0.3, 0.0),
        "always": policy(0.4, 1.0),
        "oracle": policy(0.5, 0.2),
        "random": policy(0.36, 0.6),
    }
    if with_gate:
        found["gate"] = policy(
            0.42,
            0.6,
            name="signal",
            threshold=0.3,
            auc_benefit=0.71,
            harm=0.05,
            missed=0.04,
            ece=0.033,
            frontier=[[0.0, 0.3], [0.6, 0.42], [1.0, 0.4]],
            area_over_random=0.025,
            reliability=[
                {"low": 0.0, "high": 0.5, "n": 700, "predicted": 0.2, "observed": 0.15},
                {"low": 0.5, "high": 1.0, "n": 300, "predicted": 0.6, "observed": 0.65},
            ],
            budget=[
                {
                    "target": 0.25,
                    "rule": "nominal",
                    "realised": 0.251,
                    "realised_low": 0.22,
                    "realised_high": 0.28,
                    "violations": 0.5,
                    "accuracy": 0.37,
                }
            ],
        )
    return found


def gate(*, with_gate: bool = True) -> Report:
    """Two sets, with the same figures in each."""
    report = {
        "kind": "gate",
        "manifest": manifest("gate"),
        "pooled": policies(with_gate=with_gate),
        "sets": {name: policies(with_gate=with_gate) for name in ("nq", "2wikimultihopqa")},
        "comparisons": {
            "pooled": [comparison("never", "always", "accuracy", 0.1, 0.0004)],
            "nq": [comparison("never", "always", "accuracy", 0.1, 0.04)],
        },
        "per_query": {
            "nq": {"never": {"1": 0, "2": 1}, "always": {"1": 1, "2": 1}},
        },
        "skipped": {"nq": []},
        "unanswerable": {"nq": 0},
    }
    return copy.deepcopy(report)


def answers(accuracy: float | None, rate: float) -> Report:
    known = accuracy is not None
    return {
        "accuracy": accuracy,
        "interval": [accuracy - 0.05, accuracy + 0.05] if accuracy is not None else None,
        "exact_match": 0.125 if known else None,
        "f1": 0.2 if known else None,
        "containment": accuracy,
        "rate": rate,
        "n": 100,
        "answerable": 80 if known else 0,
        "retrieval_calls": rate,
        "lm_calls": 1.0,
        "prompt_tokens": 420.4,
        "completion_tokens": 12.0,
        "seconds": 1.25,
        "stage_seconds": {"generate": 1.0, "search": 0.25},
        "citation_precision": 0.8 if rate else None,
        "citation_recall": 0.4 if rate else None,
        "relevant_support": 0.61,
        "abstention_auroc": None,
        "aurc": 0.44 if known else None,
        "risk_coverage": [[0.5, 0.2], [1.0, 0.6]] if known else [],
    }


def answer(output: str = "Rome") -> Report:
    """Two sets, the second without short answers."""
    found = {"never": answers(0.3, 0.0), "auto": answers(0.41, 0.55)}
    return {
        "kind": "answer",
        "manifest": manifest("answer", model="/models/smollm2"),
        "policies": ["never", "auto"],
        "pooled": found,
        "sets": {
            "squad2": found,
            "pubmedqa": {"never": answers(None, 0.0), "auto": answers(None, 0.5)},
        },
        "comparisons": {"pooled": [comparison("never", "auto", "accuracy", 0.11, 0.03)]},
        "per_query": {"squad2": {"never": {"accuracy": {"1": 0.0}, "f1": {"1": 0.5}}}},
        "gate": {
            "pooled": policies(),
            "sets": {"squad2": policies(), "pubmedqa": policies()},
        },
        "worst": {
            "squad2": [
                {
                    "query_id": "1",
                    "query": "What is the capital of Poland?",
                    "policy": "auto",
                    "answers": ["Warsaw"],
                    "output": output,
                    "documents": ["d1", "d2"],
                    "relevant": ["d2"],
                }
            ]
        },
        "sizes": {},
        "skipped": {"squad2": []},
    }


def cost() -> Report:
    figures = {
        "n": 40,
        "rate": 0.25,
        "stages": {
            "gate": 0.1,
            "prefill": 0.05,
            "retrieve": 0.02,
            "generate_long": 1.2,
            "generate_short": 0.4,
        },
        "predicted": {"formula": 0.705, "with_reuse": 0.6675},
        "measured": {"auto": 0.64, "never": 0.4, "always": 1.25},
        "error": {"formula": 0.1016, "with_reuse": 0.043},
        "error_interval": [0.05, 0.15],
    }
    return {
        "kind": "cost",
        "manifest": manifest("cost"),
        "pooled": figures,
        "sets": {"squad2": figures},
        "per_query": {"squad2": {"auto": {"seconds": {"1": 0.64}}}},
        "skipped": {"squad2": []},
    }


def consistency() -> Report:
    def figures(value: float) -> Report:
        estimate = {"mean": value, "low": value - 0.1, "high": value + 0.1, "n": 50}
        names = ("decision_consistency", "p_benefit_gap", "answer_consistency", "answer_f1")
        return {**dict.fromkeys(names, estimate), "accuracy": None}

    return {
        "kind": "consistency",
        "manifest": manifest("consistency"),
        "pooled": figures(0.8),
        "sets": {"squad2": figures(0.85), "popqa": figures(0.75)},
        "sizes": {"squad2": {"questions": 50, "wordings": 400}},
        "per_query": {"squad2": {"decision_consistency": {"1": 1.0}}},
        "rewrites": {
            "pooled": {
                "lower_case": {
                    "n": 50,
                    "decision_changed": 0.12,
                    "answer_changed": 0.34,
                    "p_benefit_change": -0.015,
                }
            },
            "sets": {},
        },
        "least_consistent": {
            "squad2": [
                {
                    "query_id": "1",
                    "query": "Who wrote it?",
                    "answers": ["Marie"],
                    "decision_consistency": 0.5,
                    "answer_consistency": 0.25,
                    "wordings": [
                        {
                            "rewrite": "lower_case",
                            "text": "who wrote it?",
                            "retrieved": True,
                            "p_benefit": 0.4,
                            "answer": "Marie",
                            "correct": True,
                        }
                    ],
                }
            ]
        },
        "skipped": {"squad2": []},
    }


def every_kind() -> list[Report]:
    return [retrieval(), gate(), answer(), cost(), consistency()]
