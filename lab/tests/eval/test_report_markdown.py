"""Reports as Markdown."""

from __future__ import annotations

import re

import report_samples as samples

from expertrag_lab.eval.report import markdown


def test_tables_are_complete_and_figures_right_aligned() -> None:
    lines = markdown.render([samples.retrieval()]).splitlines()
    start = lines.index("### Metrics by set and mode") + 2
    assert lines[start : start + 5] == [
        "| set             | mode   |        nDCG@10 |",
        "| --------------- | ------ | -------------: |",
        "| scifact         | bm25   |   0.500 ±0.100 |",
        r"| scifact         | hybrid | 0.750 ±0.050\* |",
        "| 2wikimultihopqa | bm25   |   0.250 ±0.050 |",
    ]


def test_every_kind_has_its_sections_and_its_run() -> None:
    text = markdown.render(samples.every_kind())
    for title in ("Retrieval", "Retrieval gate", "Answers", "Cost model", "Consistency"):
        assert f"\n## {title}\n" in text
    assert text.count("commit abc1234") == 5
    assert text.count("### Manifest") == 5
    assert "| machine.cpu" in text


def test_worst_queries_have_their_passages_with_relevance_in_words() -> None:
    text = markdown.render([samples.retrieval()])
    assert "- **where is the moon**" in text
    assert "1. Title of d1 (not judged relevant, document d1, score 0.500): The moon is up." in text
    assert "2. Title of d9 (relevant, document d9, score 0.500)" in text


def test_plots_refer_to_the_html_report() -> None:
    assert "*Plot in report.html: Accuracy against retrieval rate" in markdown.render(
        [samples.gate()]
    )


def test_texts_of_data_sets_are_escaped() -> None:
    text = markdown.render([samples.retrieval(query=samples.NASTY, name=samples.NASTY)])
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    for line in text.splitlines():
        if line.startswith("| &lt;script"):
            assert r"\|" in line  # a bar in a name does not split cells
