"""Checkpoints of a training, so that a killed one resumes to the same result.

FOLDER/checkpoint.json             the step, and the training's own notes
FOLDER/checkpoint-STEP.safetensors current weights, best weights, optimizer moments

Nothing is pickled. The new tensors are written to a new file before the JSON file is replaced: a
kill leaves either the old or the new state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from expertrag_common.durable import write_durably

Weights = dict[str, torch.Tensor]
"""Values of parameters by name."""

_NAME = "checkpoint"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class TrainingCheckpoint:
    """Saves and restores named parameters and their AdamW optimizer."""

    def __init__(
        self,
        folder: Path,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Keep the state in ``folder``, which is created by the first ``save``."""
        self._folder = folder
        self._parameters = parameters
        self._optimizer = optimizer

    def weights(self) -> Weights:
        """Copy the current parameters."""
        return {name: value.detach().clone() for name, value in self._parameters.items()}

    def save(self, step: int, best: Weights, about: Mapping[str, Any]) -> None:
        """Write the state after ``step`` steps; ``about`` is JSON."""
        state = {f"now.{name}": value for name, value in self.weights().items()}
        state |= {f"best.{name}": value for name, value in best.items()}
        for name, parameter in self._parameters.items():
            moments = self._optimizer.state.get(parameter, {})
            state |= {f"{key}.{name}": value for key, value in moments.items()}
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._tensors(step)
        save_file(state, path)
        body = {"step": step, "about": about}
        write_durably(self._folder / f"{_NAME}.json", json.dumps(body).encode())
        for old in self._folder.glob(f"{_NAME}-*.safetensors"):
            if old != path:
                old.unlink()

    def load(self) -> tuple[Weights, dict[str, Any]] | None:
        """Restore the saved state; return the best weights and ``about``, or None without one."""
        path = self._folder / f"{_NAME}.json"
        if not path.is_file():
            return None
        body = json.loads(path.read_bytes())
        state = load_file(self._tensors(body["step"]))
        for name, parameter in self._parameters.items():
            parameter.data.copy_(state[f"now.{name}"])
            moments = {key: state.get(f"{key}.{name}") for key in _MOMENTS}
            if moments["step"] is not None:  # None before the first step
                self._optimizer.state[parameter] = {
                    key: value if value is None or key == "step" else value.to(parameter.device)
                    for key, value in moments.items()
                }
        return {name: state[f"best.{name}"] for name in self._parameters}, body["about"]

    def _tensors(self, step: int) -> Path:
        return self._folder / f"{_NAME}-{step}.safetensors"
