"""Real architectures of transformers give the same logits with these kernels as with their own."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
import torch
from model_families import LATENT, SHAPE
from torch import nn
from transformers import AutoModelForCausalLM as AutoModel
from transformers import (
    DeepseekV2Config,
    GptOssConfig,
    MixtralConfig,
    OlmoeConfig,
    PretrainedConfig,
    Qwen2MoeConfig,
    Qwen3MoeConfig,
)
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

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

_EXPERTS = 5


def _config(kind: type[PretrainedConfig]) -> PretrainedConfig:
    extra: dict[str, Any] = {}
    if kind is DeepseekV2Config:
        extra = {**LATENT, "topk_method": "greedy", "n_routed_experts": _EXPERTS}
    elif kind in (MixtralConfig, GptOssConfig):
        extra = {"num_local_experts": _EXPERTS}
    else:
        extra = {"num_experts": _EXPERTS}
    return kind(**{**SHAPE, "vocab_size": 97, "num_hidden_layers": 2, **extra})


def _eager(config: PretrainedConfig) -> Any:
    from_config: Any = AutoModel.from_config  # without annotations in transformers
    return from_config(config, experts_implementation="eager").eval()


def _model(kind: type[PretrainedConfig]) -> Any:
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
@pytest.mark.parametrize(
    "kind",
    [OlmoeConfig, Qwen2MoeConfig, Qwen3MoeConfig, MixtralConfig, DeepseekV2Config, GptOssConfig],
)
def test_logits_equal_eager(kind: type[PretrainedConfig], tokens: int) -> None:
    model = _model(kind)
    ids = torch.randint(3, 97, (1, tokens), generator=torch.Generator().manual_seed(tokens))
    with torch.inference_mode():
        eager = model(ids).logits
        model.set_experts_implementation("expertrag")
        ours = model(ids).logits
    assert eager.std() > 0.1
    torch.testing.assert_close(ours, eager, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [OlmoeConfig, Qwen3MoeConfig, MixtralConfig, DeepseekV2Config])
def test_known_layouts_run_our_kernels(
    kind: type[PretrainedConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
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
    layers = 1 if kind is DeepseekV2Config else 2  # its first layer is dense
    assert calls == [(3, 32)] * layers


def test_fall_back_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    adapter._log_once.cache_clear()
    model = _model(GptOssConfig)
    model.set_experts_implementation("expertrag")
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        for _ in range(3):
            model(torch.tensor([[5, 6, 7]]))
    [record] = [r for r in caplog.records if r.name == adapter.__name__]
    assert record.getMessage() == (
        "GptOssExperts runs with grouped_mm instead of our kernels: biases, transposed weights, "
        "interleaved gate and up, a custom gate function"
    )


def test_pack_returns_the_shape() -> None:
    packed = pack(_experts(_model(MixtralConfig)))
    assert (packed.num_experts, packed.hidden_size, packed.inner_size) == (_EXPERTS, 32, 48)
    assert (packed.activation, packed.format) == (Activation.SILU, Format.F32)


_ARCHITECTURES = [OlmoeConfig, Qwen2MoeConfig, Qwen3MoeConfig, MixtralConfig, DeepseekV2Config]


@pytest.mark.parametrize("tokens", [1, 19])
@pytest.mark.parametrize("kind", [*_ARCHITECTURES, GptOssConfig])
def test_logits_and_text_of_a_packed_model_equal_eager(
    kind: type[PretrainedConfig], tokens: int
) -> None:
    model = _model(kind)
    ids = torch.randint(3, 97, (1, tokens), generator=torch.Generator().manual_seed(tokens))

    def outputs() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.inference_mode():
            text = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)
            return model(ids).logits, text

    eager, text = outputs()
    model.set_experts_implementation("expertrag")
    layers = {GptOssConfig: 0, DeepseekV2Config: 1}.get(kind, 2)  # of those that can be packed
    assert pack_model(model) == layers
    logits, own_text = outputs()
    torch.testing.assert_close(logits, eager, atol=1e-5, rtol=1e-5)
    assert torch.equal(own_text, text)


@pytest.mark.parametrize(("format", "most"), [("bf16", 0.02), ("int8", 0.08), ("int4", 0.4)])
def test_logits_of_a_rounded_model_are_close(format: str, most: float) -> None:
    model = _model(Qwen3MoeConfig)
    ids = torch.randint(3, 97, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        eager = model(ids).logits
        model.set_experts_implementation("expertrag")
        pack_model(model, format)
        error = float((model(ids).logits - eager).norm() / eager.norm())
    assert 0.0 < error < most


def test_packing_frees_the_weights_and_unpacking_restores_them() -> None:
    model = _model(MixtralConfig)
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
    model = _model(MixtralConfig)
    with pytest.raises(ValueError, match="runs its experts with 'eager'"):
        pack_model(model)
    assert sum(weight.numel() for weight in _experts(model).parameters()) > 0


def test_rejects_packing_half_precision_exactly() -> None:
    model = _model(MixtralConfig).half()
    with pytest.raises(ValueError, match=r"no format stores torch.float16 exactly"):
        pack(_experts(model))
    assert pack(_experts(model), "bf16").format is Format.BF16


def test_pack_rejects_another_layout() -> None:
    with pytest.raises(ValueError, match="GptOssExperts cannot be packed: biases"):
        pack(_experts(_model(GptOssConfig)))


def test_unknown_activation_falls_back() -> None:
    config = _config(MixtralConfig)
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


def test_register_twice_is_harmless() -> None:
    register()
    register()
    assert "expertrag" in ALL_EXPERTS_FUNCTIONS.valid_keys()


def test_package_import_is_light() -> None:
    code = (
        "import sys, expertrag_kernels as k;"
        "assert 'torch' not in sys.modules;"
        "assert k.__all__ == sorted(k.__all__);"
        "[getattr(k, name) for name in k.__all__]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
