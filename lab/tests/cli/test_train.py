"""``expertrag train`` on real data, with the real base model, in its small profile."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Run

DATA = Path(__file__).parents[3] / "tests" / "data"


@pytest.fixture(scope="module")
def bundle(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an expert for finance that is not trained, but differs from the base."""
    import torch

    from expertrag_retriever.encoder import load_model
    from expertrag_retriever.experts.module import with_experts
    from expertrag_retriever.experts.settings import ExpertSettings
    from expertrag_retriever.experts.storage import save_experts
    from expertrag_retriever.experts.surgery import expert_layers
    from expertrag_retriever.fingerprint import fingerprint_of

    folder = tmp_path_factory.mktemp("experts")
    settings = ExpertSettings(("finance",), rank=4)
    module = with_experts(load_model(str(minilm_path)), settings)
    torch.manual_seed(0)
    for _, layer in expert_layers(module.model):
        layer.second.data += 0.01 * torch.randn_like(layer.second)
    origin = {"name": "all-minilm-l6-v2", "fingerprint": fingerprint_of(str(minilm_path))}
    save_experts(module.model, settings, None, folder, {"base": origin})
    return folder


@pytest.mark.slow
def test_small_profile_improves_on_the_base_and_serves(
    run: Run, tmp_path: Path, minilm_path: Path
) -> None:
    bundle = tmp_path / "experts"
    trained = run(
        *("train", "embedder", "--data", f"finance={DATA / 'tatqa_small'}"),
        *("--profile", "small", "--pairs", 128, "--out", bundle, "--json"),
    ).ok()
    report = trained.json()
    [expert] = report["experts"]
    assert expert["domain"] == "finance" and expert["helps"]
    assert expert["after"]["tatqa_small"] > expert["before"]["tatqa_small"]
    assert report["base"]["name"] == "all-minilm-l6-v2"
    assert sum(path.stat().st_size for path in bundle.iterdir()) < 2_000_000
    assert "loss" in trained.err and "dev nDCG@10" in trained.err

    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "report.md").write_text("---\ndomain: finance\n---\n# Debt\nNotes due in 2019.\n")
    store = tmp_path / "store"
    run("index", "build", documents, "--out", store, "--embedder", bundle).ok()
    query = ("When are the notes due?",)
    found = run("index", "search", store, *query, "--json").ok()
    assert found.json()["passages"][0]["domain"] == "finance"


def test_what_exists_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    run("train", "embedder", "--data", f"f={DATA / 'tatqa_small'}", "--out", tmp_path).fails(
        6, "exists"
    )


