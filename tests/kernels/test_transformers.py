"""Real architectures of transformers give the same logits with these kernels as with their own."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
import torch
from model_families import FAMILIES, SHAPE
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

import expertrag_kernels
from expertrag_kernels import (
    Activation,
    Format,
    fused_experts,
    pack,
    pack_model,
    register,
    unpack_model,
)
from expertrag_kernels import transformers as adapter

_PACKABLE = ["olmoe", "qwen2_moe", "qwen3_moe", "mixtral", "deepseek_v2"]


def _config(kind: str) -> Any:
    own = {"num_local_experts": 5} if kind == "gpt_oss" else FAMILIES[kind][1]
    return AutoConfig.for_model(kind, **{**SHAPE, **own, "vocab_size": 97, "num_hidden_layers": 2})


def _eager(config: Any) -> Any:
    from_config: Any = AutoModelForCausalLM.from_config  # without annotations in transformers
    return from_config(config, experts_implementation="eager").eval()


def _model(kind: str) -> Any:
    torch.manual_seed(0)
    model = _eager(_config(kind))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)  # the default 0.02 makes every logit nearly zero
    return model


def _experts(model: nn.Module) -> nn.Module:
    return next(module for module in model.modules() if hasattr(module, "has_gate"))


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


@pytest.mark.parametrize("tokens", [1, 19])
@pytest.mark.parametrize("kind", [*_PACKABLE, "gpt_oss"])
def test_logits_equal_eager(kind: str, tokens: int) -> None:
    model = _model(kind)
    ids = torch.randint(3, 97, (1, tokens), generator=torch.Generator().manual_seed(tokens))
    with torch.inference_mode():
        eager = model(ids).logits
        model.set_experts_implementation("expertrag")
        ours = model(ids).logits
    assert eager.std() > 0.1
    torch.testing.assert_close(ours, eager, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", _PACKABLE)
def test_known_layouts_run_our_kernels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    ours = fused_experts

    def spy(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        calls.append(tuple(x.shape))
        return ours(x, *rest)

    monkeypatch.setattr("expertrag_kernels.transformers.fused_experts", spy)
    model = _model(kind)
    model.set_experts_implementation("expertrag")
    with torch.inference_mode():
        model(torch.tensor([[5, 6, 7]]))
    layers = 1 if kind == "deepseek_v2" else 2  # its first layer is dense
    assert calls == [(3, 32)] * layers


def test_fall_back_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    adapter._log_once.cache_clear()
    model = _model("gpt_oss")
    model.set_experts_implementation("expertrag")
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        for _ in range(3):
            model(torch.tensor([[5, 6, 7]]))
    [record] = [r for r in caplog.records if r.name == adapter.__name__]
    assert record.getMessage() == (
        "GptOssExperts runs with grouped_mm instead of our kernels: biases, transposed weights, "
        "interleaved gate and up, a custom gate function"
    )


@pytest.mark.parametrize("tokens", [1, 19])
@pytest.mark.parametrize("kind", [*_PACKABLE, "gpt_oss"])
def test_logits_and_text_of_a_packed_model_equal_eager(kind: str, tokens: int) -> None:
    model = _model(kind)
    ids = torch.randint(3, 97, (1, tokens), generator=torch.Generator().manual_seed(tokens))

    def outputs() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.inference_mode():
            text = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)
            return model(ids).logits, text

    eager, text = outputs()
    model.set_experts_implementation("expertrag")
    layers = {"gpt_oss": 0, "deepseek_v2": 1}.get(kind, 2)  # of those that can be packed
    assert pack_model(model) == layers
    logits, own_text = outputs()
    torch.testing.assert_close(logits, eager, atol=1e-5, rtol=1e-5)
    assert torch.equal(own_text, text)


@pytest.mark.parametrize(("format", "most"), [("bf16", 0.02), ("int8", 0.08), ("int4", 0.4)])
def test_logits_of_a_rounded_model_are_close(format: str, most: float) -> None:
    model = _model("qwen3_moe")
    ids = torch.randint(3, 97, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        eager = model(ids).logits
        model.set_experts_implementation("expertrag")
        pack_model(model, format)
        error = float((model(ids).logits - eager).norm() / eager.norm())
    assert 0.0 < error < most


def test_packing_frees_the_weights_and_unpacking_restores_them() -> None:
    model = _model("mixtral")
    model.set_experts_implementation("expertrag")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pack_model(model)
    assert sum(weight.numel() for weight in _experts(model).parameters()) == 0
    assert pack_model(model) == 0  # again changes nothing
    with pytest.raises(RuntimeError, match=r"MixtralExperts are packed .*unpack_model"):
        model.state_dict()
    unpack_model(model)
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_model_that_does_not_use_the_kernels_keeps_its_weights() -> None:
    model = _model("mixtral")
    with pytest.raises(ValueError, match="runs its experts with 'eager'"):
        pack_model(model)
    assert sum(weight.numel() for weight in _experts(model).parameters()) > 0


def test_rejects_packing_half_precision_exactly() -> None:
    model = _model("mixtral").half()
    with pytest.raises(ValueError, match=r"no format stores torch.float16 exactly"):
        pack(_experts(model))
    assert pack(_experts(model), "bf16").format is Format.BF16


def test_the_experts_of_gpt_oss_are_packed() -> None:
    experts = _experts(_model("gpt_oss"))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 32, generator=generator) * 4  # beyond the limits of gate and up
    weights, index = torch.rand(9, 5, generator=generator).topk(2)
    with torch.inference_mode():
        wanted = experts(x, index, weights)
        packed = pack(experts)
        assert (packed.activation, packed.biased) == (Activation.CLAMPED_SWIGLU, True)
        torch.testing.assert_close(fused_experts(x, index, weights, packed), wanted)
    experts.limit = torch.tensor(9.0)
    with pytest.raises(ValueError, match=r"cannot be packed: a clamped SwiGLU of 1.702 and"):
        pack(experts)


def test_unknown_activation_falls_back() -> None:
    config = _config("mixtral")
    config.hidden_act = "relu2"
    torch.manual_seed(0)
    model = _eager(config)
    with pytest.raises(ValueError, match="unknown activation"):
        pack(_experts(model))
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        eager = model(ids).logits
        model.set_experts_implementation("expertrag")
        torch.testing.assert_close(model(ids).logits, eager, atol=1e-5, rtol=1e-5)


def test_package_import_is_light() -> None:
    code = (
        "import sys, expertrag_kernels as k;"
        "assert 'torch' not in sys.modules;"
        "assert k.__all__ == sorted(k.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(getattr(expertrag_kernels, name) is not None for name in expertrag_kernels.__all__)
