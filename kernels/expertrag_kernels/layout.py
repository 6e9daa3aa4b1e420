"""The layout of packed weights, which the CPU kernels read (cpu/experts.h has the same sizes).

A layer holds its experts one after the other, each as one range: its gate and up blocks, then its
down blocks. A block holds 64 outputs over all inputs, as one stream of whole cache lines. The
outputs are 64 of down, or 32 columns of gate with the same 32 of up. So h is complete when its
block is. Widths are padded with zeros, inputs and inner columns to 32, outputs to 64. Biases follow
the experts in float32: 64 for each gate and up block of all, then 64 for each down block.

Within a block, inputs are in the small runs that a multiply-add instruction processes at once:

    f32    [k] [64] float
    bf16   [k/2] [64] [2]
    int8   64 float scales; for each 128 inputs (the last group may be smaller) 64 int16, minus the
           sum of each output's weights over them, and then [k/4] [64] [4] int8
    int4   super-blocks of 128 inputs (the last may be smaller): 64 scales in bfloat16; then the
           codes [4] [G] [16] [2], slope and least byte of each group of 32 inputs and each of 4
           times 16 columns; then [4] [G] [4] [4] [16] bytes: byte [c] [group] [i] [j] [k] is of
           column 16c + 4j + i, the group's input k in its low nibble, input 16 + k in its high one
    mxfp4  for each group of 32 inputs: 64 exponents, and then [4] [4] [16] [4] bytes: byte
           [c] [l] [j] [i] is of column 16c + j, the group's input 8l + i in its low nibble, input
           8l + 4 + i in its high one
"""

from __future__ import annotations

import contextlib
import mmap

import torch
import torch.nn.functional as F

from expertrag_kernels import int4, int8, mxfp4
from expertrag_kernels.blocks import COLUMNS, from_runs, into_runs
from expertrag_kernels.packed import (
    Format,
    Mxfp4Experts,
    PackedExperts,
    PackedMatrix,
    PlainExperts,
)

VERSION = 3
"""Version of this layout; files record it, and files of another version are rejected."""
DENSE_VERSION = 2
"""Version of files without mixtures: in version 2, each of several experts was two ranges."""

PAD = 32

HUGE_PAGE = 2 << 20
"""Bytes of a huge page, on systems that have them."""


def pack_experts(experts: PlainExperts, format: Format) -> PackedExperts:
    """Pack experts: exactly in the format of their own type, otherwise rounded to nearest.

    Works on one expert at a time, so that it needs little more memory than the result.
    """
    count, hidden, inner = experts.num_experts, experts.hidden_size, experts.inner_size
    data = room(layer_bytes(format, count, hidden, inner, biased=experts.biased))
    gate_ups, downs = parts(data, format, count, hidden, inner)
    for expert in range(count):
        gate, up = experts.gate_up[expert].detach().cpu().view(2, inner, hidden)
        down = experts.down[expert].detach().cpu()  # [H, I]
        halves = [_pad(half, PAD, PAD).unflatten(0, (-1, 32)) for half in (gate, up)]
        blocks = torch.cat(halves, dim=1)  # [I/32, 64, H]
        gate_ups[expert] = _encode(blocks, format).flatten()
        downs[expert] = _encode(
            _pad(down, COLUMNS, PAD).unflatten(0, (-1, COLUMNS)), format
        ).flatten()
    put_biases(data, experts)
    return PackedExperts(data, format, count, hidden, inner, experts.activation, experts.biased)


def pack_published(experts: Mxfp4Experts) -> PackedExperts:
    """Pack experts as they are published in MXFP4, one at a time, without any rounding.

    :raises ValueError: blocks do not fit together, or a weight is not finite.
    """
    experts.check()
    sizes = experts.num_experts, experts.hidden_size, experts.inner_size
    data = room(layer_bytes(Format.MXFP4, *sizes, biased=experts.biased))
    gate_ups, downs = parts(data, Format.MXFP4, *sizes)
    missing = -experts.hidden_size % COLUMNS
    for expert, (gate_up, down) in enumerate(zip(experts.gate_up, experts.down, strict=True)):
        gate, up = gate_up.unflatten(0, (2, -1, 32))  # [I/32, 32, G, 17]
        gate_ups[expert] = mxfp4.repack(torch.cat([gate, up], dim=1)).flatten()
        rows = F.pad(down, (0, 0, 0, 0, 0, missing)).unflatten(0, (-1, COLUMNS))
        downs[expert] = mxfp4.repack(rows).flatten()
    put_biases(data, experts)
    return PackedExperts(data, Format.MXFP4, *sizes, experts.activation, experts.biased)


