"""``expertrag llm verify``: a changed model beside the one before, and its exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import Run
from file_helper import change_json
from memorised_mixture import planted_gate, write_memorised, write_rows
from reader_samples import write_birth_store
from safetensors.torch import load_file, save_file

from expertrag.llm.fingerprint import fingerprint
from expertrag_lab.cli import llm_verify
from expertrag_lab.surgery.verification.verify import VerifySettings
from expertrag_lab.train.gate.save import save_gate
from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.gate.bundle import Needs


@pytest.fixture(scope="module")
def known(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny reader that knows the replies to the rows."""
    return write_memorised(tmp_path_factory.mktemp("models") / "known", smollm_path)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl")


@pytest.fixture
def zeroed(known: Path, tmp_path: Path) -> Path:
    """The same reader with experts that compute nothing."""
    out = shutil.copytree(known, tmp_path / "zeroed")
    weights = load_file(out / "model.safetensors")
    for name in weights:
        if ".experts." in name:
            weights[name] *= 0.0
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    return out


def test_the_defaults_are_those_of_the_comparison() -> None:
    settings = VerifySettings()
    assert settings.tolerance == llm_verify.TOLERANCE
    assert (settings.most_tokens, settings.rounds) == (llm_verify.MOST_TOKENS, llm_verify.ROUNDS)


def test_an_equal_model_passes(run: Run, known: Path, rows: Path, tmp_path: Path) -> None:
    same = shutil.copytree(known, tmp_path / "same")
    ran = run("llm", "verify", known, same, "--rows", rows, "--rounds", "1").ok()
    lines = {line[:20].strip(): line[20:].split() for line in ran.out.splitlines()[1:]}
    assert ran.out.startswith("6 prompts, ")
    assert lines["loss, nats a token"][2:] == ["+0.0%", "[+0.0%,", "+0.0%]"]
    assert lines["accuracy"][:2] == ["1.000", "1.000"]
    assert lines["same answers"] == lines["same experts"] == ["1.000"]
    assert lines["decode, tokens/s"][2].startswith("x")
    assert "deaths" in lines and "parameters" in lines


def test_a_damaged_model_is_refused_unless_forced(
    run: Run, known: Path, zeroed: Path, rows: Path
) -> None:
    verify = ("llm", "verify", known, zeroed, "--rows", rows, "--rounds", "0")
    ran = run(*verify, "--json")
    found = ran.json(11)
    assert found["loss"]["relative"]["high"] > 0.02 and found["problems"]
    assert ran.err.splitlines()[-1].startswith(f"error: {zeroed} is refused: the loss on right")
    forced = run(*verify, "--force").ok()
    assert "accepted by --force: the loss on right answers rises" in forced.err
    run(*verify, "--tolerance", "1000000").ok()


def test_a_packed_model_is_verified_by_its_name(
    run: Run, known: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "packed"
    run("llm", "pack", known, "--dtype", "int8", "--out", packed).ok()
    monkeypatch.setattr("expertrag.models.resolve", lambda name: name.replace("it", str(packed)))
    assert run("llm", "verify", "it").ok().out == "it is intact\n"
    ran = run("llm", "verify", packed, packed, "--rows", rows, "--rounds", "0").ok()
    assert "routers are not compared: packed is packed, whose experts are rounded\n" in ran.err
    for name in ("tokenizer.json", "program.json", "config.json"):
        (packed / name).write_text("{")
        run("llm", "verify", packed).fails(9, str(packed), "damaged")
        (packed / name).unlink()  # without the program, transformers reads the others


def test_some_rows_are_drawn(run: Run, known: Path, rows: Path) -> None:
    drawn = run(
        *("llm", "verify", known, known, "--rows", rows, "--limit", "3", "--seed", "1"),
        *("--rounds", "0", "--json"),
    ).json()
    assert drawn["prompts"] == 3 and drawn["speed"] == {}


def test_a_store_is_asked_about_its_documents(
    run: Run,
    known: Path,
    embedder: SentenceTransformerEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("expertrag_lab.eval.stores.default_work", lambda: tmp_path / "work")
    store = write_birth_store(tmp_path / "people", embedder)
    found = run(
        *("llm", "verify", known, known, "--rows", store, "--limit", "3", "-k", "1"),
        *("--rounds", "0", "--json"),
    ).json()
    assert found["prompts"] + found["too_long"] == 3
    assert set(found["domains"]) == {"people"}


def test_a_gate_of_another_model_is_refused(
    run: Run, known: Path, rows: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    verify = ("llm", "verify", known, known, "--rows", rows, "--gate", gate, "--rounds", "0")
    save_gate(planted_gate(Needs(generator="it", generator_fingerprint=fingerprint(known))), gate)
    run(*verify).ok()
    save_gate(planted_gate(Needs(generator="it", generator_fingerprint="0123456789abcdef")), gate)
    ran = run(*verify)
    assert ran.code == 11 and "was fitted with another language model (it, 01234567;" in ran.err
    assert "expertrag train gate ROWS --index STORE" in ran.err


def test_invalid_calls_are_reported(run: Run, known: Path, rows: Path, tmp_path: Path) -> None:
    run("llm", "verify", known, known).fails(2, "add --rows")
    run("llm", "verify", known, "--rows", rows).fails(2, "name the changed one")
    run("llm", "verify", known, tmp_path / "none", "--rows", rows).fails(9, "not found")
    run("llm", "verify", "nowhere").fails(9, "'nowhere' not found")
    run("llm", "verify", known).fails(2, "is not packed", "pack it", "--rows ROWS")
    nan = ("--rows", rows, "--tolerance", "nan")
    run("llm", "verify", known, known, *nan).fails(2, "nan is not a number")
    run("llm", "verify", known, known, "--rows", tmp_path / "none").fails(4, "no file")
    run("llm", "verify", known, known, "--rows", rows, "--gate", tmp_path).fails(2, "no gate in")
    broken = shutil.copytree(known, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"none")
    run("llm", "verify", known, broken, "--rows", rows).fails(9, "damaged")
    change_json(broken / "config.json", vocab_size=5)
    run("llm", "verify", broken, known, "--rows", rows).fails(9, "damaged")
