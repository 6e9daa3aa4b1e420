"""Devices and data types by their names."""

from __future__ import annotations

import pytest
import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.backends.precision import device_of, dtype_of

CPU = torch.device("cpu")


def test_auto_is_a_device_that_works() -> None:
    device = device_of("auto")
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device_of("cpu") == CPU
    torch.empty(1, device=device)


@pytest.mark.parametrize("name", ["moon", "cuda:99", ""])
def test_a_device_that_is_not_here(name: str) -> None:
    with pytest.raises(InvalidArgument, match="is not usable here; use 'auto' or 'cpu'"):
        device_of(name)


def test_data_types() -> None:
    assert dtype_of("float16", CPU) is torch.float16
    assert dtype_of("auto", CPU) in (torch.float32, torch.bfloat16)
    assert dtype_of("auto", torch.device("meta")) is torch.float32
    with pytest.raises(InvalidArgument, match=r"dtype 'int7' is unknown; use auto or one of bf"):
        dtype_of("int7", CPU)
