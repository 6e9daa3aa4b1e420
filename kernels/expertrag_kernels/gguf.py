"""Experts of GGUF checkpoints, packed one after the other: no layer is ever whole in floats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from expertrag_kernels import layout
from expertrag_kernels.packed import Activation, Format, PackedExperts, PlainExperts

_NAMES = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
_KNOWN = tuple(f"{name}.weight" for name in _NAMES)


def pack_gguf(
    path: Path, format: Format | str, activation: Activation = Activation.SILU
) -> Iterator[tuple[int, PackedExperts]]:
    """Yield the number of each layer that has experts, and these, packed.

    Weights of Q4_0 and Q4_1 are held exactly by "int4", but for the rounding of a scale.

    :param activation: of the architecture, which the file does not tell.
    :raises ValueError: the file is not GGUF, has no experts, lacks some of a layer's, or has more
        of them than these kernels compute, such as biases.
    :raises NotImplementedError: weights of a type that the gguf library does not read.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(path)
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is not a GGUF file ({error})") from error
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    layers = sorted(
        int(name.split(".")[1]) for name in tensors if name.endswith(f"{_NAMES[0]}.weight")
    )
    if not layers:
        raise ValueError(f"{path} has no experts; dense models need no packing of this kind")
    if foreign := [name for name in tensors if "_exps." in name and not name.endswith(_KNOWN)]:
        raise ValueError(f"{path} has experts of another layout, with {foreign[0]}")
    for layer in layers:
        names = [f"blk.{layer}.{name}.weight" for name in _NAMES]
        if missing := [name for name in names if name not in tensors]:
            raise ValueError(f"{path} lacks {missing[0]}: fetch it again")
        yield layer, _packed([tensors[name] for name in names], Format(format), activation)


def _packed(tensors: list[Any], format: Format, activation: Activation) -> PackedExperts:
    """Pack the gate, up and down of one layer."""
    from expertrag_kernels.transformers import pack

    hidden, inner, count = map(int, tensors[0].shape)
    data = layout.room(layout.layer_bytes(format, count, hidden, inner))
    gate_ups, downs = layout.parts(data, format, count, hidden, inner)
    for expert in range(count):
        gate, up, down = (_floats(tensor, expert) for tensor in tensors)
        one = pack(PlainExperts(torch.cat([gate, up])[None], down[None]), format).data
        gate_ups[expert] = one[: gate_ups.shape[1]]
        downs[expert] = one[gate_ups.shape[1] :]
    return PackedExperts(data, format, count, hidden, inner, activation)


def _floats(tensor: Any, expert: int) -> torch.Tensor:
    """Weights [O, I] of one expert."""
    from gguf.quants import dequantize

    return torch.tensor(dequantize(tensor.data[expert], tensor.tensor_type)).float()
