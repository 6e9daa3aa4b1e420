"""``eval validate``: all faults at once, each with file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import report_samples as samples

from expertrag_index.types import silent
from expertrag_lab.eval.checks import Checked, check
from expertrag_lab.eval.report import write

DATA = Path(__file__).parents[3] / "tests" / "data"


def checked(path: Path) -> Checked:
    (found,) = check([path], silent)
    return found


def faults(path: Path, of: Path | None = None) -> list[str]:
    """The problems at ``path``, with paths relative to ``of``."""
    return [str(item).removeprefix(f"{of or path}/") for item in checked(path).problems]


def data_set(folder: Path, corpus: str, queries: str, **qrels: str) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(corpus)
    (folder / "queries.jsonl").write_text(queries)
    for name, text in qrels.items():
        (folder / "qrels" / f"{name}.tsv").write_text(text)
    return folder


def test_data_of_the_repository_has_no_fault() -> None:
    found = {item.path.name: item for item in check([DATA], silent)}
    assert not any(item.faults for item in found.values())
    assert found["squad_small"].counts == {"documents": 59, "queries": 60, "judgements": 40}
    assert [str(item) for item in found["squad_small"].problems] == [
        f"{DATA}/squad_small/queries.jsonl: note: 20 questions without an answer in the corpus"
    ]
    assert found["nq.jsonl"].counts["rows"] == 30


def test_every_fault_of_a_data_set_is_named(tmp_path: Path) -> None:
    folder = data_set(
        tmp_path / "set",
        corpus='{"_id": "d1", "text": "a"}\n{"_id": "d1", "text": " "}\n\n{oops\n[1]\n'
        '{"text": "no id"}\n{"_id": "d2", "text": "b", "title": 3}\n',
        queries='{"_id": "q1", "text": "?"}\n{"_id": "q1", "text": "?"}\n'
        '{"_id": "q2", "text": "?", "answers": "no list"}\n{"_id": "q3", "text": "?"}\n',
        train="query-id\tcorpus-id\tscore\nq1\td1\t1\n",
        test="query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td1\t2\nq9\td1\t1\nq2\td9\t1\n"
        "q2\td1\tgood\nq2 d1 1\nq2\td2\t0\n",
        empty="query-id\tcorpus-id\tscore\n",
    )
    found = faults(folder)
    assert found[:6] == [
        "corpus.jsonl:2: has the _id 'd1' of line 1",
        "corpus.jsonl:2: has no text",
        found[2],
        "corpus.jsonl:5: is not a JSON object",
        "corpus.jsonl:6: has no _id",
        "corpus.jsonl:7: has a title that is not a string",
    ]
    assert found[2].startswith("corpus.jsonl:4: is not JSON: Expecting property name")
    form = "is not a judgement; write query-id, corpus-id and a whole number, separated by tabs"
    assert found[6:] == [
        "queries.jsonl:2: has the _id 'q1' of line 1",
        "queries.jsonl:3: has answers that are not a list of strings",
        "qrels/empty.tsv: contains no judgement: the split is empty",
        "qrels/test.tsv:3: judges the query and document of line 2 again",
        "qrels/test.tsv:4: names the query 'q9', which is not in queries",
        "qrels/test.tsv:5: names the document 'd9', which is not in the corpus",
        f"qrels/test.tsv:6: {form}",
        f"qrels/test.tsv:7: {form}",
        "qrels: note: test and train share 1 queries",
        "qrels: note: 1 queries have no judgement in any split",
    ]
    assert checked(folder).faults == 14


def test_missing_files_are_faults_and_the_rest_is_checked(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1"}\n')
    assert faults(tmp_path) == [
        "corpus.jsonl: is missing, and so is corpus.jsonl.gz",
        "queries.jsonl:1: has no text",
        "qrels: is missing: add qrels/SPLIT.tsv (query-id, corpus-id, score)",
    ]


def test_a_query_judged_without_a_relevant_document_is_a_note(tmp_path: Path) -> None:
    folder = data_set(
        tmp_path / "set",
        '{"_id": "d1", "text": "a"}',
        '{"_id": "q1", "text": "?"}',
        test="q1\td1\t0\n",
    )
    assert faults(folder) == ["qrels/test.tsv: note: 1 judged queries have no relevant document"]
    assert checked(folder).faults == 0


def test_a_damaged_file_is_one_fault(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set", "", '{"_id": "q1", "text": "?"}', test="q1\td1\t1\n")
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(b"{}" * 9999)[:40])
    found = faults(folder)
    assert found[0].startswith("corpus.jsonl.gz: is a damaged gzip file")
    assert found[1:] == ["qrels/test.tsv:1: names the document 'd1', which is not in the corpus"]


def test_every_fault_of_rows_is_named(tmp_path: Path) -> None:
    row = {"_id": "1", "question": "?", "answers": ["a"], "never": "a", "one_step": "b"}
    lines = [
        {**row, "multi_step": "c"},
        row,
        {**row, "_id": "2", "never": None},
        {**row, "_id": "3", "answers": "a"},
        {**row, "_id": "4", "recorded": {}},
        {**row, "_id": "5"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{torn")
    assert faults(path, tmp_path) == [
        "rows.jsonl:2: has the _id '1' of line 1",
        "rows.jsonl:3: never is missing or not a string",
        "rows.jsonl:4: answers is not a list of strings",
        "rows.jsonl:5: recorded is not in the format of 'expertrag eval record'",
        faults(path, tmp_path)[4],
        "rows.jsonl: note: only 1 of 3 rows are with multi step",
    ]
    assert faults(path, tmp_path)[4].startswith("rows.jsonl:7: is not JSON")


def test_reports_of_every_kind_have_no_fault(tmp_path: Path) -> None:
    write(samples.every_kind(), tmp_path)
    found = checked(tmp_path)
    assert not found.problems
    assert found.counts["reports"] == 5


def test_every_fault_of_a_report_is_named(tmp_path: Path) -> None:
    report = samples.gate()
    report["pooled"]["gate"]["ece"] = float("nan")
    report["sets"]["nq"]["never"]["interval"][1] = float("inf")
    report["comparisons"]["nq"][0]["p_t"] = 1.5
    del report["comparisons"]["pooled"][0]["low"]
    del report["per_query"]
    report["manifest"]["inputs"] = 3
    report["skipped"]["nq"] = [{"id": "1", "reason": "timed out", "retry": "yes"}]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    assert faults(path, tmp_path) == [
        "report.json: pooled.gate.ece is nan, which is not a finite number",
        "report.json: sets.nq.never.interval.1 is inf, which is not a finite number",
        "report.json: gate: per_query is missing or not an object",
        "report.json: gate: manifest.inputs is missing or has the wrong type",
        "report.json: gate: comparisons.pooled.0.low is missing or not a number",
        "report.json: gate: comparisons.nq.0.p_t is 1.5, outside 0 to 1",
        "report.json: gate: skipped.nq.0.retry is neither true nor false",
    ]
    path.write_text('{"kind": "gate",\n"pooled": oops}')
    assert faults(path, tmp_path) == ["report.json:2: is not JSON: Expecting value"]


def test_an_unknown_path_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "poem.json").write_text('{"kind": "poem"}')
    expected = {
        tmp_path / "notes.txt": "is neither a file of rows nor a report",
        tmp_path / "poem.json": "is neither a file of rows nor a report",
        tmp_path / "gone": "does not exist",
        tmp_path: "contains no data set",
    }
    for path, message in expected.items():
        assert message in str(checked(path).problems[0])
        assert checked(path).faults == 1
