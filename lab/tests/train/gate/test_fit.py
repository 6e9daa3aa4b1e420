"""A gate fitted on recorded rows: what it learns in addition to the benefit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.config import Config
from expertrag_index.types import silent
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row, RowSet
from expertrag_lab.train.gate.card import CARD
from expertrag_lab.train.gate.fit import calibrate_gate, fit_gate
from expertrag_lab.train.gate.signals import SignalSource
from expertrag_lab.train.gate.source import open_source, source_of
from expertrag_retriever.gate.bundle import GateBundle, load_gate
from expertrag_retriever.gate.signals import SignalGroup


def _row(number: int, rng: random.Random, generator: str) -> Row:
    """Passages hold the answer if no word is missing."""
    held = rng.random() < 0.5
    right = held and rng.random() < 0.8
    evidence = {"evidence_dense_best": rng.random(), "evidence_missing": float(not held)}
    return Row(
        id=str(number),
        question=f"Where is the {number}th tower?",
        answers=("Paris",),
        never="Paris" if rng.random() < 0.2 else "Rome",
        one_step="Paris" if right else "Rome",
        recorded=Recorded(
            never=Branch(stage_seconds={"generate": 1.0}),
            one_step=Branch(stage_seconds={"generate": 4.0}, evidence=evidence, sufficient=held),
            gate=GateRecord(
                "g",
                0.5,
                0.5,
                {"p_documents": rng.random(), "margin": rng.random()},
                generator=generator,
            ),
        ),
    )


def _rows(generator: str = "") -> RowSet:
    """Rows that a language model has answered, by its hash."""
    rng = random.Random(0)
    made = tuple(_row(number, rng, generator) for number in range(160))
    return RowSet("towers", made, (), "0" * 64)


def _source(model_config: Config, folder: Path) -> SignalSource:
    return open_source((SignalGroup.QUESTION, SignalGroup.STORE), model_config.model, folder)


def _fitted(model_config: Config, folder: Path, *, judge: bool = True, generator: str = "") -> Path:
    out, source = folder / "gate", _source(model_config, folder)
    rows = [_rows(generator)]
    fit_gate(rows, source, out, models=("logistic",), judge=judge, progress=silent)
    return out


@pytest.fixture(scope="module")
def out(model_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _fitted(model_config, tmp_path_factory.mktemp("fit"))


@pytest.fixture(scope="module")
def bundle(out: Path) -> GateBundle:
    return load_gate(out)


def test_passages_are_judged(bundle: GateBundle, out: Path) -> None:
    assert bundle.sufficiency is not None
    reported = bundle.card["passages"]
    assert reported["rows"] == 160
    assert reported["auc"] > 0.95
    assert reported["auc_similarity"] == pytest.approx(0.5, abs=0.12)
    assert "AUROC" in (out / CARD).read_text()


def test_the_judge_can_be_left_out(
    bundle: GateBundle, model_config: Config, tmp_path: Path
) -> None:
    without = load_gate(_fitted(model_config, tmp_path, judge=False))
    assert without.sufficiency is None and "passages" not in without.card
    assert (without.threshold, without.benefits) == (bundle.threshold, bundle.benefits)


def test_the_gate_knows_whose_answers_it_was_fitted_on(
    bundle: GateBundle, model_config: Config, tmp_path: Path
) -> None:
    """Its signals need no language model, so only its rows tell."""
    assert bundle.answer_models == ()
    known = _fitted(model_config, tmp_path, judge=False, generator="abcdefgh0")
    fitted = load_gate(known)
    assert fitted.needs.generator_fingerprint is None and fitted.answer_models == ("abcdefgh0",)
    assert "answers of the language model `abcdefgh0`" in (known / CARD).read_text()
    source, out = _source(model_config, tmp_path), tmp_path / "other"
    calibrated = calibrate_gate([_rows("01234567x")], fitted, source, out, progress=silent)
    assert calibrated.answer_models == load_gate(out).answer_models == ("01234567x",)


def test_domain_signals_need_the_router_of_the_fit(
    bundle: GateBundle, model_config: Config, tmp_path: Path
) -> None:
    """The base model may be the same while its experts and their router differ."""
    moved = replace(bundle, needs=replace(bundle.needs, router="of another bundle"))
    with pytest.raises(Conflict, match="fitted with a different domain router"):
        source_of(moved, model_config.model, tmp_path)
    assert source_of(bundle, model_config.model, tmp_path).needs.router is None


def test_an_embedder_without_experts_has_no_domain_signals(
    model_config: Config, tmp_path: Path
) -> None:
    model = replace(model_config.model, embedder="all-minilm-l6-v2")
    with pytest.raises(InvalidArgument, match="has no embedding experts"):
        open_source((SignalGroup.DOMAIN,), model, tmp_path)
