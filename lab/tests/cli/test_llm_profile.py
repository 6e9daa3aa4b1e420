"""``expertrag llm profile`` and ``show``, from prompts in a file and from a store."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Run
from file_helper import write_lines
from profile_samples import rows, write_tiny_mixture
from reader_samples import write_birth_store, write_llama

from expertrag.api.types import Feedback, GateAction, GateMode
from expertrag.audit.entries import AuditEntry, dump_entry, dump_feedback
from expertrag_lab.surgery.profiling.importance import Method
from expertrag_lab.surgery.profiling.profile_folder import load_profile
from expertrag_lab.work_folder import work_folder
from expertrag_retriever.encoder import SentenceTransformerEmbedder

TIME = "2026-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def mixture(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny mixture."""
    return write_tiny_mixture(tmp_path_factory.mktemp("models") / "mixture", smollm_path)


@pytest.fixture(scope="module")
def store(embedder: SentenceTransformerEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of people and their birthdays."""
    return write_birth_store(tmp_path_factory.mktemp("stores") / "people", embedder)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Prompts of two domains."""
    return write_lines(tmp_path / "rows.jsonl", [*rows(4), *rows(2, "deaths")])


def test_rows_are_profiled_and_shown(
    run: Run, mixture: Path, prompts: Path, tmp_path: Path
) -> None:
    out, page = tmp_path / "profile", tmp_path / "new" / "page.html"
    made = run("llm", "profile", mixture, prompts, "--out", out, "--limit", "3", "--json").ok()
    report = made.json()
    assert {name: item["prompts"] for name, item in report["domains"].items()} == {
        "births": 3, "deaths": 2,
    }  # fmt: skip
    assert report["layers"] == [0, 1, 2] and (report["experts"], report["top_k"]) == (5, 2)
    assert "profile: births: 3/3" in made.err and not (tmp_path / "profile.partial").exists()

    shown = run("llm", "show", out, "--domain", "births", "--page", page, "--json").ok().json()
    scores = load_profile(out).importance(Method.EASY_EP, ["births"])
    assert [layer["importance"] for layer in shown["layers"]] == scores.tolist()
    assert (shown["model"], shown["domains"]) == ("mixture", ["births"])
    assert shown["tokens"] == report["domains"]["births"]["tokens"]
    assert page.read_text().count("<h2>") == 1
    text = run("llm", "show", out, "--method", "frequency", "--page", page).ok()
    title, *lines = text.out.splitlines()
    assert title == "mixture: frequency, births, deaths"
    assert [line.split()[1] for line in lines[:3]] == ["0", "1", "2"] and "\x1b" not in text.out
    assert page.read_text().count("<h2>") == 3 and text.err == f"wrote {page}\n"
    run("llm", "show", out, "--domain", "none").fails(2, "no domain 'none'", "births, deaths")
    run("llm", "profile", mixture, prompts, "--out", out).fails(6, "exists; delete it")


def test_a_store_is_profiled_with_questions_of_its_own(
    run: Run, mixture: Path, store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "profile"
    options = ("--limit", "3", "-k", "2", "--most-tokens", "8")
    made = run("llm", "profile", mixture, f"general={store}", "--out", out, *options).ok()
    assert re.search(r"^general  3 prompts, [\d,]+ tokens$", made.out, re.MULTILINE)
    assert "searching people: 3/3" in made.err and not (tmp_path / "profile.partial").exists()
    assert "Prompts from people" in (out / "README.md").read_text()


def test_questions_of_an_audit_log_are_asked(
    run: Run, mixture: Path, store: Path, tmp_path: Path
) -> None:
    asked = AuditEntry(
        "1", TIME, 1, "gate", GateMode.AUTO, GateAction.RETRIEVE, threshold=0.5, p_benefit=0.9
    )
    entries = [
        replace(
            asked,
            question="When was Ada Aberson born?",
            domains={"legal": 0.9, "general": 0.1},
        ),
        replace(asked, id="2", question="When was Boris Berson born?"),
        replace(asked, id="3", question="when was  boris berson BORN?"),
    ]
    log = tmp_path / "audit.jsonl"
    log.write_bytes(b"\n".join(map(dump_entry, entries)))
    said = dump_feedback(Feedback("1", correct_answer="1900"), TIME)
    (tmp_path / "feedback.jsonl").write_bytes(said)
    out, options = tmp_path / "profile", ("--most-tokens", "4", "--json")
    made = run("llm", "profile", mixture, store, "--audit", log, "--out", out, *options).ok()
    found = made.json()["domains"]
    assert {name: item["prompts"] for name, item in found.items()} == {"legal": 1, "people": 1}


def test_bad_input_is_refused(
    run: Run, mixture: Path, prompts: Path, store: Path, smollm_path: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "profile")
    run("llm", "profile", mixture, tmp_path / "none", *out).fails(4, "no store or file of prompts")
    run("llm", "profile", mixture, prompts, "--audit", prompts, *out).fails(2, "give one STORE")
    dense = write_llama(tmp_path / "dense", smollm_path)
    run("llm", "profile", dense, prompts, *out).fails(2, "without routed experts")
    packed = tmp_path / "packed"
    run("llm", "pack", mixture, "--dtype", "int8", "--out", packed).ok()
    run("llm", "profile", packed, prompts, *out).fails(2, "is packed", "give the checkpoint")
    bad = write_lines(tmp_path / "bad.jsonl", [*rows(1), {"question": "Why?"}])
    run("llm", "profile", mixture, bad, *out).fails(2, "line 2", "a row is")
    empty = tmp_path / "empty"
    empty.mkdir()
    run("llm", "profile", mixture, empty, *out).fails(4)
    assert not list(tmp_path.glob("profile*"))
    with work_folder(tmp_path / "profile"):
        run("llm", "profile", mixture, prompts, *out).fails(6, "another run for", "is under way")


def test_what_is_no_profile_is_not_shown(
    run: Run, mixture: Path, prompts: Path, tmp_path: Path
) -> None:
    run("llm", "show", tmp_path / "none").fails(4, "make one with `expertrag llm profile`")
    run("llm", "show", mixture).fails(2, "is not a profile")
    out = tmp_path / "profile"
    run("llm", "profile", mixture, prompts, "--out", out, "--limit", "1").ok()
    (out / "use.safetensors").write_bytes(b"damage")
    run("llm", "show", out).fails(9, "is damaged", "make it again")
    run("llm", "profile", mixture, prompts, "--out", out).fails(6, "delete it")
