"""The device and the data type of a model, by their names on the command line."""

from __future__ import annotations

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.load.packed_loading import QUANTISED

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def device_of(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is CUDA if there is one.

    :raises InvalidArgument: it is not usable here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # unknown, absent, or not built into torch
        raise InvalidArgument(
            f"device {name!r} is not usable here; use 'auto' or 'cpu'", reason="DEVICE_UNUSABLE"
        ) from error
    return device


def dtype_of(name: str, device: torch.device) -> torch.dtype:
    """Return the data type of a name; ``auto``: bfloat16 if the device multiplies it, else float32.

    :raises InvalidArgument: the name is unknown.
    """
    if name == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32
    if name not in _DTYPES:
        raise InvalidArgument(
            f"dtype {name!r} is unknown; use auto or one of {', '.join((*_DTYPES, *QUANTISED))}"
        )
    return _DTYPES[name]


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Without the instructions, torch emulates bfloat16 and is slower than in float32. torch has no
    # public test for them, and the private names may disappear, hence ``getattr``.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(
        getattr(torch.cpu, probe, lambda: False)() for probe in probes
    )
