"""Light experts of a checkpoint: their vectors are in a file of their own.

Other tools do not read the file: for them, the checkpoint is the model without light experts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from expertrag.llm.engine.families import (
    experts_of,
    feed_forward,
    light_experts,
    light_neurons,
    null_experts,
)
from expertrag_kernels.light import make_light, vectors_of

LIGHT_FILE = "light_experts.safetensors"
"""``layers.L``: vectors (E, 3 + 3 N, H) of decoder layer L; see :mod:`expertrag_kernels.light`."""


def attach_light(model: Any, folder: Path, *, packed: bool = False) -> None:
    """Give a model the light experts that its configuration names, if it names any.

    :param packed: the folder has no file of vectors, because they are packed.
    :raises ValueError: the file is missing, or its vectors or their number do not fit the model.
    """
    config = model.config.get_text_config()
    if light := light_experts(config):
        if light >= config.num_experts_per_tok:
            raise ValueError(f"all of {config.num_experts_per_tok} experts per token are light")
        experts = experts_of(config) - null_experts(config)
        shape = experts, vectors_of(light_neurons(config)), config.hidden_size
        stored = {} if packed else _read(folder / LIGHT_FILE)
        for number, block in mixtures(model):
            vectors = torch.empty(shape, device="meta") if packed else stored.get(_name(number))
            if vectors is None or vectors.shape != shape:
                raise ValueError(f"{LIGHT_FILE} has no vectors {shape} of layer {number}")
            set_light(block, vectors.float(), light)


def set_light(block: Any, vectors: torch.Tensor, light: int) -> None:
    """Give a mixture light experts.

    :param vectors: (E, 3 + 3 N, H) float32.
    :param light: how many of a token's experts are light.
    """
    block.register_buffer("light_vectors", vectors, persistent=False)
    make_light(block.experts, lambda: block.light_vectors, light)


def write_light(model: Any, folder: Path) -> None:
    """Write the vectors of a model's light experts into a folder."""
    from safetensors.torch import save_file

    vectors = {_name(number): block.light_vectors for number, block in mixtures(model)}
    save_file(vectors, folder / LIGHT_FILE)


def mixtures(model: Any) -> Iterator[tuple[int, Any]]:
    """Yield the number of each decoder layer with routed experts, and the mixture."""
    for number, layer in enumerate(model.model.layers):
        block = feed_forward(layer)
        if hasattr(block, "experts"):
            yield number, block


def _name(number: int) -> str:
    return f"layers.{number}"


def _read(path: Path) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    return load_file(path)
