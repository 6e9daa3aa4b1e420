"""``expertrag gate``: a gate fitted on AdaRAGUE's rows, scored, and deciding over a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run
from file_helper import change_json
from reader_samples import write_llama

from expertrag_lab.cli.gate import COST, MODELS, SIGNALS
from expertrag_lab.train.gate import fit
from expertrag_lab.train.gate.design import GATE_GROUPS
from expertrag_retriever.gate import learners

ADARAGUE = Path(__file__).parents[3] / "tests" / "data" / "adarague_small"
SQUAD = ADARAGUE.with_name("squad_small")
QUICK = ("--models", "logistic,kernel")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work folder that keeps the readings of drafts between tests."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def generator(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model, whose drafts are read."""
    return write_llama(tmp_path_factory.mktemp("models") / "llama", smollm_path)


@pytest.fixture
def models(minilm_path: Path, generator: Path) -> list[str]:
    return ["--embedder", str(minilm_path), "--generator", str(generator)]


@pytest.fixture
def explained_with(minilm_path: Path, generator: Path) -> list[str]:
    """The same models, for ``gate explain``."""
    return ["--set", f"model.embedder={minilm_path}", "--generator", str(generator)]


@pytest.fixture
def fitted(run: Run, tmp_path: Path, models: list[str]) -> Path:
    """A gate of question signals only, which need no language model."""
    out = tmp_path / "fitted"
    fit = ("train", "gate", ADARAGUE, "--out", out, *QUICK, "--signals", "question", *models)
    ran = run(*fit, "--json").ok()
    card = ran.json()["card"]
    assert card["signals"] == ["question"]
    assert set(card["rows"]) == {"hotpotqa", "nq", "triviaqa"}
    assert "reading drafts" not in ran.err
    assert json.loads((out / "gate.json").read_text())["needs"]["generator"] is None
    return out


def test_the_choices_are_those_of_the_gate() -> None:
    assert tuple(learners.MODELS) == MODELS
    assert tuple(GATE_GROUPS) == SIGNALS
    assert fit.COST == COST


def test_fit_score_and_decide(
    run: Run,
    tmp_path: Path,
    work: Path,
    models: list[str],
    explained_with: list[str],
    generator: Path,
    built_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(generator.parent)  # a gate needs its language model by its name
    out, rows = tmp_path / "nightly", (ADARAGUE / "nq.jsonl", ADARAGUE / "triviaqa.jsonl")
    ran = run("train", "gate", *rows, "--out", out, *QUICK, *models, "--work", work).ok()
    assert "rows 60: never 0.450, always 0.483, oracle 0.600; gate 0." in ran.out
    assert ran.out.endswith(f"wrote {out}\n")
    assert "triviaqa: reading drafts" in ran.err
    card = (out / "README.md").read_text()
    assert card.startswith("# nightly@")
    assert "| 60 | 0.450 | 0.483 | 0.600 |" in card

    ran = run("eval", "gate", *rows, "--gate", out, "--work", work, "--json").ok()
    assert "reading drafts" not in ran.err  # they were kept
    report = ran.json()
    gate = report["pooled"]["gate"]
    assert gate["name"].startswith("nightly@")
    assert gate["auc_benefit"] > 0.6  # it was fitted on these rows
    assert 2 <= gate["lm_calls"] <= 3  # a draft is one call more; a retrieval discards it
    assert report["manifest"]["inputs"]["gate"]["fingerprint"].startswith(gate["name"][8:])

    asked = ("--limit", "1", "--max-tokens", "8", "--work", work, *models)
    report = run("eval", "answer", SQUAD, *asked, "--gate-bundle", out, "--json").json()
    assert report["manifest"]["inputs"]["sets"]["squad_small"]["gate"] == gate["name"]

    question = ("gate", "explain", "Who prunes roses in March?", "--index", built_store)
    by_gate = ("--set", f"gate.bundle={out}", *explained_with)
    decision = run(*question, *by_gate, "--json").json()
    assert decision["calibrator"] == gate["name"]
    assert set(decision["contributions"]) == {"question", "draft"}
    assert decision["signals"]["draft_words"] > 0

    ran = run(*question, *by_gate)
    assert "The benefit 0." in ran.out


def test_a_gate_is_not_overwritten(run: Run, fitted: Path, models: list[str]) -> None:
    fit = ("train", "gate", ADARAGUE, "--out", fitted, *models)
    run(*fit).fails(6, f"{fitted} exists; delete it or choose another name")


def test_live_questions_are_answered_during_the_fit(
    run: Run, tmp_path: Path, work: Path, models: list[str]
) -> None:
    asked = ("--live", SQUAD, "--split", "test", "--limit", "2", "--work", work)
    choices = (*QUICK, "--signals", "question", *models)
    ran = run(
        "train", "gate", ADARAGUE, *asked, "--out", tmp_path / "live", *choices, "--json"
    ).ok()
    assert set(ran.json()["card"]["rows"]) == {
        "hotpotqa", "nq", "triviaqa", "squad_small",
    }  # fmt: skip
    assert "squad_small: answering: 0/2" in ran.err
    ran = run("train", "gate", *asked, "--out", tmp_path / "few", *choices)
    ran.fails(2, "rows")
    assert "answering: 0/2" not in ran.err  # the answers were kept
    run("train", "gate", "--out", tmp_path / "none", *choices).fails(
        2, "give files of rows, or a data set with --live"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--signals", "question,moon"),
            "'moon' is not one of question, domain, store, prefill, draft",
        ),
        (("--models", "oracle"), "'oracle' is not one of logistic, kernel"),
        (("--signals", "question,store"), "have no store signals; make rows with 'expertrag"),
    ],
)
def test_wrong_choices(
    run: Run, tmp_path: Path, models: list[str], arguments: tuple[str, str], message: str
) -> None:
    run("train", "gate", ADARAGUE, "--out", tmp_path / "none", *arguments, *models).fails(
        2, message
    )
    assert not (tmp_path / "none").exists()


