"""Fitted weights of the probability that an answer is right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expertrag import models
from expertrag.answer.ground import SIGNALS
from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.llm.confidence import Confidence, ConfidenceOwner, load_confidence
from expertrag.llm.probe import Owner, Probe
from expertrag_lab.probe_files import save_confidence

OWNER = ConfidenceOwner("tiny", "0" * 16, "1" * 16, "2" * 16)
VERIFIER = Probe(np.array([1.0, -2.0], np.float32), 0.5, Owner("tiny", "0" * 16, "1" * 16))
WEIGHTS = Confidence({"sufficient": 1.0, "flawed": -2.0}, 0.5, 0.6, 0.8, 0.3, OWNER, VERIFIER)


def test_the_probability_grows_with_the_weighted_signals() -> None:
    assert WEIGHTS.probability({"sufficient": 0.0, "flawed": 0.0}) == pytest.approx(0.622, abs=1e-3)
    assert WEIGHTS.probability({"sufficient": 3.0, "flawed": 0.0}) > 0.95
    assert WEIGHTS.probability({"sufficient": 0.0, "flawed": 1.0}) < 0.2


def test_saved_weights_load_unchanged(tmp_path: Path) -> None:
    save_confidence(WEIGHTS, {"questions": 2}, "# card\n", tmp_path)
    loaded = load_confidence(tmp_path)
    assert replace(loaded, verifier=VERIFIER) == WEIGHTS
    assert loaded.verifier.weights.tolist() == [1.0, -2.0]
    assert (loaded.verifier.bias, loaded.verifier.owner) == (0.5, VERIFIER.owner)
    assert (tmp_path / "README.md").read_text("utf-8") == "# card\n"


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="has no"):
        load_confidence(tmp_path)
    save_confidence(WEIGHTS, {}, "", tmp_path)
    body = json.loads((tmp_path / "confidence.json").read_text("utf-8"))
    (tmp_path / "confidence.json").write_text(json.dumps({**body, "bias": 9.0}), "utf-8")
    with pytest.raises(ServerError, match="damaged"):
        load_confidence(tmp_path)
    save_confidence(WEIGHTS, {}, "", tmp_path)
    (tmp_path / "verifier" / "probe.safetensors").write_bytes(b"")
    with pytest.raises(ServerError, match="damaged"):
        load_confidence(tmp_path)
    (tmp_path / "verifier" / "probe.json").unlink()
    with pytest.raises(ServerError, match="install the package again"):
        load_confidence(tmp_path)


def test_the_shipped_weights_are_of_known_signals() -> None:
    folder = models.confidence_of("qwen2.5-coder-1.5b-instruct")
    assert folder is not None
    shipped = load_confidence(folder)
    assert {*shipped.weights} <= {*SIGNALS}
    assert 0 < shipped.internal_from < shipped.warn_below < shipped.strict_from < 1
    assert shipped.weights["agreement"] > 0 > shipped.weights["rival"]
