"""A fitted gate on disk, and its decisions."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from file_helper import change_json, reseal
from retriever.gate.conftest import Planted
from safetensors.numpy import load_file, save_file

from expertrag_lab.train.gate.predictor import fit_predictor
from expertrag_lab.train.gate.save import save_gate
from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.bundle import ABOUT, GateBundle, Needs, load_gate
from expertrag_retriever.gate.explain import explain_fitted
from expertrag_retriever.gate.fitted import decide, judge
from expertrag_retriever.gate.signals import Signals
from expertrag_retriever.types import GateAction

ABOUT_STORE = Signals({"question_words": 8.0, "documents_log_odds": 0.9, "margin": 0.1})
KNOWN = Signals({"question_words": 8.0, "documents_log_odds": -0.9, "margin": 0.95})


@pytest.fixture(scope="module")
def bundle(rows: Planted) -> GateBundle:
    fitted = fit_predictor(rows.signals, rows.right, models=("logistic", "kernel"))
    benefits = tuple(np.sort(fitted.predicted.benefit).tolist())
    return GateBundle("planted", fitted.predictor, 0.3, benefits, Needs(), {"rows": {"a": "b"}})


def test_a_round_trip_decides_the_same(bundle: GateBundle, tmp_path: Path) -> None:
    fingerprint = save_gate(bundle, tmp_path)
    again = load_gate(tmp_path)
    assert again.version == f"planted@{fingerprint[:8]}"
    assert (again.threshold, again.benefits, again.card) == (0.3, bundle.benefits, bundle.card)
    before, after = (judge(b.predictor, ABOUT_STORE) for b in (bundle, again))
    assert after.p_benefit == pytest.approx(before.p_benefit, abs=1e-4)


def test_the_card_does_not_change_the_hash(bundle: GateBundle, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    first = save_gate(bundle, tmp_path / "a")
    assert save_gate(replace(bundle, card={"note": "other"}), tmp_path / "b") == first
    assert save_gate(replace(bundle, threshold=0.5), tmp_path / "c") != first


@pytest.mark.parametrize("pattern", [ABOUT, "gate-*.safetensors"])
def test_a_damaged_gate(bundle: GateBundle, tmp_path: Path, pattern: str) -> None:
    save_gate(bundle, tmp_path)
    (file,) = tmp_path.glob(pattern)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(GateError, match=r"is damaged .*: fit it again"):
        load_gate(tmp_path)


def test_ways_to_read_of_an_earlier_version_are_ignored(bundle: GateBundle, tmp_path: Path) -> None:
    save_gate(bundle, tmp_path)
    body = json.loads((tmp_path / ABOUT).read_text())
    way = {name: body[name] for name in ("model", "blocks", "calibration")} | {"seconds": 0.5}
    (tmp_path / ABOUT).write_text(json.dumps(body | {"cost": 0.02, "ways": {"one_passage": way}}))
    file = tmp_path / body["arrays"]
    arrays = load_file(file)
    own = {k: v for k, v in arrays.items() if k.startswith(("design.", "model."))}
    save_file(arrays | {f"one_passage.{name}": value for name, value in own.items()}, file)
    reseal(tmp_path / ABOUT, file)
    again = load_gate(tmp_path)
    assert decide(again, ABOUT_STORE).reason == decide(bundle, ABOUT_STORE).reason
    save_gate(again, tmp_path)
    assert "ways" not in json.loads((tmp_path / ABOUT).read_text())


def test_saving_replaces_the_gate_in_the_folder(bundle: GateBundle, tmp_path: Path) -> None:
    save_gate(bundle, tmp_path)
    other = replace(bundle, benefits=(0.1, 0.2))
    fingerprint = save_gate(other, tmp_path)
    assert load_gate(tmp_path).fingerprint == fingerprint
    listed = [line[66:] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", *listed]


def test_a_gate_of_a_model_that_was_removed(bundle: GateBundle, tmp_path: Path) -> None:
    save_gate(bundle, tmp_path)
    change_json(tmp_path / ABOUT, model="boosted")
    with pytest.raises(GateError, match=r"'boosted', which this version does not have.*fit it"):
        load_gate(tmp_path)


def test_a_gate_of_another_format(bundle: GateBundle, tmp_path: Path) -> None:
    save_gate(bundle, tmp_path)
    change_json(tmp_path / ABOUT, format=99)
    with pytest.raises(GateError, match="format is 99, not 3"):
        load_gate(tmp_path)
    with pytest.raises(
        GateError, match=r"no gate in .*: name a folder made by `expertrag train gate"
    ):
        load_gate(tmp_path / "none")


@pytest.mark.parametrize(("store", "refused"), [(True, True), (False, False)])
def test_a_gate_of_an_older_format_must_be_fitted_again_if_it_uses_the_store(
    rows: Planted, tmp_path: Path, *, store: bool, refused: bool
) -> None:
    signals = [
        Signals({k: v for k, v in item.numbers.items() if store or k != "documents_log_odds"})
        for item in rows.signals
    ]
    fitted = fit_predictor(signals, rows.right, models=("logistic",))
    save_gate(GateBundle("old", fitted.predictor, 0.3, (), Needs(), {}), tmp_path)
    change_json(tmp_path / ABOUT, format=1)
    if refused:
        with pytest.raises(GateError, match="with different store signals"):
            load_gate(tmp_path)
    else:
        assert load_gate(tmp_path).name == "old"


def test_the_reason_states_what_decided_and_what_would_change_it(bundle: GateBundle) -> None:
    yes, no = decide(bundle, ABOUT_STORE), decide(bundle, KNOWN)
    assert (yes.action, no.action) == (GateAction.RETRIEVE, GateAction.CLOSED_BOOK)
    assert yes.contributions["store"] > 0 > no.contributions["store"]
    assert yes.p_benefit is not None
    assert yes.p_correct_retrieval is not None
    assert re.search(
        r"The benefit 0\.\d\d \(what the store covers \+\d\.\d\d.*\) reaches the threshold 0\.30, "
        r"so the documents are consulted\.",
        yes.reason,
    )
    assert re.search(
        r"is below the threshold 0\.15, so the model answers alone\. Without what the store "
        r"covers.*the decision would be the opposite\.$",
        decide(bundle, KNOWN, threshold=0.15).reason,
    )
    assert decide(bundle, KNOWN, threshold=0.0).retrieve


def test_an_unused_vector_may_be_non_finite(bundle: GateBundle) -> None:
    unused = {"hidden_upper": np.array([np.inf, 0.0], np.float32)}
    embedding = {"question_embedding": np.full(8, np.nan, np.float32)}
    assert decide(bundle, replace(ABOUT_STORE, vectors=unused)).p_benefit is not None
    broken = decide(bundle, replace(ABOUT_STORE, vectors=embedding))
    assert "not finite: question_embedding" in broken.warnings[0]


def test_warns_about_a_group_that_was_not_measured(bundle: GateBundle) -> None:
    decision = decide(bundle, Signals({"question_words": 5.0}))
    assert [warning.split("'")[1] for warning in decision.warnings] == ["store", "prefill"]
    assert decision.p_benefit is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_non_finite_signal_consults_the_documents(bundle: GateBundle, value: float) -> None:
    decision = decide(bundle, Signals({"documents_log_odds": 0.1, "margin": value}))
    assert decision.action is GateAction.RETRIEVE
    assert decision.p_benefit is None
    assert decision.warnings == ("signals that are not finite: margin",)
    assert "so the documents are consulted to be safe" in decision.reason


def test_a_benefit_just_below_the_threshold_is_told_apart_from_it() -> None:
    assert "The benefit 0.124 is below the threshold 0.125" in explain_fitted(0.124, 0.125, {})
    assert "The benefit 0.30 reaches the threshold 0.12," in explain_fitted(0.3, 0.12, {})
