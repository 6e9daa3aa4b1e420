"""Writes fitted probes and weights of confidence, which the service reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expertrag.llm.confidence import FIELDS, FILE, VERIFIER, Confidence
from expertrag.llm.probe import ABOUT, WEIGHTS, Probe
from expertrag_common import checksums

if TYPE_CHECKING:
    from expertrag.answer.scope_probe import ScopeProbe
    from expertrag_index.types import FloatArray

_VERIFIER_CARD = "The probe of the weights in the folder above, whose card describes it.\n"


def save_probe(probe: Probe, training: Mapping[str, Any], card: str, folder: Path) -> None:
    """Write a probe into an existing folder."""
    arrays = {"weights": probe.weights, "bias": np.array([probe.bias], np.float32)}
    _save(arrays, {"owner": asdict(probe.owner), "training": dict(training)}, card, folder)


def save_scope_probe(
    probe: ScopeProbe, training: Mapping[str, Any], card: str, folder: Path
) -> None:
    """Write a probe of scopes into an existing folder."""
    bounds = {scope.value: bound for scope, bound in probe.bounds.items()}
    about = {"owner": asdict(probe.owner), "bounds": bounds, "training": dict(training)}
    arrays = {
        "weights": probe.weights,
        "bias": probe.bias,
        "calculation_weights": probe.calculation.weights,
        "calculation_bias": np.array([probe.calculation.bias], np.float32),
    }
    _save(arrays, about, card, folder)


def _save(
    arrays: Mapping[str, FloatArray], about: Mapping[str, Any], card: str, folder: Path
) -> None:
    from safetensors.numpy import save_file

    # save_file writes memory as it lies, and scikit-learn's coefficients may be transposed
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / WEIGHTS
    )
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    checksums.seal(folder, WEIGHTS, ABOUT)
    (folder / "README.md").write_text(card, encoding="utf-8")


def save_confidence(
    confidence: Confidence, training: Mapping[str, Any], card: str, folder: Path
) -> None:
    """Write fitted weights into an existing folder."""
    body = {name: getattr(confidence, name) for name in FIELDS}
    body |= {"owner": asdict(confidence.owner), "training": dict(training)}
    (folder / FILE).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    checksums.seal(folder, FILE)
    (folder / "README.md").write_text(card, encoding="utf-8")
    verifier = folder / VERIFIER
    verifier.mkdir(exist_ok=True)
    save_probe(confidence.verifier, {}, _VERIFIER_CARD, verifier)
