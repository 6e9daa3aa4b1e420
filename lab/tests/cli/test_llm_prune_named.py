"""``expertrag llm prune`` without a profile: a reader's experts, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run
from file_helper import write_lines
from profile_samples import rows, write_tiny_mixture
from reader_samples import write_llama, write_reader

from expertrag.llm import load_generator
from expertrag.llm.adapters.serving import load_adapters


@pytest.fixture(scope="module")
def base(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("base") / "tiny", smollm_path)


@pytest.fixture(scope="module")
def bundle(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "reader"
    return write_reader(folder, base, domains=("legal", "tax", "travel"))


def test_a_reader_is_served_with_fewer_experts(
    run: Run, base: Path, bundle: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    ran = run("llm", "prune", bundle, "--domain", "tax", "--out", small).ok()
    lines = ran.out.splitlines()
    assert lines[0] == "experts  shared, tax, base"
    assert lines[1] == "dropped  legal, travel; shared answers their questions"
    assert lines[2].startswith("weights  ") and " -> " in lines[2]
    assert lines[3] == f"wrote {small}"
    generator = load_generator(str(base), adapters=load_adapters(small))
    assert generator.experts == ("shared", "tax", "base")


def test_an_attached_reader_stays_attached(
    run: Run, base: Path, bundle: Path, tmp_path: Path
) -> None:
    model, small = tmp_path / "model", tmp_path / "small"
    run("llm", "attach", base, bundle, "--out", model).ok()
    prune = ("llm", "prune", model, "--domain", "legal", "--domain", "travel", "--json")
    made = run(*prune, "--out", small).json()
    assert made["experts"] == ["shared", "legal", "travel", "base"]
    assert made["dropped"] == ["tax"] and made["after"] < made["before"]
    assert load_generator(str(small)).experts == tuple(made["experts"])
    run(*prune, "--out", small).fails(6, "exists; delete it")


def test_verify_finds_the_same_answers_in_the_domains_that_stay(
    run: Run, base: Path, bundle: Path, tmp_path: Path
) -> None:
    model, small = tmp_path / "model", tmp_path / "small"
    run("llm", "attach", base, bundle, "--out", model).ok()
    run("llm", "prune", model, "--domain", "legal", "--out", small).ok()
    verify = ("llm", "verify", model, small, "--rounds", "0", "--max-tokens", "4", "--json")
    changes = {}
    for domain in ("legal", "tax"):
        held_out = write_lines(tmp_path / f"{domain}.jsonl", rows(3, domain, words=6))
        found = run(*verify, "--rows", held_out, "--tolerance", "9").json()
        changes[domain] = found["loss"]["after"] - found["loss"]["before"]
        assert domain == "tax" or found["same_answers"]["mean"] == 1.0
    assert changes["legal"] == 0.0 != changes["tax"]


def test_the_shipped_reader_of_a_package_model_is_named_by_it(run: Run, tmp_path: Path) -> None:
    prune = ("llm", "prune", "qwen2.5-coder-1.5b-instruct", "--domain", "finance", "--json")
    made = run(*prune, "--out", tmp_path / "small").json()
    assert made["dropped"] == ["encyclopedia", "biomedicine", "technical"]
    assert load_adapters(tmp_path / "small").names == ("shared", "finance", "base")


def test_invalid_calls_are_reported(
    run: Run, bundle: Path, smollm_path: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "small")
    run("llm", "prune", bundle, *out).fails(2, "name those whose experts stay", "legal, tax")
    run("llm", "prune", bundle, "--domain", "law", *out).fails(2, "no expert is called law")
    run("llm", "prune", bundle, "--domain", "tax", "--keep", "2", *out).fails(2, "add --profile")
    run("llm", "prune", bundle, "--profile", tmp_path, *out).fails(2, "add --keep")
    plain = write_tiny_mixture(tmp_path / "mixture", smollm_path)
    run("llm", "prune", plain, "--domain", "tax", *out).fails(2, "have no names: add --profile")
    run("llm", "prune", tmp_path / "none", "--domain", "tax", *out).fails(9, "not found")
