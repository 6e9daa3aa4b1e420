"""``expertrag router`` on small data sets of three domains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import Run
from file_helper import change_json

SUBJECTS = {
    "law": ("tenant", "landlord", "lease", "court", "clause", "contract", "notice", "liability"),
    "health": ("patient", "doctor", "fever", "infection", "therapy", "tumour", "dose", "symptom"),
    "code": ("function", "compiler", "variable", "loop", "class", "string", "exception", "array"),
}


def _write(folder: Path, words: tuple[str, ...], documents: int = 40) -> None:
    (folder / "qrels").mkdir(parents=True)
    corpus, queries = [], []
    judged: dict[str, list[str]] = {"train": [], "test": []}
    for i in range(documents):
        a, b, c = (words[(i * step + shift) % 8] for step, shift in ((1, 0), (3, 1), (5, 2)))
        text = f"The {a} of case {i} concerns the {b}, and every {c} that is related to it."
        corpus.append({"_id": f"d{i}", "title": f"{a} {i}", "text": text})
        queries.append({"_id": f"q{i}", "text": f"What does the {a} number {i} say of the {b}?"})
        judged["train" if i % 4 else "test"].append(f"q{i}\td{i}\t1")
    for name, lines in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for split, rows in judged.items():
        (folder / "qrels" / f"{split}.tsv").write_text(
            "\n".join(["query-id\tcorpus-id\tscore", *rows])
        )


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    for name, words in SUBJECTS.items():
        _write(folder / name, words)
    return folder


@pytest.fixture
def trained(run: Run, sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.getbasetemp() / "router-of-the-command-line"
    if not out.exists():
        ran = run(
            "train", "router", "--data", f"legal={sets / 'law'}", "--data", sets / "health",
            "--out", out, "--json",
        ).ok()  # fmt: skip
        reported = ran.json()
        assert reported["texts"] == {
            "legal": 60,
            "health": 60,
        }  # texts of the test split are excluded
        assert reported["figures"]["accuracy"] > 0.95
        assert "reading texts: 120/120" in ran.err
    return out


def test_explain(run: Run, trained: Path) -> None:
    text = "What does the court say of the landlord?"
    ran = run("router", "explain", text, "--router", trained).ok()
    assert ran.out.startswith("The text is classified as legal (probability ")
    found = run("router", "explain", text, "--router", trained, "--json").json()
    assert found["domain"] == "legal"
    assert {"court", "landlord"} & {item["word"] for item in found["words"]}
    masked = run("router", "explain", text, "--router", trained, "--allow", "health", "--json")
    assert masked.json()["posterior"]["legal"] == 0.0


def test_the_router_of_a_shipped_bundle_has_a_name(run: Run, minilm_path: Path) -> None:
    text = "Total revenue increased by 12 % in fiscal 2019 due to subscription sales."
    ran = run("router", "explain", text, "--router", "minilm-domains").ok()
    assert ran.out.startswith("The text is classified as finance")


def test_a_router_is_not_overwritten(run: Run, trained: Path, sets: Path) -> None:
    given = [item for name in SUBJECTS for item in ("--data", sets / name)]
    assert run("train", "router", *given, "--out", trained).code == 6


def test_eval_with_a_domain_that_the_router_lacks(run: Run, trained: Path, sets: Path) -> None:
    given = ("--data", f"legal={sets / 'law'}", "--data", sets / "health", "--data", sets / "code")
    found = run("router", "eval", "--router", trained, *given, "--json").json()
    assert found["known"]["texts"] == 40
    assert found["known"]["accuracy"] > 0.95
    assert sum(found["confusion"]["legal"].values()) == 20
    assert found["foreign"]["code"] > 0.5
    reported = run("router", "eval", "--router", trained, *given).out
    assert "code  not a domain of the router" in reported


def test_without_labels(run: Run, sets: Path, tmp_path: Path) -> None:
    given = [item for name in SUBJECTS for item in ("--data", sets / name)]
    made = run("train", "router", *given, "--clusters", 3, "--out", tmp_path / "router", "--json")
    names = list(made.json()["texts"])
    assert len(names) == 3
    assert any(set(name.split("-")) & set(SUBJECTS["code"]) for name in names)


def test_wrong_calls(run: Run, trained: Path, sets: Path, tmp_path: Path) -> None:
    law, out = f"legal={sets / 'law'}", tmp_path / "out"
    _write(tmp_path / "tiny", SUBJECTS["code"], documents=4)
    for arguments, code, message in (
        (("--data", law, "--out", out), 2, "at least two domains"),
        (("--data", law, "--data", tmp_path / "tiny", "--out", out), 2, "domain tiny has"),
        (("--data", law, "--data", tmp_path / "none", "--out", out), 4, "no data set"),
        (("--data", f"={sets}", "--out", out), 2, "does not name a domain"),
        (("--data", law, "--out", out, "--clusters", "1"), 2, "number of at least 2"),
        (("explain", "x", "--router", tmp_path), 9, "no router in"),
        (("explain", " ", "--router", trained), 2, "the text is empty"),
        (("explain", "x", "--router", trained, "--allow", "art"), 2, "no domain art"),
        (("eval", "--router", trained, "--data", law, "--split", "dev"), 4, "no judgements"),
    ):
        command = ("train", "router") if arguments[0] == "--data" else ("router",)
        run(*command, *arguments).fails(code, message)
    assert not out.exists()


def test_another_base_model(run: Run, trained: Path, minilm_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(minilm_path, other)
    change_json(other / "config.json", layer_norm_eps=1e-11)
    run("router", "explain", "x", "--router", trained, "--base", other).fails(
        6, "was trained on all-minilm-l6-v2"
    )


def test_the_default_base_is_that_of_the_default_embedder() -> None:
    from expertrag import models
    from expertrag.stores.embedders import DEFAULT_EMBEDDER
    from expertrag_lab.cli.router import BASE
    from expertrag_retriever.experts.bundle import base_of

    assert base_of(Path(models.resolve(DEFAULT_EMBEDDER))).name == BASE
