"""``expertrag eval retrieval``: what it prints and writes, and how it ends on bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BEIR = Path(__file__).parents[1] / "data" / "beir_small"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder: the store of the set is built once."""
    return tmp_path_factory.mktemp("work")


def test_json_for_scripts_and_files_for_people(
    run: Run, work: Path, tmp_path: Path, minilm_path: Path
) -> None:
    out = tmp_path / "out"
    ran = run("eval", "retrieval", BEIR, "--work", work, "--out", out, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["kind"] == "retrieval"
    assert list(found["datasets"]["beir_small"]) == ["bm25", "dense", "hybrid"]
    assert list(found["datasets"]["beir_small"]["bm25"]) == ["nDCG@10", "R@100", "MRR@10", "MAP"]
    assert found["manifest"]["inputs"]["embedder"]["name"] == "minilm-domains"
    assert json.loads((out / "report.json").read_text())["datasets"] == found["datasets"]
    for name in ("report.md", "report.html"):
        assert "beir_small" in (out / name).read_text()
    assert "beir_small: indexing: 150/150" in ran.err
    assert "beir_small: hybrid: 40/40" in ran.err


def test_a_table_for_people(run: Run, work: Path, minilm_path: Path) -> None:
    ran = run(
        "eval", "retrieval", BEIR, "--work", work, "--modes", "bm25,hybrid", "--k", "5",
        "--metrics", "P@1, MRR@5", "--limit", "10",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    for word in ("beir_small", "bm25", "hybrid", "P@1", "MRR@5"):
        assert word in ran.out
    assert "dense" not in ran.out


def test_chunks(run: Run, tmp_path: Path, minilm_path: Path) -> None:
    ran = run(
        "eval", "retrieval", BEIR, "--work", tmp_path, "--unit", "chunk", "--limit", "1", "--json"
    )
    assert ran.code == 0, ran.err
    sizes = json.loads(ran.out)["sizes"]["beir_small"]
    assert sizes["chunks"] > sizes["documents"] == 150


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--metrics", "nDCG@10,foo"], 2, "unknown metric 'foo'; name some of nDCG@10, R@100"),
        (
            ["--modes", "sparse"],
            2,
            "unknown mode 'sparse'; the modes are hybrid, dense, bm25, experts",
        ),
        (
            ["--modes", "hybrid,experts", "--embedder", "all-minilm-l6-v2"],
            2,
            "mode experts needs an embedder with experts",
        ),
        (["--unit", "page"], 2, "'page' is not one of 'document', 'chunk'"),
        (["--k", "0"], 2, "'--k'"),
        (["--split", "dev"], 4, "no judgements"),
    ],
)
def test_invalid_arguments_are_one_line(
    run: Run, work: Path, minilm_path: Path, arguments: list[str], code: int, message: str
) -> None:
    ran = run("eval", "retrieval", BEIR, "--work", work, *arguments)
    assert ran.code == code
    assert ran.out == ""
    (line,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert message in line


def test_a_set_without_judgements_or_queries(
    run: Run, work: Path, tmp_path: Path, minilm_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(BEIR, broken)
    (broken / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    ran = run("eval", "retrieval", broken, "--work", work)
    assert (ran.code, "is empty" in ran.err) == (2, True)
    (broken / "qrels" / "test.tsv").unlink()
    ran = run("eval", "retrieval", broken, "--work", work)
    assert (ran.code, "test.tsv" in ran.err) == (4, True)
    ran = run("eval", "retrieval", tmp_path / "nowhere", "--work", work)
    assert (ran.code, "no data set at" in ran.err) == (4, True)