def put_biases(data: torch.Tensor, experts: PlainExperts | Mxfp4Experts) -> None:
    """Write the biases of experts to the end of a packed layer; nothing if they have none."""
    if experts.gate_up_bias is None or experts.down_bias is None:
        return
    count, inner = experts.num_experts, experts.inner_size
    halves = experts.gate_up_bias.detach().float().cpu().view(2 * count, inner)
    halves = _pad(halves, 1, PAD).view(count, 2, -1, 32).transpose(1, 2)  # [E, I/32, 2, 32]
    down = _pad(experts.down_bias.detach().float().cpu(), 1, COLUMNS)
    biases = torch.cat([halves.flatten(), down.flatten()])
    data[-4 * biases.numel() :].view(torch.float32).copy_(biases)


def _biases(experts: PackedExperts) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the biases of packed experts, (E, 2I) and (E, H) float32."""
    count, hidden, inner = experts.num_experts, experts.hidden_size, experts.inner_size
    size = _bias_bytes(count, hidden, inner)
    gate_up = 4 * count * 2 * _up_to(inner, PAD)
    biases = experts.data[-size:].clone().view(torch.float32)  # computing may need alignment
    halves = biases[: gate_up // 4].view(count, -1, 2, 32).transpose(1, 2).reshape(count, 2, -1)
    down = biases[gate_up // 4 :].view(count, -1)
    return halves[:, :, :inner].flatten(1), down[:, :hidden].contiguous()


def unpack(experts: PackedExperts, only: list[int] | None = None) -> PlainExperts:
    """Return the weights that packed experts represent, in bfloat16 if packed in it, else float32.

    :param only: unpack only these experts, in this order; None for all.
    """
    count, hidden, inner = experts.num_experts, experts.hidden_size, experts.inner_size
    gate_ups, downs = parts(experts.data, experts.format, count, hidden, inner)
    chosen = list(range(count)) if only is None else only
    dtype = torch.bfloat16 if experts.format is Format.BF16 else torch.float32
    gate_up = torch.empty((len(chosen), 2 * inner, hidden), dtype=dtype)
    down = torch.empty((len(chosen), hidden, inner), dtype=dtype)
    for place, expert in enumerate(chosen):
        blocks = _decode(gate_ups[expert], experts.format, _up_to(hidden, PAD))  # [I/32, 64, H]
        for half, rows in enumerate((blocks[:, :32], blocks[:, 32:])):
            gate_up[place, half * inner : (half + 1) * inner] = rows.flatten(0, 1)[:inner, :hidden]
        blocks = _decode(downs[expert], experts.format, _up_to(inner, PAD))  # [H/64, 64, I]
        down[place] = blocks.flatten(0, 1)[:hidden, :inner]
    if not experts.biased:
        return PlainExperts(gate_up, down, experts.activation)
    biases = (bias[chosen] for bias in _biases(experts))
    return PlainExperts(gate_up, down, experts.activation, *biases)


def matrices(experts: PackedExperts) -> tuple[PackedMatrix, PackedMatrix]:
    """View the only expert as two matrices: gate with up, 32 rows of each in turn, and down.

    :raises ValueError: there are several experts, or biases.
    """
    if experts.num_experts != 1 or experts.biased:
        raise ValueError(
            f"one expert without biases is two matrices; got {experts.num_experts} experts"
            + " with biases" * experts.biased
        )
    hidden, inner = experts.hidden_size, experts.inner_size
    gate_ups, downs = parts(experts.data, experts.format, 1, hidden, inner)
    outputs = 2 * _up_to(inner, PAD)
    return (
        PackedMatrix(gate_ups[0], experts.format, outputs, hidden),
        PackedMatrix(downs[0], experts.format, hidden, inner),
    )


def pack_matrix(weight: torch.Tensor, format: Format) -> PackedMatrix:
    """Pack weights (O, I) as blocks of 64 outputs, like the blocks of down."""
    rows = _pad(weight.detach().cpu(), COLUMNS, PAD).unflatten(0, (-1, COLUMNS))
    data = room(matrix_bytes(format, *weight.shape))
    data.copy_(_encode(rows, format).flatten())
    return PackedMatrix(data, format, *weight.shape)


def matrix_bytes(format: Format, outputs: int, inputs: int) -> int:
    """Size of a packed matrix in bytes."""
    return _up_to(outputs, COLUMNS) // COLUMNS * block_bytes(format, _up_to(inputs, PAD))


def layer_bytes(
    format: Format, experts: int, hidden: int, inner: int, *, biased: bool = False
) -> int:
    """Size of a packed layer in bytes."""
    weights = _gate_up_bytes(format, hidden, inner) + matrix_bytes(format, hidden, inner)
    return experts * weights + (_bias_bytes(experts, hidden, inner) if biased else 0)


def _bias_bytes(experts: int, hidden: int, inner: int) -> int:
    """Size of the biases of a packed layer."""
    return 4 * experts * (2 * _up_to(inner, PAD) + _up_to(hidden, COLUMNS))


def block_bytes(format: Format, inputs: int) -> int:
    """Size of a block in bytes, for a padded number of inputs."""
    match format:
        case Format.F32:
            return inputs * COLUMNS * 4
        case Format.BF16:
            return inputs * COLUMNS * 2
        case Format.INT8:
            return int8.block_bytes(inputs)
        case Format.INT4:
            return int4.block_bytes(inputs)
        case Format.MXFP4:
            return inputs // mxfp4.GROUP * mxfp4.GROUP_BYTES


def _gate_up_bytes(format: Format, hidden: int, inner: int) -> int:
    """Size of one expert's gate and up."""
    return _up_to(inner, PAD) // 32 * block_bytes(format, _up_to(hidden, PAD))


