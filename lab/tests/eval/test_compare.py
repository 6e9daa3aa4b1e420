"""Comparison of two reports against values computed by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import report_samples as samples

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag_index.types import silent
from expertrag_lab.eval.compare import compare_reports
from expertrag_lab.eval.report import text

NAMES = ("old", "new")


def gates() -> tuple[samples.Report, samples.Report]:
    """Five questions: the new gate is right on all, the old one on the last; "never" is equal."""
    old = samples.gate()
    old["per_query"] = {
        "nq": {"never": dict.fromkeys("12345", 0), "gate": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 1}}
    }
    new = copy.deepcopy(old)
    new["per_query"]["nq"]["gate"] = dict.fromkeys("12345", 1)
    return old, new


def compared(old: samples.Report, new: samples.Report) -> dict[str, Any]:
    return compare_reports(old, new, NAMES, silent)


def test_differences_and_p_values_match_those_computed_by_hand() -> None:
    report = compared(*gates())
    assert (report["kind"], report["of"]) == ("compare", "gate")
    never, gate = report["comparisons"]["nq"]
    assert (gate["system"], gate["metric"], gate["n"]) == ("gate", "accuracy", 5)
    assert (gate["a"], gate["b"]) == NAMES
    assert (gate["mean_a"], gate["mean_b"]) == (0.2, 1.0)
    assert gate["difference"] == pytest.approx(0.8)
    # t = 0.8 / (0.4472 / sqrt 5) = 4 with 4 degrees of freedom
    assert gate["p_t"] == pytest.approx(0.016130, abs=1e-6)
    # 4 of 5 differ: 2 of 2^4 signs are as extreme
    assert gate["p_fisher"] == pytest.approx(0.125)
    assert gate["p_t_holm"] == pytest.approx(2 * 0.016130, abs=1e-6)
    assert gate["p_fisher_holm"] == pytest.approx(0.25)
    assert (never["difference"], never["p_t"], never["p_fisher_holm"]) == (0.0, 1.0, 1.0)


def test_queries_sets_and_systems_in_only_one_report_are_counted() -> None:
    old, new = gates()
    del new["per_query"]["nq"]["gate"]["5"]
    new["per_query"]["nq"]["never"]["6"] = 1
    new["per_query"]["squad"] = {"never": {"1": 1}}
    report = compared(old, new)
    assert report["skipped"] == {
        "nq": [{"id": "6", "reason": "only in new"}, {"id": "5", "reason": "only in old"}]
    }
    assert report["unpaired"] == [{"only_in": "new", "measure": "squad/never/accuracy"}]
    assert report["comparisons"]["nq"][1]["n"] == 4


def test_differences_of_the_runs_come_first() -> None:
    old, new = gates()
    new["manifest"]["commit"] = "def5678"
    new["manifest"]["inputs"]["seed"] = 8
    new["manifest"]["machine"]["gpu"] = "none of yours"
    new["manifest"]["created_at"] = "2025-03-03T04:05:06+00:00"
    report = compared(old, new)
    assert report["differs"] == [
        {"field": "inputs.seed", "a": "7", "b": "8"},
        {"field": "commit", "a": "abc1234", "b": "def5678"},
        {"field": "machine.gpu", "a": None, "b": "none of yours"},
    ]
    shown = text.render(report)
    assert shown.index("inputs.seed") < shown.index("Differences on nq")
    assert "The manifests are the same" in text.render(compared(old, old))


def test_gate_figures_are_compared_without_a_test() -> None:
    old, new = gates()
    new["pooled"]["gate"]["ece"] = 0.053
    new["pooled"]["gate"]["auc_benefit"] = None
    figures = {item["figure"]: item for item in compared(old, new)["figures"]["pooled"]}
    assert figures["ece"]["difference"] == pytest.approx(0.02)
    assert "auc_benefit" not in figures
    assert figures["rate"]["difference"] == 0.0


def test_the_gate_of_an_answer_report_is_found() -> None:
    report = compared(samples.answer(), samples.answer())
    assert set(report["figures"]) == {"pooled", "squad2", "pubmedqa"}
    metrics = [(item["system"], item["metric"]) for item in report["comparisons"]["squad2"]]
    assert metrics == [("never", "accuracy"), ("never", "f1")]


def test_consistency_has_measures_without_a_system() -> None:
    report = compared(samples.consistency(), samples.consistency())
    (found,) = report["comparisons"]["squad2"]
    assert (found["system"], found["metric"], found["p_t"]) == ("", "decision_consistency", 1.0)


def test_the_terminal_shows_means_difference_and_p() -> None:
    lines = [line.split() for line in text.render(compared(*gates())).splitlines()]
    gate = next(line for line in lines if line[:2] == ["gate", "accuracy"])
    assert gate[2:5] == ["0.200", "1.000", "+0.800"]
    assert gate[-5:] == ["0.016", "0.032", "0.125", "0.250", "5"]
    assert ["0", "of", "2", "differences", "significant:"] in [line[:5] for line in lines]


def test_reports_that_cannot_be_compared_are_rejected() -> None:
    old, new = gates()
    with pytest.raises(InvalidArgument, match="old is of kind gate, new of kind cost"):
        compared(old, samples.cost())
    new["per_query"] = {"nq": {"gate": {"9": 1}}}
    with pytest.raises(Conflict, match="no query, system and metric in common"):
        compared(old, new)
    whole: samples.Report = {"kind": "combined", "reports": [old]}
    with pytest.raises(InvalidArgument, match="has no values per query"):
        compared(whole, whole)
