"""Probes that were written are read as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from expertrag.answer.scope import OTHERS, SCOPES
from expertrag.answer.scope_probe import ScopeProbe, load_scope_probe
from expertrag.llm.probe import Owner, Probe, load_probe
from expertrag_lab.probe_files import save_probe, save_scope_probe

OWNER = Owner("model", "fingerprint", "prompts")


def test_a_probe_of_scopes_is_read_as_it_was_written(tmp_path: Path) -> None:
    weights = np.arange(len(SCOPES) * 4, dtype=np.float32).reshape(4, -1).T  # as scikit-learn's
    bias = np.arange(len(SCOPES), dtype=np.float32)
    calculation = Probe(np.array([1.0, -2.0], np.float32), 0.5, OWNER)
    written = ScopeProbe(weights, bias, dict.fromkeys(OTHERS, 0.4), calculation)
    save_scope_probe(written, {}, "", tmp_path)
    probe = load_scope_probe(tmp_path)
    assert np.array_equal(probe.weights, weights)
    assert np.array_equal(probe.bias, bias)
    assert probe.bounds == dict.fromkeys(OTHERS, 0.4)
    assert probe.owner == OWNER
    assert np.array_equal(probe.calculation.weights, calculation.weights)
    assert probe.calculation.bias == calculation.bias


def test_a_probe_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = Probe(np.array([1.0, -2.0], np.float32), 0.5, OWNER)
    save_probe(written, {}, "", tmp_path)
    probe = load_probe(tmp_path)
    assert np.array_equal(probe.weights, written.weights)
    assert (probe.bias, probe.owner) == (written.bias, OWNER)
    assert probe.digest