def parts(
    data: torch.Tensor, format: Format, count: int, hidden: int, inner: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """View every expert's gate and up, and every expert's down, [E, B] each."""
    split = _gate_up_bytes(format, hidden, inner)
    experts = data[: layer_bytes(format, count, hidden, inner)].view(count, -1)
    return experts[:, :split], experts[:, split:]


def _up_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _pad(weight: torch.Tensor, outputs: int, inputs: int) -> torch.Tensor:
    """Pad [O, I] with zeros."""
    rows, columns = weight.shape
    return F.pad(weight, (0, _up_to(columns, inputs) - columns, 0, _up_to(rows, outputs) - rows))


def room(size: int) -> torch.Tensor:
    """Allocate bytes, in huge pages if the system has them: reading is up to twice as fast."""
    if size < HUGE_PAGE:
        return torch.empty(_up_to(max(size, 1), 64), dtype=torch.uint8)[:size]
    return zeros(size)


def zeros(size: int) -> torch.Tensor:
    """Allocate zeros like :func:`room`; only touched pages use memory."""
    return map_zeros(size)[1]


def map_zeros(size: int) -> tuple[mmap.mmap, torch.Tensor, int]:
    """Allocate :func:`zeros`; also return their memory mapping, and their offset in it."""
    # private: the system uses no huge pages for shared memory
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    area = mmap.mmap(-1, _up_to(size, HUGE_PAGE) + HUGE_PAGE, flags=flags)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system without huge pages
            area.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(area, dtype=torch.uint8)  # keeps the area alive
    start = -whole.data_ptr() % HUGE_PAGE
    return area, whole[start : start + size], start


def _encode(blocks: torch.Tensor, format: Format) -> torch.Tensor:
    """Encode blocks of weights [N, 64, K] to bytes [N, B]."""
    match format:
        case Format.F32:
            return blocks.float().transpose(1, 2).contiguous().view(torch.uint8).flatten(1)
        case Format.BF16:
            return into_runs(blocks.bfloat16(), 2).view(torch.uint8).flatten(1)
        case Format.INT8:
            return int8.encode(blocks.float())
        case Format.INT4:
            return int4.encode(blocks.float())
        case Format.MXFP4:
            return mxfp4.encode(blocks.float())


def _decode(data: torch.Tensor, format: Format, inputs: int) -> torch.Tensor:
    """Decode the bytes of blocks to weights [N, 64, K]."""
    blocks = data.view(-1, block_bytes(format, inputs))  # [N, B]
    match format:
        case Format.F32:
            return blocks.view(torch.float32).view(-1, inputs, COLUMNS).transpose(1, 2)
        case Format.BF16:
            return from_runs(blocks.view(torch.bfloat16), 2)
        case Format.INT8:
            return int8.decode(blocks, inputs)
        case Format.INT4:
            return int4.decode(blocks, inputs)
        case Format.MXFP4:
            return mxfp4.decode(blocks)
