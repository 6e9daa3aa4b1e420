"""Reports on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import report_samples as samples

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.eval.report import parts_of, read_report, write


def test_a_report_round_trips(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "folder"
    paths = write([samples.gate()], out)
    assert [path.name for path in paths] == ["report.json", "report.md", "report.html"]
    assert read_report(out) == read_report(paths[0]) == samples.gate()
    assert paths[1].read_text(encoding="utf-8").startswith("# ExpertRAG evaluation\n")
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in paths)


def test_several_reports_are_combined_and_separated(tmp_path: Path) -> None:
    write([samples.gate(), samples.cost()], tmp_path)
    combined = read_report(tmp_path)
    assert combined["kind"] == "combined"
    assert parts_of(combined) == [samples.gate(), samples.cost()]
    assert parts_of(samples.gate()) == [samples.gate()]


def test_invalid_figures_are_not_written(tmp_path: Path) -> None:
    write([samples.gate()], tmp_path)
    before = (tmp_path / "report.json").read_bytes()
    broken = samples.gate()
    broken["pooled"]["gate"]["ece"] = float("nan")
    with pytest.raises(ValueError, match="JSON compliant"):
        write([broken], tmp_path)
    assert (tmp_path / "report.json").read_bytes() == before


def test_other_files_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no report at"):
        read_report(tmp_path)
    for content in ("[1]", "{", '{"kind": "poem"}', "{}", '"gate"'):
        (tmp_path / "report.json").write_text(content)
        with pytest.raises(InvalidArgument, match="is not a report of expertrag eval"):
            read_report(tmp_path)


def _damaged(**changed: object) -> str:
    return json.dumps({**samples.retrieval(), **changed})


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"kind":"retrieval"}', "retrieval: manifest is missing or not an object"),
        (_damaged(datasets="hello"), "retrieval: datasets is missing or not an object"),
        (_damaged(datasets={"nq": "x"}), "retrieval: datasets.nq is missing or not an object"),
        (_damaged(manifest=None), "retrieval: manifest is missing or not an object"),
        (
            _damaged(per_query={"nq": {"bm25": {"nDCG@10": {"q": float("nan")}}}}),
            "per_query.nq.bm25.nDCG@10.q is nan, which is not a finite number",
        ),
        (
            _damaged(per_query={"nq": {"bm25": {"nDCG@10": {"q": "high"}}}}),
            "retrieval: per_query.nq.bm25.nDCG@10.q is not a number",
        ),
        (_damaged(mean={"n": 10**400}), "mean.n is an integer with too many digits, which is not"),
        (_damaged(comparisons={"nq": 3}), "retrieval: comparisons.nq is not a list"),
        (_damaged(skipped={"nq": "q1"}), "retrieval: skipped.nq is not a list"),
        (_damaged(skipped={"nq": [{"id": 1}]}), "skipped.nq.0.id is missing or not a string"),
        ('{"kind": "combined"}', "combined: reports is missing or not a list of reports"),
        ('{"kind": "combined", "reports": [3]}', "combined: reports is missing or not a list"),
        ('{"kind": "combined", "reports": [{"kind": "poem"}]}', "kind is 'poem', not one of"),
        ('{"kind": "compare", "manifest": {}}', "compare: skipped is missing or not an object"),
    ],
)
def test_a_damaged_report_is_rejected_with_its_first_fault(
    tmp_path: Path, content: str, fault: str
) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(InvalidArgument) as caught:
        read_report(tmp_path)
    assert caught.value.message.startswith(f"{path} is a damaged report: ")
    assert fault in caught.value.message
    assert caught.value.message.endswith(
        f"; make it again, or see 'expertrag eval validate {path}'"
    )
    assert "\n" not in caught.value.message


def test_a_valid_report_of_another_version_is_read(tmp_path: Path) -> None:
    report = samples.gate()
    report["manifest"]["version"] = "9.8.7"
    report["novel"] = {"key": [1]}
    report["skipped"]["nq"] = [{"id": "1", "reason": "timed out", "retry": True}]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    assert read_report(path) == report
    report["sets"] = []
    path.write_text(json.dumps(report))
    with pytest.raises(InvalidArgument, match=r"a damaged report of version 9\.8\.7, this is"):
        read_report(path)
