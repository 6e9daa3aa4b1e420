"""Writes a fitted gate, which the service reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from expertrag_common import checksums
from expertrag_common.durable import write_durably
from expertrag_retriever.gate.bundle import ABOUT, FORMAT, HEADS, GateBundle, fingerprint_of
from expertrag_retriever.gate.calibrators import Calibrator
from expertrag_retriever.gate.predictor import Predictor


def save_gate(bundle: GateBundle, folder: Path) -> str:
    """Write a gate into a folder, replacing the one there; return its fingerprint."""
    about, state = _dump_predictor(bundle.predictor)
    state["benefits"] = np.array(bundle.benefits)
    judged: dict[str, Any] = {}
    if bundle.sufficiency is not None:
        judged["sufficiency"], arrays = bundle.sufficiency.dump()
        state |= _under("sufficiency", arrays)
    arrays_bytes = save({k: np.ascontiguousarray(v) for k, v in state.items()})
    file = f"gate-{hashlib.sha256(arrays_bytes).hexdigest()[:16]}.safetensors"
    write_durably(folder / file, arrays_bytes)
    body = {
        "format": FORMAT,
        "name": bundle.name,
        "arrays": file,
        **about,
        **judged,
        "threshold": bundle.threshold,
        "needs": asdict(bundle.needs),
        "card": bundle.card,
    }
    text = json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False)
    checksums.seal(folder, file)
    checksums.replace(folder, ABOUT, (text + "\n").encode())
    for old in folder.glob("gate-*.safetensors"):
        if old.name != file:
            checksums.forget(folder, old.name)
            old.unlink()
    return fingerprint_of(body, arrays_bytes)


def _dump_predictor(predictor: Predictor) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a predictor as JSON and its arrays by name."""
    blocks, arrays = predictor.design.dump()
    about = {
        "model": predictor.model.name,
        "blocks": blocks,
        "calibration": {
            head: dump_calibrator(getattr(predictor.calibration, head)) for head in HEADS
        },
    }
    return about, _under("design", arrays) | _under("model", predictor.model.dump())


def _under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in arrays.items()}


def dump_calibrator(calibrator: Calibrator) -> Mapping[str, Any]:
    """Return a calibrator as JSON."""
    return {
        "kind": calibrator.kind,
        "odds": list(calibrator.odds),
        "probabilities": list(calibrator.probabilities),
    }
