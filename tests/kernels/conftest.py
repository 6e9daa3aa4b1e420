"""Decoders of this machine."""

from __future__ import annotations

import pytest
import torch
from small_decoder import Make, in_torch

from expertrag_kernels import cpu_experts
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import Decoder


@pytest.fixture(params=[*ISAS, "torch"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make decoders of every instruction set of this machine, and in torch."""
    if request.param == "torch":
        return in_torch(torch.float32)
    monkeypatch.setattr(cpu_experts, "ISAS", (request.param,))
    return Decoder
