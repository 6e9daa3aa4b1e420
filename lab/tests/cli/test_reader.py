"""``expertrag llm`` and ``expertrag train reader``: from a dense model to an exported mixture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run
from reader_samples import write_birth_store, write_births, write_llama, write_reader
from transformers import AutoModelForCausalLM

from expertrag.llm.load.gguf_file import GGUFFile
from expertrag_retriever.encoder import SentenceTransformerEmbedder


@pytest.fixture
def base(smollm_path: Path, tmp_path: Path) -> Path:
    """Folder of a tiny Llama."""
    return write_llama(tmp_path / "base", smollm_path)


@pytest.fixture
def births(tmp_path: Path) -> Path:
    """Folder of a training data set."""
    return write_births(tmp_path / "births")


def test_pack_then_verify(run: Run, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    pack = ("llm", "pack", base, "--dtype", "int8", "--out", out)
    ran = run(*pack).ok()
    assert ran.out == f"wrote {out}\n"
    assert "pack " in ran.err and f"write {out}: 1/1" in ran.err
    assert run("llm", "verify", out).ok().out == f"{out} is intact\n"
    run(*pack).fails(6, "exists; delete it")
    run("llm", "verify", base).fails(2, "is not packed")


def test_a_missing_model_is_not_packed(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    run("llm", "pack", tmp_path / "none", "--dtype", "int8", "--out", out).fails(9)
    assert not out.exists()


def test_upcycle_names_its_experts(run: Run, base: Path, tmp_path: Path) -> None:
    names = "general,biomedicine,legal"
    run("llm", "upcycle", base, "--experts", names, "--out", tmp_path / "moe").ok()
    config = json.loads((tmp_path / "moe" / "config.json").read_text())
    assert config["model_type"] == "mixtral" and config["num_local_experts"] == 3
    assert config["expert_names"] == names.split(",")


def test_a_reader_of_an_upcycled_mixture_is_exported(
    run: Run, base: Path, births: Path, tmp_path: Path
) -> None:
    """The base may be a mixture fresh from upcycling, as the default model is."""
    moe, bundle, exported = (tmp_path / name for name in ("moe", "bundle", "exported"))
    assert run("llm", "upcycle", base, "--experts", "a,b", "--out", moe).code == 0
    trained = run(
        *("train", "reader", "--data", f"encyclopedia={births}", "--base", moe),
        *("--profile", "small", "--examples", "48", "--out", bundle, "--json"),
        *("--licence", "births=CC0-1.0"),
    ).ok()
    report = trained.json()
    assert [item["licence"] for item in report["sets"]] == ["CC0-1.0"]
    assert report["base"] == "moe" and report["points"][-1]["step"] == report["steps"]
    assert "dev loss" in trained.err and "dev exact" in trained.err
    done = run("llm", "export", moe, bundle, "--out", exported, "--json").ok()
    assert done.json()["experts"] == ["shared", "encyclopedia", "base"]
    attach = ("llm", "attach", moe, bundle, "--out", tmp_path / "attached", "--json")
    assert run(*attach).ok().json()["experts"] == done.json()["experts"]
    run(*attach).fails(6, "exists; delete it")
    run("train", "reader", "--data", births, "--out", bundle).fails(6, "delete it")


def test_a_base_with_different_experts_is_rejected(
    run: Run, base: Path, births: Path, tmp_path: Path
) -> None:
    moe = tmp_path / "moe"
    assert run("llm", "upcycle", base, "--experts", "a,b", "--out", moe).code == 0
    model = AutoModelForCausalLM.from_pretrained(moe)
    model.model.layers[0].mlp.experts.down_proj.data[1] += 1
    model.save_pretrained(moe)
    data = ("--data", f"encyclopedia={births}")
    run("train", "reader", *data, "--base", moe, "--out", tmp_path / "bundle").fails(2, "differ")


def test_a_reader_is_exported_as_a_gguf_file(run: Run, base: Path, tmp_path: Path) -> None:
    export = ("llm", "export", base, write_reader(tmp_path / "bundle", base))
    one = (*export, "--domain", "legal", "--dtype", "float16")
    done = run(*one, "--out", tmp_path / "one.gguf", "--json").ok()
    assert done.json() == {"model": str(tmp_path / "one.gguf"), "experts": ["legal"]}
    file = GGUFFile(tmp_path / "one.gguf")
    assert {tensor.tensor_type.name for tensor in file.reader.tensors} == {"F16", "F32"}
    run(*export, "--out", tmp_path / "one.gguf").fails(6, "delete it")
    run(*one, "--out", tmp_path / "folder").fails(2, "ends in .gguf")


def test_a_store_without_questions_trains_a_reader(
    run: Run, base: Path, embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    store = write_birth_store(tmp_path / "births", embedder)
    bundle = tmp_path / "bundle"
    trained = run(
        *("train", "reader", "--from-index", f"encyclopedia={store}", "--base", base),
        *("--profile", "small", "--out", bundle, "--json"),
    ).ok()
    [reported] = trained.json()["sets"]
    assert (reported["name"], reported["domain"]) == ("births", "encyclopedia")
    assert "births: 80 questions of 80 passages (80 cloze); dropped: none" in trained.err
    assert "--from-index encyclopedia=births" in (bundle / "README.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "births", "bundle"]


def test_invalid_training_data_is_reported(run: Run, births: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "bundle")
    run("train", "reader", *out).fails(2, "--from-index STORE")
    run("train", "reader", "--from-index", births, *out).fails(4, "no store at")
    for count in ("0", "births=", "many"):
        run("train", "reader", "--data", births, "--examples", count, *out).fails(
            2, "DATASET=NUMBER"
        )
    run("train", "reader", "--data", births, "--generator", "x", *out).fails(2, "add --from-index")


def test_a_training_starts_from_a_reader(
    run: Run, base: Path, births: Path, tmp_path: Path
) -> None:
    first = write_reader(tmp_path / "first", base)
    more = ("train", "reader", "--data", f"history={births}", "--base", base)
    small = ("--profile", "small", "--examples", "48", "--out", tmp_path / "more")
    trained = run(*more, *small, "--start", first, "--json").ok()
    assert len(trained.json()["start"]) == 16
    assert "--start first" in (tmp_path / "more" / "README.md").read_text()
    exported = ("llm", "export", base, tmp_path / "more", "--out", tmp_path / "exported")
    assert run(*exported, "--json").json()["experts"] == ["shared", "legal", "history", "base"]


def test_an_invalid_start_is_reported(run: Run, base: Path, births: Path, tmp_path: Path) -> None:
    more = ("train", "reader", "--data", births, "--base", base, "--out", tmp_path / "more")
    run(*more, "--start", "smollm2-135m-reader").fails(
        6, "smollm2-135m-instruct-moe: use those files"
    )
    run(*more, "--start", births).fails(2, "is not a reader")
    assert not (tmp_path / "more.partial").exists()
