"""The shipped gates: complete, small, with a card, and fitted on package models."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag import models
from expertrag.config import ModelConfig
from expertrag.data.rows import read_row_sets
from expertrag.eval.gates import FittedGate, load_gate
from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.bundle import load_gate as load_bundle
from expertrag_retriever.gate.signals import SignalGroup

ADARAGUE = Path(__file__).parents[1] / "data" / "adarague_small"
NAME, LARGE_GATE = models.SHIPPED_GATES


def test_its_folder_is_small_and_has_a_card() -> None:
    folder = models.gate_folder(NAME)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10e6
    bundle = load_bundle(folder)
    assert bundle.version.startswith(f"{NAME}@")
    assert bundle.groups == (SignalGroup.QUESTION, SignalGroup.DRAFT)
    assert len(bundle.card["rows"]) == 6
    assert bundle.card["figures"]["rows"] == len(bundle.benefits) == 3000
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert bundle.version in card


def test_the_large_default_model_has_its_own_gate() -> None:
    assert models.gate_of(models.LARGE) == LARGE_GATE
    folder = models.gate_folder(LARGE_GATE)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10e6
    bundle = load_bundle(folder)
    assert bundle.version.startswith(f"{LARGE_GATE}@")
    assert bundle.needs.generator is None  # it uses only store signals
    assert bundle.groups == (SignalGroup.STORE,)
    assert len(bundle.card["rows"]) == 17
    assert bundle.card["figures"]["rows"] == len(bundle.benefits) == 315
    assert bundle.version in (folder / "README.md").read_text(encoding="utf-8")


def test_it_decides_on_rows_with_the_models_of_the_package(
    minilm_path: Path, smollm_path: Path, tmp_path: Path
) -> None:
    row_sets = read_row_sets([ADARAGUE])
    gate = load_gate(NAME, row_sets, model=ModelConfig(), work=tmp_path)
    assert isinstance(gate, FittedGate)
    assert gate.extra_calls == (1, 2)
    assert gate.seen(row_sets) == ()  # its rows are these and others, in other files
    for row_set in row_sets:
        p = gate.probabilities(row_set)
        assert ((p > 0) & (p < 1)).all()


def test_other_names_are_folders() -> None:
    assert models.gate_folder("gates/mine") == Path("gates/mine")
    with pytest.raises(GateError, match="no gate in"):
        load_bundle(models.gate_folder("gates/mine"))
