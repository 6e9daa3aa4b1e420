"""A pre-gate: the experts of all layers from the tokens alone, before the first layer runs.

A network that is decoupled from the model, as in Read-ME (Cai et al. 2024, NeurIPS, arXiv
2410.19123): it reads embeddings of the tokens so far, and gives logits of the experts of every
layer. The routers still choose; what the pre-gate expects can be read ahead.

B texts, T tokens, H hidden, D width, L layers with routed experts, E experts
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag_common import checksums

FOLDER = "pre_gate"
"""In a model's folder, the folder of its pre-gate; not next to its weights, which loaders read
whole.
"""
_FILE = "pre_gate.safetensors"
_SHAPE = "shape"  # in the metadata of the file: JSON with the fields of PreGateShape


@dataclass(frozen=True, slots=True)
class PreGateShape:
    """Sizes of a pre-gate: of a token's embedding, of itself, and of what it predicts."""

    hidden: int
    width: int
    layers: int
    experts: int


class PreGate(nn.Module):
    """A recurrent layer over embeddings, and one network for the experts of all layers.

    What it remembers of a text has a fixed size, so a token costs the same at any position.
    """

    def __init__(self, shape: PreGateShape) -> None:
        """Begin with random weights."""
        super().__init__()
        self.shape = shape
        self.enter = nn.Linear(shape.hidden, shape.width)
        self.recur = nn.GRU(shape.width, shape.width, batch_first=True)
        self.join = nn.Linear(2 * shape.width, shape.width)
        self.leave = nn.Linear(shape.width, shape.layers * shape.experts)

    def forward(
        self, embeddings: torch.Tensor, memory: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (B, T, L, E), and what is to be given with the next tokens.

        :param embeddings: (B, T, H) of the tokens, of any scale.
        :param memory: (1, B, D) of the tokens before; None for none.
        """
        token = self.enter(functional.layer_norm(embeddings.float(), (self.shape.hidden,)))
        text, memory = self.recur(token, memory)
        joined = functional.silu(self.join(torch.cat([token, text], dim=-1)))
        logits = self.leave(joined).unflatten(-1, (self.shape.layers, self.shape.experts))
        return logits, cast("torch.Tensor", memory)


def save_pre_gate(gate: PreGate, model: Path) -> None:
    """Write a pre-gate into a model's folder."""
    from safetensors.torch import save_file

    folder = model / FOLDER
    folder.mkdir()
    save_file(gate.state_dict(), folder / _FILE, {_SHAPE: json.dumps(asdict(gate.shape))})
    checksums.seal(folder, _FILE)


def load_pre_gate(model: Path) -> PreGate:
    """Read the pre-gate of a model's folder.

    :raises InvalidArgument: the model has none.
    :raises ServerError: it is damaged.
    """
    from safetensors import safe_open

    folder = model / FOLDER
    if not folder.is_dir():
        raise InvalidArgument(
            f"{model} has no pre-gate: `expertrag llm split` makes one, and other changes drop it"
        )
    try:
        checksums.verify(folder)
        with safe_open(folder / _FILE, framework="pt") as file:
            shape = PreGateShape(**json.loads(file.metadata()[_SHAPE]))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        gate = PreGate(shape)
        gate.load_state_dict(state)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ServerError(
            f"the pre-gate of {model} is damaged ({checksums.first_line(error)}): split the model "
            "again",
            reason="MODEL_DAMAGED",
        ) from error
    return gate.eval()
