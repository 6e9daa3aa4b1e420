"""Launches the Triton kernels of the experts on a GPU."""

from __future__ import annotations

from typing import Any

import torch
import triton

from expertrag_kernels.gpu import kernels
from expertrag_kernels.gpu.tiles import Tiles, choose_tiles
from expertrag_kernels.packed import Experts, PackedExperts, PlainExperts, ScaledExperts
from expertrag_kernels.registry import implementation, wants_gradients

_CHUNK = 64  # pairs sorted at a time: [64, E] numbers must fit into registers
_SUM_COLUMNS = 256
_OLDEST = {  # oldest compute capability that supports the type
    torch.float16: (7, 0),
    torch.float32: (7, 0),
    torch.bfloat16: (8, 0),
    torch.float8_e4m3fn: (8, 9),
}


def _supports(x: torch.Tensor, top_k_weights: torch.Tensor, experts: Experts) -> bool:
    if isinstance(experts, PackedExperts) or wants_gradients(x, top_k_weights, experts.down):
        return False
    if not (x.device.type == experts.device.type == "cuda") or torch.version.hip:
        return False
    weights = experts.gate_up, experts.down
    if x.dtype not in _OLDEST or not all(weight.is_contiguous() for weight in weights):
        return False
    oldest = max(_OLDEST[x.dtype], _OLDEST.get(experts.down.dtype, _OLDEST[x.dtype]))
    return torch.cuda.get_device_capability(x.device) >= oldest


def _read_shared_memory(device: torch.device) -> int:
    """Bytes of shared memory available to a program on a GPU."""
    index = torch.cuda.current_device() if device.index is None else device.index
    properties = triton.runtime.driver.active.utils.get_device_properties(index)
    return int(properties["max_shared_mem"])


@implementation("triton", priority=20, supports=_supports)
def triton_experts(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, experts: Experts
) -> torch.Tensor:
    """Compute :func:`expertrag_kernels.fused_experts` without its checks.

    Nothing synchronises with the host, so a negative index is not detected: it is a sentinel.
    """
    assert isinstance(experts, PlainExperts | ScaledExperts), "checked by _supports"
    capability = torch.cuda.get_device_capability(x.device)
    tiles = choose_tiles(
        top_k_index.numel(),
        experts.num_experts,
        experts.hidden_size,
        experts.inner_size,
        str(experts.down.dtype).removeprefix("torch."),
        f"sm{capability[0]}{capability[1]}",
        shared=_read_shared_memory(x.device),
        size=max(x.element_size(), experts.down.element_size()),
    )
    with torch.cuda.device(x.device):  # Triton launches on the current one
        return launch(x, top_k_index, top_k_weights, experts, tiles)


def launch(
    x: torch.Tensor,
    top_k_index: torch.Tensor,
    top_k_weights: torch.Tensor,
    experts: PlainExperts | ScaledExperts,
    tiles: Tiles,
    *,
    upcast: bool = False,
) -> torch.Tensor:
    """Run the four kernels.

    :param upcast: multiply in float32, for the interpreter.
    """
    tokens, top_k = top_k_index.shape
    count, hidden, inner = experts.num_experts, experts.hidden_size, experts.inner_size
    pairs = tokens * top_k
    out = torch.empty_like(x)
    if not pairs:
        return out
    x, index = x.contiguous(), top_k_index.contiguous()
    routing = top_k_weights.float().contiguous()
    places, expert_of_blocks = _align(index, count, tiles.block_m)
    gate_up_scale = experts.gate_up_scale if isinstance(experts, ScaledExperts) else routing
    down_scale = experts.down_scale if isinstance(experts, ScaledExperts) else routing
    biases = _biases(experts, routing)
    shape = _constants(experts, tiles, upcast=upcast)
    h = torch.empty(pairs, inner, dtype=x.dtype, device=x.device)
    gate_up: Any = kernels.gate_up_pairs
    gate_up[(triton.cdiv(inner, tiles.block_n), len(expert_of_blocks))](
        x, experts.gate_up, gate_up_scale, biases[0], places, expert_of_blocks, h,
        pairs, count, top_k, hidden, inner, ACTIVATION=str(experts.activation), **shape,
    )  # fmt: skip
    y = torch.empty(pairs, hidden, dtype=torch.float32, device=x.device)
    down: Any = kernels.down_pairs
    down[(triton.cdiv(hidden, tiles.block_n), len(expert_of_blocks))](
        h, experts.down, down_scale, biases[1], routing, places, expert_of_blocks, y,
        pairs, count, hidden, inner, **shape,
    )  # fmt: skip
    add_up: Any = kernels.add_up
    add_up[(tokens, triton.cdiv(hidden, _SUM_COLUMNS))](
        y, index, out, count, top_k, hidden, BLOCK_N=_SUM_COLUMNS
    )
    return out


def _constants(
    experts: PlainExperts | ScaledExperts, tiles: Tiles, *, upcast: bool
) -> dict[str, Any]:
    """Return what both products are compiled for."""
    return {
        "SCALED": isinstance(experts, ScaledExperts),
        "BIASED": isinstance(experts, PlainExperts) and experts.biased,
        "UPCAST": upcast,
        "BLOCK_M": tiles.block_m,
        "BLOCK_N": tiles.block_n,
        "BLOCK_K": tiles.block_k,
        "num_warps": tiles.warps,
        "num_stages": tiles.stages,
    }


def _biases(
    experts: PlainExperts | ScaledExperts, without: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the biases, or instead of them a tensor that the kernels do not read."""
    if isinstance(experts, ScaledExperts):
        return without, without
    if experts.gate_up_bias is None or experts.down_bias is None:
        return without, without
    return experts.gate_up_bias.contiguous(), experts.down_bias.contiguous()


def _align(index: torch.Tensor, count: int, block: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort the pairs into blocks of one expert each: return their places, and the experts."""
    pairs = index.numel()
    # every used expert may leave up to BLOCK_M - 1 places of its last block empty
    blocks = (pairs + min(count, pairs) * (block - 1)) // block
    places = torch.empty(blocks * block, dtype=torch.int32, device=index.device)
    expert_of_blocks = torch.empty(blocks, dtype=torch.int32, device=index.device)
    align: Any = kernels.align_pairs
    align[(1,)](
        index, places, expert_of_blocks, pairs, blocks, count,
        BLOCK_M=block, EXPERTS=triton.next_power_of_2(count), CHUNK=_CHUNK, num_warps=8,
    )  # fmt: skip
    return places, expert_of_blocks
