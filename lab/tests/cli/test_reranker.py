"""Rerankers on the command line: estimated by a build, used by a search, trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run

COLOURS = ("red", "blue", "green", "white", "black", "yellow", "brown", "pink")
QUERY = "Where do red roses grow?"


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder in which the words of a query name its document."""
    folder = tmp_path_factory.mktemp("plots")
    corpus = [
        {
            "_id": f"d{number}",
            "title": f"Plot {number}",
            "text": f"In plot {number} grow {colour} roses beside a {other} bench.",
        }
        for number, (colour, other) in enumerate((a, b) for a in COLOURS for b in COLOURS)
    ]
    queries = [{"_id": f"q{n}", "text": f"What grows in plot {n}?"} for n in range(len(corpus))]
    for name, items in (("corpus", corpus), ("queries", queries)):
        lines = "".join(f"{json.dumps(item)}\n" for item in items)
        (folder / f"{name}.jsonl").write_text(lines)
    (folder / "qrels").mkdir()
    judged = "".join(f"q{number}\td{number}\t1\n" for number in range(len(corpus)))
    (folder / "qrels/train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    return folder


@pytest.fixture(scope="module")
def documents_of(plots: Path) -> Path:
    return plots / "corpus.jsonl"


def test_a_build_estimates_and_a_search_obeys(
    run: Run, documents_of: Path, cross_encoder_folder: Path, tmp_path: Path
) -> None:
    store, named = tmp_path / "store", ("--set", f"model.reranker={cross_encoder_folder}")
    run("index", "build", documents_of, "--out", store).ok()
    assert run("index", "stats", store, "--json").json()["rerank"] is None
    run("index", "build", documents_of, "--out", store, "--reranker", cross_encoder_folder).ok()
    known = run("index", "stats", store, "--json").json()["rerank"]
    assert known["questions"] >= 16
    assert known["reranked"] < known["search"]  # its weights are random
    assert "off under auto" in run("index", "stats", store).out

    def scores(*options: str | Path) -> list[float | None]:
        found = run("index", "search", store, QUERY, *options, "--json").json()["passages"]
        return [passage["rerank_score"] for passage in found]

    assert scores() == [None] * 5
    assert scores(*named) == [None] * 5
    forced = scores(*named, "--rerank", "on", "--set", "rerank.deadline_s=60")
    assert None not in forced and len(forced) == 5
    short = ("--rerank", "on", "--set", "rerank.deadline_s=0.001")
    late = run("index", "search", store, QUERY, *named, *short).ok()
    assert "not reranked: it would take" in late.err


def test_the_shipped_one_needs_no_download(run: Run, documents_of: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run("index", "build", documents_of, "--out", store, "--reranker", "auto").ok()
    known = run("index", "stats", store, "--json").json()["rerank"]
    assert known["reranker"] == "minilm-tokens"
    options = ("--set", "model.reranker=on", "--set", "rerank.deadline_s=60", "--json")
    found = run("index", "search", store, QUERY, *options).json()["passages"]
    ranks = [passage["rerank_score"] for passage in found]
    assert ranks == sorted(ranks, reverse=True)
    assert "red roses" in found[0]["text"]


def test_a_missing_one_is_an_error(run: Run, documents_of: Path, tmp_path: Path) -> None:
    run("index", "build", documents_of, "--out", tmp_path / "s", "--reranker", "./gone").fails(
        4, "no reranker folder ./gone", "CrossEncoder"
    )


@pytest.mark.slow
def test_training_without_a_gain_is_an_error(run: Run, plots: Path, tmp_path: Path) -> None:
    out = tmp_path / "reranker"
    few = ("--profile", "small", "--queries", 12)
    ran = run("train", "reranker", "--data", plots, "--out", out, *few)
    assert ran.code == 2 and not out.exists()
    assert "no gain over the search on the dev slice" in ran.err
    assert out.with_name("reranker.partial").exists()  # the same command goes on from there


def test_models_list_names_the_shipped_one(run: Run) -> None:
    assert "--reranker auto is minilm-tokens" in run("models", "list").out
