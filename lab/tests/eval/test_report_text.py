"""Reports in the terminal: the main figures, aligned, at most 100 columns wide."""

from __future__ import annotations

import report_samples as samples

from expertrag_lab.eval.report import text
from expertrag_lab.eval.report.blocks import Table
from expertrag_lab.eval.report.text import table


def lines_of(report: samples.Report) -> list[str]:
    return text.render(report).splitlines()


def row(lines: list[str], *beginning: str) -> list[str]:
    """The words of the first line that starts with ``beginning``."""
    found = (line.split() for line in lines)
    return next(words for words in found if words[: len(beginning)] == list(beginning))


def test_retrieval_shows_means_intervals_and_the_significantly_best_mode() -> None:
    lines = lines_of(samples.retrieval())
    assert row(lines, "scifact", "bm25")[2:] == ["0.500", "±0.100"]
    assert row(lines, "scifact", "hybrid")[2:] == ["0.750", "±0.050*"]
    assert row(lines, "2wikimultihopqa", "hybrid")[2:] == ["0.350", "±0.050"]  # p is 0.08
    assert row(lines, "mean", "of", "sets", "hybrid")[-1] == "0.550"
    assert row(lines, "scifact", "5,183") == ["scifact", "5,183", "7,000", "300", "339"]
    assert any(line.startswith("* better than every other mode") for line in lines)


def test_a_single_mode_is_not_marked_as_best() -> None:
    report = samples.retrieval()
    for modes in report["datasets"].values():
        del modes["bm25"]
    assert "*" not in text.render(report)


def test_skipped_queries_are_counted_with_reasons() -> None:
    lines = lines_of(samples.retrieval())
    assert "scifact  not in queries  q0, q1, q2, …        5" in lines
    assert "Nothing was skipped." in lines_of(samples.gate())


def test_skips_that_are_retried_are_marked() -> None:
    report = samples.gate()
    report["skipped"]["nq"] = [
        {"id": "q1", "reason": "timed out", "retry": True},
        {"id": "q2", "reason": "timed out", "retry": True},
        {"id": "q3", "reason": "timed out", "retry": False},
    ]
    lines = lines_of(report)
    assert row(lines, "nq", "timed", "out", "(asked")[3:] == [
        "(asked", "again", "by", "the", "next", "run)", "q1,", "q2", "2",
    ]  # fmt: skip
    assert row(lines, "nq", "timed", "out", "q3")[3:] == ["q3", "1"]


def test_missing_judged_documents_are_shown() -> None:
    report = samples.retrieval()
    report["sizes"]["scifact"]["judged_missing"] = 0
    assert "judged missing" not in text.render(report)
    report["sizes"]["2wikimultihopqa"] = {**report["sizes"]["scifact"], "judged_missing": 4}
    sizes = lines_of(report)[lines_of(report).index("Sizes") :]
    assert sizes[1].endswith("  judged missing")
    assert row(sizes, "scifact")[-2:] == ["339", "0"]
    assert row(sizes, "2wikimultihopqa")[-2:] == ["339", "4"]


def test_gate_shows_policies_and_the_gate() -> None:
    lines = lines_of(samples.gate())
    assert row(lines, "never") == ["never", "0.300", "[0.280,", "0.320]", "0.000", "1.00", "1,000"]
    assert row(lines, "gate", "0.420")[-3:] == ["0.600", "1.00", "1,000"]
    found = {"AUC(benefit)": "0.710", "harm": "0.050", "missed": "0.040", "ECE": "0.033"}
    assert {name: row(lines, name)[1] for name in found} == found
    assert row(lines, "area", "over", "random")[3] == "0.025"
    budget = "0.250 nominal 0.251 [0.220, 0.280] 0.500 0.370"
    assert row(lines, "0.250") == budget.split()
    assert row(lines, "never", "→", "always", "accuracy")[4:] == [
        "5", "+0.100", "[0.000,", "0.200]", "<0.001", "<0.001", "<0.001", "<0.001",
    ]  # fmt: skip


