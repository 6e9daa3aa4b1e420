"""Low-rank experts of a checkpoint, in a file next to the plain weights that they multiply out to.

MODEL/low_rank_experts.safetensors    tensors layers.N.read and so on, N the decoder layer

Transformers reads the plain weights, our engine the factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from expertrag.llm.engine.families import null_experts, true_experts
from expertrag.llm.engine.low_rank_experts import LowRankLayer, set_low_rank
from expertrag.llm.load.light_file import mixtures

LOW_RANK_FILE = "low_rank_experts.safetensors"
SURGERY_KEY = "expertrag_surgery"
"""In ``config.json``: what was done to the experts, each with the fields of ``SurgeryStep``."""
_NAMES = tuple(field.name for field in fields(LowRankLayer))


def write_low_rank(layers: Mapping[int, LowRankLayer], folder: Path) -> None:
    """Write the experts of each layer, by the number of the decoder layer."""
    from safetensors.torch import save_file

    tensors = {
        f"layers.{number}.{name}": getattr(experts, name).contiguous()
        for number, experts in layers.items()
        for name in _NAMES
    }
    save_file(tensors, folder / LOW_RANK_FILE, {"format": "pt"})


def attach_low_rank(model: Any, folder: Path, *, packed: bool = False) -> None:
    """Give the modules of a model's experts what they were compressed to, if they were.

    :param model: of transformers; its weights may be on the meta device.
    :param packed: the folder has no file of factors, because they are packed.
    :raises ValueError: the file is missing, damaged, or of another model.
    """
    path = folder / LOW_RANK_FILE
    if not path.is_file():
        steps = getattr(model.config, SURGERY_KEY, None) or ()
        if not packed and any(step["kind"] == "low-rank" for step in steps):
            raise ValueError(f"{path.name} is missing")
        return
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from expertrag_kernels.transformers import plain_experts

    try:
        tensors = load_file(path)  # mapped: a layer is read when it is packed
    except SafetensorError as error:
        raise ValueError(f"{path.name} cannot be read ({error})") from error
    for number, block in mixtures(model):
        keys = {name: f"layers.{number}.{name}" for name in _NAMES}
        try:
            experts = LowRankLayer(**{name: tensors[key] for name, key in keys.items()})
            plain = plain_experts(block.experts)
            experts.check(true_experts(plain, null_experts(model.config)))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path.name} does not fit layer {number}: {error}") from error
        set_low_rank(block.experts, experts)