def test_too_little_data_is_reported(run: Run, tmp_path: Path, minilm_path: Path) -> None:
    data = tmp_path / "few"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text('{"_id": "d", "title": "", "text": "a text of some length"}')
    (data / "queries.jsonl").write_text('{"_id": "q", "text": "a question"}')
    (data / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    run("train", "embedder", "--data", data, "--out", tmp_path / "out").fails(
        2, "domain few has 1 usable pairs"
    )
    assert not (tmp_path / "out").exists()


def test_a_missing_data_set(run: Run, tmp_path: Path) -> None:
    run("train", "embedder", "--data", tmp_path / "nowhere", "--out", tmp_path / "out").fails(
        4, "nowhere"
    )


@pytest.mark.slow
def test_a_distilled_bundle_is_a_plain_model(
    run: Run, tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    from expertrag_lab.embedder import student

    fewer = replace(student.SMALL, most_pairs=100, evaluations=2)
    monkeypatch.setitem(student.PROFILES, "small", fewer)
    out = tmp_path / "student"
    data = ("--data", f"finance={DATA / 'tatqa_small'}")
    made = run("train", "distil", bundle, *data, "--profile", "small", "--out", out, "--json").ok()
    report = made.json()
    assert report["cosine"] > 0.9
    assert report["base"]["name"] == "all-minilm-l6-v2"
    [domain] = report["domains"]
    assert domain["cosine"] > domain["base_cosine"]
    assert "cosine to the teacher" in made.err
    assert SentenceTransformer(str(out), device="cpu").encode("a text").shape == (384,)


def test_a_model_without_experts_is_not_distilled(
    run: Run, tmp_path: Path, minilm_path: Path
) -> None:
    data = ("--data", f"finance={DATA / 'tatqa_small'}")
    run("train", "distil", minilm_path, *data, "--out", tmp_path / "out").fails(
        9, "is not a bundle of experts; name one"
    )
    run("train", "distil", tmp_path / "nowhere", *data, "--out", tmp_path / "out").fails(9)
    run("train", "distil", minilm_path, *data, "--out", tmp_path).fails(6)


def test_a_bundle_is_exported_as_one_model(
    run: Run, tmp_path: Path, minilm_path: Path, bundle: Path
) -> None:
    import numpy as np
    from sentence_transformers import SentenceTransformer

    out = tmp_path / "whole"
    run("train", "export", bundle, "--out", out).ok()
    model = SentenceTransformer(str(out), device="cpu", trust_remote_code=True)
    plain = SentenceTransformer(str(minilm_path), device="cpu")
    text = ["Notes due in 2019."]
    assert np.array_equal(model.encode(text, domain="general"), plain.encode(text))
    assert not np.allclose(model.encode(text, domain="finance"), plain.encode(text), atol=1e-3)
    assert run("train", "export", bundle, "--out", out).code == 6
    assert run("train", "export", minilm_path, "--out", tmp_path / "other").code == 9


def test_distil_rejects_data_of_an_unknown_domain(run: Run, tmp_path: Path, bundle: Path) -> None:
    data = ("--data", f"legal={DATA / 'tatqa_small'}")
    run("train", "distil", bundle, *data, "--out", tmp_path / "out").fails(
        2, "has no expert for legal: give data of its domains (finance)"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_questions_are_the_same_after_a_kill(
    run: Run, tmp_path: Path, minilm_path: Path, smollm_path: Path
) -> None:
    import gzip
    import subprocess
    import sys
    import time

    plain = ("--generator", smollm_path)  # the default one is a reader, which answers
    some = ("--count", "3", "--seed", "1")
    ask = ("train", "questions", DATA / "beir_small", *plain, *some, "--out")
    cut, whole = tmp_path / "cut.jsonl.gz", tmp_path / "whole.jsonl.gz"
    killed = subprocess.Popen(
        [sys.executable, "-m", "expertrag", *map(str, (*ask, cut))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    partial = tmp_path / "cut.jsonl.gz.partial"
    while killed.poll() is None and not (partial.exists() and partial.stat().st_size):
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert partial.exists() and not cut.exists()

    made = run(*ask, cut, "--json").ok()
    report = made.json()
    assert report["passages"] == 3 == report["pairs"] + sum(report["dropped"].values())
    assert "ask questions: 3/3" in made.err
    assert not partial.exists()
    for line in gzip.decompress(cut.read_bytes()).decode().splitlines():
        pair = json.loads(line)
        assert pair["query"].endswith("?") and pair["query"] not in made.err
        assert pair["positive"] not in made.err

    again = run(*ask, whole).ok()
    assert f"{report['pairs']} pairs of 3 passages; dropped: " in again.out
    assert whole.read_bytes() == cut.read_bytes()


def test_questions_rejects_invalid_paths(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl.gz"
    ask = ("train", "questions", DATA / "beir_small", "--out")
    run("train", "questions", tmp_path / "nowhere", "--out", out).fails(4, "no documents at")
    run(*ask, tmp_path / "out.txt").fails(2, "end it in .jsonl.gz or .jsonl")
    out.write_bytes(b"")
    run(*ask, out).fails(6, "exists; delete it")


def test_questions_by_a_missing_model(run: Run, tmp_path: Path, minilm_path: Path) -> None:
    ask = ("train", "questions", DATA / "beir_small", "--out", tmp_path / "out.jsonl.gz")
    run(*ask, "--generator", tmp_path / "nowhere").fails(9, "not found")
    run(*ask, "--base", tmp_path / "nowhere").fails(9)
    assert list(tmp_path.iterdir()) == []


def test_co_relevant_needs_enough_pairs(run: Run, tmp_path: Path) -> None:
    data = ("--data", f"python={DATA / 'beir_small'}", "--co-relevant")
    run("train", "embedder", *data, "--out", tmp_path / "out").fails(
        2, "co-relevant: no data set has 32 pairs"
    )