def test_rows_that_are_too_few(run: Run, tmp_path: Path, fitted: Path, models: list[str]) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join((ADARAGUE / "nq.jsonl").read_text().splitlines()[:20]))
    fit = ("train", "gate", few, "--signals", "question", *models)
    for command in (fit, ("gate", "calibrate", few, "--gate", fitted)):
        ran = run(*command, "--out", tmp_path / "none")
        ran.fails(2, "20 rows are too few")
        assert len(ran.err.splitlines()) == 1, "before anything is measured"


def test_a_gate_of_other_models(
    run: Run, fitted: Path, explained_with: list[str], built_store: Path
) -> None:
    by_gate = ("--set", f"gate.bundle={fitted}", *explained_with)
    needs = json.loads((fitted / "gate.json").read_text())["needs"]
    change_json(fitted / "gate.json", needs={**needs, "embedder_fingerprint": "0" * 32})
    for command in (
        ("eval", "gate", ADARAGUE, "--gate", fitted),
        ("gate", "explain", "Who?", "--index", built_store, *by_gate),
    ):
        run(*command).fails(
            6, "was fitted with another embedder", "fit it again with 'expertrag train gate'"
        )


def test_calibrate_on_rows_of_your_own(run: Run, tmp_path: Path, fitted: Path) -> None:
    out = tmp_path / "calibrated"
    reported = run("gate", "calibrate", ADARAGUE, "--gate", fitted, "--out", out, "--json").json()
    card = reported["card"]
    assert card["calibrated"].startswith("fitted@")
    unseen = "rows that the calibration had not seen"
    assert card["figures_are_of"] == f"{unseen}, but the model had: they are too optimistic"
    before, after = (json.loads((folder / "gate.json").read_text()) for folder in (fitted, out))
    assert before["arrays"] != after["arrays"]  # other benefits, for a budget
    assert before["model"] == after["model"]

    other = tmp_path / "other.jsonl"
    lines = [line for file in ADARAGUE.glob("*.jsonl") for line in file.read_text().splitlines()]
    again = [line.replace('"_id": "', '"_id": "again-') for line in lines]
    other.write_text("\n".join([*lines, *again]))  # a file that the gate does not know
    ran = run(
        "gate", "calibrate", other, "--gate", fitted, "--out", tmp_path / "more", "--json"
    ).ok()
    assert ran.json()["card"]["figures_are_of"] == unseen


def test_refit_replaces_only_by_a_better_gate(run: Run, fitted: Path) -> None:
    refit = ("gate", "refit", ADARAGUE, "--gate", fitted, *QUICK)
    before = (fitted / "gate.json").read_bytes()
    reported = run(*refit, "--dry-run", "--json").json()
    assert reported["swapped"] is False
    assert reported["comparison"]["n"] == 90
    # the old gate was fitted on these very rows, the new one is judged by rows it had not seen
    assert reported["comparison"]["difference"] <= 0
    ran = run(*refit)
    assert "kept the old gate: the new one is not clearly better" in ran.out
    assert (fitted / "gate.json").read_bytes() == before

    change_json(fitted / "gate.json", threshold=0.0)  # a gate that always retrieves
    ran = run(*refit, "--cost", 0.5).ok()
    assert f"{fitted} is now fitted@" in ran.out
    assert json.loads((fitted / "gate.json").read_text())["threshold"] > 0.0