def test_questions_that_the_gate_leaves_out_are_counted() -> None:
    report = samples.gate()
    assert "left out" not in text.render(report)
    report["unanswerable"] = {"nq": 1000, "2wikimultihopqa": 200}
    report["without_multi_step"] = {"nq": 3}
    assert "1,200 questions that the corpus cannot answer are left out." in lines_of(report)
    assert "multi_step is not scored on nq: 3 of its rows lack that output." in lines_of(report)


def test_a_missing_gate_is_noted() -> None:
    shown = text.render(samples.gate(with_gate=False))
    assert "No gate was given" in shown
    assert "AUC" not in shown


def test_answer_shows_quality_cost_and_absent_figures() -> None:
    lines = lines_of(samples.answer())
    assert row(lines, "auto", "0.410")[1:] == [
        "0.410", "[0.360,", "0.460]", "0.125", "0.200", "0.410", "0.550", "80", "100",
    ]  # fmt: skip
    assert row(lines, "auto", "1.25") == ["auto", "1.25", "0.55", "1.00", "420", "12"]
    assert row(lines, "never", "-") == ["never", "-", "-", "0.610", "-", "0.440"]
    assert row(lines, "pubmedqa") == ["pubmedqa", "-", "-", "0.500", "0"]
    support = lines[lines.index("Support by the relevant documents, by set") :]
    assert row(support, "pubmedqa") == ["pubmedqa", "0.610", "0.610"]


def test_answer_notes_the_questions_of_each_figure() -> None:
    report = samples.answer()
    shown = " ".join(text.render(report).split())
    assert "Rate, the share of questions with retrieval, and cost are over all questions" in shown
    assert "F1, containment and the plot are over the answerable ones" in shown
    assert "left out" not in shown
    report["gate"]["unanswerable"] = {"squad2": 20, "popqa": 3}
    assert "23 questions that the corpus cannot answer are left out." in text.render(report)


def test_a_judge_is_labelled() -> None:
    verdict = {"accuracy": 0.5, "agreement": 0.9, "n": 90, "unparsed": 10}
    judge: samples.Report = {"name": "some-model", "pooled": {"never": verdict}, "sets": {}}
    shown = text.render({**samples.answer(), "judge": judge})
    assert "Judged by some-model" in shown
    assert "Verdicts of a language model" in shown


def test_cost_shows_the_error_of_the_formula() -> None:
    lines = lines_of(samples.cost())
    assert row(lines, "squad2", "0.250") == [
        "squad2", "0.250", "0.64", "0.70", "+10.2%", "[+5.0%,", "+15.0%]", "0.67", "+4.3%", "40",
    ]  # fmt: skip


def test_consistency_shows_measures_and_rewrites() -> None:
    lines = lines_of(samples.consistency())
    assert row(lines, "same", "decision", "share")[-4:] == ["0.800", "[0.700,", "0.900]", "50"]
    assert row(lines, "lower_case") == ["lower_case", "0.120", "0.340", "-0.015", "50"]
    assert row(lines, "accuracy")[-3:] == ["-", "-", "-"]


def test_no_line_is_wider_than_100_columns() -> None:
    reports = [*samples.every_kind(), samples.retrieval(name="a" * 90)]
    reports[-1]["skipped"] = {"b" * 80: [{"id": "c" * 80, "reason": "d " * 60}]}
    for report in reports:
        assert max(map(len, lines_of(report))) <= 100, report["kind"]


def test_columns_are_aligned_and_wide_tables_continue_below() -> None:
    columns = ("set", *(f"metric number {n}" for n in range(8)))
    wide = list(table(Table(columns, (("nq", *map(str, range(8))),))))
    assert [len(line) for line in wide] == [88, 88, 0, 54, 54]
    assert "metric number 4  " not in wide[3]
    assert wide[0].endswith("metric number 4")
    assert wide[3].endswith("  metric number 5  metric number 6  metric number 7")
    assert wide[4].split() == ["nq", "5", "6", "7"]


def test_control_characters_are_removed() -> None:
    shown = text.render(samples.retrieval(name=samples.NASTY))
    assert "\x1b" not in shown


def test_omitted_sections_are_listed() -> None:
    shown = text.render(samples.retrieval())
    assert "where is the moon" not in shown
    assert "With --out DIR or --json also: comparisons by set, worst queries" in shown
