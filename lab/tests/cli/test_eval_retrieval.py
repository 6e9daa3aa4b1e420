"""``expertrag eval retrieval``: what it prints and writes, and how it ends on bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run

BEIR = Path(__file__).parents[3] / "tests" / "data" / "beir_small"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder: the store of the set is built once."""
    return tmp_path_factory.mktemp("work")


@pytest.mark.slow
def test_json_for_scripts_and_files_for_people(
    run: Run, work: Path, tmp_path: Path, minilm_path: Path
) -> None:
    out = tmp_path / "out"
    ran = run("eval", "retrieval", BEIR, "--work", work, "--out", out, "--json").ok()
    found = ran.json()
    assert found["kind"] == "retrieval"
    assert list(found["datasets"]["beir_small"]) == ["bm25", "dense", "hybrid"]
    assert list(found["datasets"]["beir_small"]["bm25"]) == ["nDCG@10", "R@100", "MRR@10", "MAP"]
    assert found["manifest"]["inputs"]["embedder"]["name"] == "minilm-domains"
    assert json.loads((out / "report.json").read_text())["datasets"] == found["datasets"]
    for name in ("report.md", "report.html"):
        assert "beir_small" in (out / name).read_text()
    assert ran.err.count("beir_small: reading: 150/150") == 1
    assert "beir_small: hybrid: 40/40" in ran.err


def test_a_table_for_people(run: Run, work: Path, minilm_path: Path) -> None:
    ran = run(
        "eval", "retrieval", BEIR, "--work", work, "--modes", "bm25,hybrid", "--k", "5",
        "--metrics", "P@1, MRR@5", "--limit", "10",
    ).ok()  # fmt: skip
    for word in ("beir_small", "bm25", "hybrid", "P@1", "MRR@5"):
        assert word in ran.out
    assert "dense" not in ran.out


def test_experts_beside_the_other_modes(run: Run, work: Path, minilm_path: Path) -> None:
    """The default embedder has experts; the other modes then use its base model."""
    for modes in ("experts", "bm25,dense,hybrid,experts"):
        found = run(
            "eval", "retrieval", BEIR, "--work", work, "--modes", modes, "--limit", "3", "--json"
        ).json()
        assert list(found["datasets"]["beir_small"]) == modes.split(",")


def test_an_existing_store_is_searched(run: Run, minilm_path: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run("index", "build", BEIR, "--out", store, "--embedder", "all-minilm-l6-v2").ok()
    limited = ("eval", "retrieval", BEIR, "--limit", "3", "--index", store)
    found = run(*limited, "--json").json()
    assert found["manifest"]["inputs"]["embedder"]["name"] == "all-minilm-l6-v2"
    assert found["sizes"]["beir_small"]["documents"] == 150
    run(*limited, "--modes", "experts,bm25").fails(2, "cannot be used with --index")
    run(*limited, "--unit", "chunk").fails(2, "--unit is for stores that are built")


@pytest.mark.slow
def test_chunks(run: Run, tmp_path: Path, minilm_path: Path) -> None:
    sizes = run(
        "eval", "retrieval", BEIR, "--work", tmp_path, "--unit", "chunk", "--limit", "1", "--json"
    ).json()["sizes"]["beir_small"]
    assert sizes["chunks"] > sizes["documents"] == 150


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--metrics", "nDCG@10,foo"], 2, "unknown metric 'foo'; name some of nDCG@10, R@100"),
        (
            ["--modes", "hybrid,experts", "--embedder", "all-minilm-l6-v2"],
            2,
            "mode experts needs an embedder with experts",
        ),
        (["--unit", "page"], 2, "'page' is not one of 'document', 'chunk'"),
        (["--k", "0"], 2, "'--k'"),
        (["--split", "dev"], 4, "no judgements"),
        (["nowhere"], 4, "no data set at nowhere"),
    ],
)
def test_invalid_arguments_are_one_line(
    run: Run, work: Path, minilm_path: Path, arguments: list[str], code: int, message: str
) -> None:
    run("eval", "retrieval", BEIR, "--work", work, *arguments).fails(code, message)
