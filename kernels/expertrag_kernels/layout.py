"""The order of packed weights, which the CPU kernels read (cpu/experts.h has the same sizes).

A layer is, expert by expert, its blocks of gate and up, and after those of all experts, expert by
expert, its blocks of down. A block holds 64 outputs over all inputs, as one stream of whole cache
lines: 32 columns of gate with the same 32 of up, so that h is ready when the block is, or 64
outputs of down. Widths are padded by zeros, inputs and inner columns to 32, outputs to 64.

Within a block, inputs come in the small runs that a multiply-add instruction takes at once:

    f32    [k] [64] float
    bf16   [k/2] [64] [2]
    int8   64 float scales; for each 128 inputs, the last of which may be fewer, 64 int16, minus the
           sum of each output's weights over them, and then [k/4] [64] [4] int8
    int4   for each 32 inputs 64 scales and 64 minima in half precision, and then [4] [64] [4]
           bytes: the low nibble of byte [i] [column] [j] is input 4i + j, its high nibble input
           16 + 4i + j; a weight is scale * nibble + minimum, as in llama.cpp's Q4_1
"""

from __future__ import annotations

import contextlib
import mmap

import torch
import torch.nn.functional as F

from expertrag_kernels.packed import Format, PackedExperts, PackedMatrix, PlainExperts

VERSION = 1
"""Of this order; files have it, and those of another are refused."""

COLUMNS = 64
PAD = 32
INT8_GROUP = 128
INT4_GROUP = 32

HUGE_PAGE = 2 << 20
"""Bytes that some systems hand out at a time."""
_SMALLEST = 1e-37  # scale: what a smaller one divides is 0


def packed(experts: PlainExperts, format: Format) -> PackedExperts:
    """Pack experts: exactly in the format of their own type, else rounded to nearest.

    One expert at a time, so that little more memory is needed than for the result.
    """
    count, hidden, inner = experts.num_experts, experts.hidden_size, experts.inner_size
    data = room(layer_bytes(format, count, hidden, inner))
    gate_ups, downs = parts(data, format, count, hidden, inner)
    for expert in range(count):
        gate, up = experts.gate_up[expert].detach().cpu().view(2, inner, hidden)
        down = experts.down[expert].detach().cpu()  # [H, I]
        halves = [_padded(half, PAD, PAD).unflatten(0, (-1, 32)) for half in (gate, up)]
        blocks = torch.cat(halves, dim=1)  # [I/32, 64, H]
        gate_ups[expert] = _encoded(blocks, format).flatten()
        downs[expert] = _encoded(
            _padded(down, COLUMNS, PAD).unflatten(0, (-1, COLUMNS)), format
        ).flatten()
    return PackedExperts(data, format, count, hidden, inner, experts.activation)


def unpacked(experts: PackedExperts, only: list[int] | None = None) -> PlainExperts:
    """Return the weights that packed experts stand for, in float32, or bfloat16 if they are in it.

    :param only: of these experts, in this order; None for all.
    """
    count, hidden, inner = experts.num_experts, experts.hidden_size, experts.inner_size
    gate_ups, downs = parts(experts.data, experts.format, count, hidden, inner)
    chosen = list(range(count)) if only is None else only
    dtype = torch.bfloat16 if experts.format is Format.BF16 else torch.float32
    gate_up = torch.empty((len(chosen), 2 * inner, hidden), dtype=dtype)
    down = torch.empty((len(chosen), hidden, inner), dtype=dtype)
    for place, expert in enumerate(chosen):
        blocks = _decoded(gate_ups[expert], experts.format, _up_to(hidden, PAD))  # [I/32, 64, H]
        for half, rows in enumerate((blocks[:, :32], blocks[:, 32:])):
            gate_up[place, half * inner : (half + 1) * inner] = rows.flatten(0, 1)[:inner, :hidden]
        blocks = _decoded(downs[expert], experts.format, _up_to(inner, PAD))  # [H/64, 64, I]
        down[place] = blocks.flatten(0, 1)[:hidden, :inner]
    return PlainExperts(gate_up, down, experts.activation)


def packed_matrix(weight: torch.Tensor, format: Format) -> PackedMatrix:
    """Pack weights (O, I) as blocks of 64 outputs, as those of down are."""
    rows = _padded(weight.detach().cpu(), COLUMNS, PAD).unflatten(0, (-1, COLUMNS))
    data = room(matrix_bytes(format, *weight.shape))
    data.copy_(_encoded(rows, format).flatten())
    return PackedMatrix(data, format, *weight.shape)


def matrix_bytes(format: Format, outputs: int, inputs: int) -> int:
    """Size of a packed matrix."""
    return _up_to(outputs, COLUMNS) // COLUMNS * block_bytes(format, _up_to(inputs, PAD))


def layer_bytes(format: Format, experts: int, hidden: int, inner: int) -> int:
    """Size of a packed layer."""
    down = matrix_bytes(format, hidden, inner)
    return experts * (_gate_up_bytes(format, hidden, inner) + down)


def block_bytes(format: Format, inputs: int) -> int:
    """Size of a block over a padded number of inputs."""
    match format:
        case Format.F32:
            return inputs * COLUMNS * 4
        case Format.BF16:
            return inputs * COLUMNS * 2
        case Format.INT8:
            groups = -(-inputs // INT8_GROUP)
            return COLUMNS * 4 + groups * COLUMNS * 2 + inputs * COLUMNS
        case Format.INT4:
            return inputs // INT4_GROUP * (COLUMNS * 4 + INT4_GROUP * COLUMNS // 2)


def _gate_up_bytes(format: Format, hidden: int, inner: int) -> int:
    """Size of one expert's gate and up."""
    return _up_to(inner, PAD) // 32 * block_bytes(format, _up_to(hidden, PAD))


def parts(
    data: torch.Tensor, format: Format, count: int, hidden: int, inner: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """View every expert's gate and up, and every expert's down, [E, B] each."""
    split = count * _gate_up_bytes(format, hidden, inner)
    return data[:split].view(count, -1), data[split:].view(count, -1)


def _up_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _padded(weight: torch.Tensor, outputs: int, inputs: int) -> torch.Tensor:
    """Pad [O, I] by zeros."""
    rows, columns = weight.shape
    return F.pad(weight, (0, _up_to(columns, inputs) - columns, 0, _up_to(rows, outputs) - rows))


def room(size: int) -> torch.Tensor:
    """Bytes in huge pages where the system has them: reading runs up to twice as fast from them."""
    if size < HUGE_PAGE:
        return torch.empty(_up_to(max(size, 1), 64), dtype=torch.uint8)[:size]
    return zeros(size)


def zeros(size: int) -> torch.Tensor:
    """Like :func:`room`, of zeros; the system gives memory to what is touched."""
    return mapped_zeros(size)[1]


def mapped_zeros(size: int) -> tuple[mmap.mmap, torch.Tensor, int]:
    """Give :func:`zeros` with the mapping that they lie in, and where they begin there."""
    # private: of shared memory the system makes no huge pages
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    area = mmap.mmap(-1, _up_to(size, HUGE_PAGE) + HUGE_PAGE, flags=flags)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system that has none
            area.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(area, dtype=torch.uint8)  # which keeps the area
    start = -whole.data_ptr() % HUGE_PAGE
    return area, whole[start : start + size], start


def _encoded(blocks: torch.Tensor, format: Format) -> torch.Tensor:
    """Bytes of blocks [N, 64, K] of weights, [N, B]."""
    match format:
        case Format.F32:
            return blocks.float().transpose(1, 2).contiguous().view(torch.uint8).flatten(1)
        case Format.BF16:
            return _runs(blocks.bfloat16(), 2).view(torch.uint8).flatten(1)
        case Format.INT8:
            return _encoded_int8(blocks.float())
        case Format.INT4:
            return _encoded_int4(blocks.float())


def _decoded(data: torch.Tensor, format: Format, inputs: int) -> torch.Tensor:
    """Weights of blocks [N, 64, K], of their bytes."""
    blocks = data.view(-1, block_bytes(format, inputs))  # [N, B]
    match format:
        case Format.F32:
            return blocks.view(torch.float32).view(-1, inputs, COLUMNS).transpose(1, 2)
        case Format.BF16:
            return _columns(blocks.view(torch.bfloat16), 2)
        case Format.INT8:
            return _decoded_int8(blocks, inputs)
        case Format.INT4:
            return _decoded_int4(blocks)


def _runs(blocks: torch.Tensor, run: int) -> torch.Tensor:
    """[N, 64, K] to [N, K/run, 64, run]: of every column the inputs of one instruction."""
    count, columns, inputs = blocks.shape
    return blocks.view(count, columns, inputs // run, run).transpose(1, 2).contiguous()


def _columns(runs: torch.Tensor, run: int) -> torch.Tensor:
    """Undo :func:`_runs` on [N, K * 64]."""
    return runs.view(runs.shape[0], -1, COLUMNS, run).transpose(1, 2).flatten(2)


def _encoded_int8(blocks: torch.Tensor) -> torch.Tensor:
    scale = blocks.abs().amax(dim=2) / 127  # [N, 64]
    inverse = torch.where(scale > _SMALLEST, 1 / scale, 0.0)
    quantised = (blocks * inverse[:, :, None]).round().to(torch.int8)  # [N, 64, K]
    parts = [scale.view(torch.uint8)]
    for group in quantised.split(INT8_GROUP, dim=2):
        sums = (-group.sum(dim=2, dtype=torch.int32)).to(torch.int16)  # [N, 64]
        parts += [sums.view(torch.uint8), _runs(group, 4).view(torch.uint8).flatten(1)]
    return torch.cat(parts, dim=1)


def _decoded_int8(blocks: torch.Tensor, inputs: int) -> torch.Tensor:
    scale = blocks[:, : COLUMNS * 4].contiguous().view(torch.float32)  # [N, 64]
    parts, at = [], COLUMNS * 4
    for start in range(0, inputs, INT8_GROUP):
        size = min(INT8_GROUP, inputs - start) * COLUMNS
        at += COLUMNS * 2
        parts.append(_columns(blocks[:, at : at + size].contiguous().view(torch.int8), 4))
        at += size
    return torch.cat(parts, dim=2).float() * scale[:, :, None]


def _encoded_int4(blocks: torch.Tensor) -> torch.Tensor:
    groups = blocks.unflatten(2, (-1, INT4_GROUP))  # [N, 64, G, 32]
    scale, least = _int4_range(groups)  # [N, 64, G] each
    bits = _int4_bits(groups, scale, least).to(torch.uint8)  # [N, 64, G, 32]
    low, high = bits.unflatten(3, (2, 4, 4)).unbind(3)  # [N, 64, G, 4, 4]
    nibbles = (low | (high << 4)).permute(0, 2, 3, 1, 4)  # [N, G, 4, 64, 4]
    halves = torch.stack([scale, least]).half().permute(1, 3, 0, 2)  # [N, G, 2, 64]
    return torch.cat(
        [halves.contiguous().view(torch.uint8).flatten(2), nibbles.flatten(2)], dim=2
    ).flatten(1)


def _decoded_int4(blocks: torch.Tensor) -> torch.Tensor:
    groups = blocks.view(blocks.shape[0], -1, block_bytes(Format.INT4, INT4_GROUP))  # [N, G, B]
    halves = groups[:, :, : COLUMNS * 4].contiguous().view(torch.float16).float()
    scale, least = halves.unflatten(2, (2, COLUMNS)).transpose(1, 3).unbind(2)  # [N, 64, G] each
    nibbles = groups[:, :, COLUMNS * 4 :].unflatten(2, (4, COLUMNS, 4))  # [N, G, 4, 64, 4]
    both = torch.stack([nibbles & 15, nibbles >> 4], dim=2)  # [N, G, 2, 4, 64, 4]
    bits = both.permute(0, 4, 1, 2, 3, 5).flatten(3)  # [N, 64, G, 32]
    values: torch.Tensor = bits.float() * scale[..., None] + least[..., None]
    return values.flatten(2)


def _int4_bits(groups: torch.Tensor, scale: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    inverse = torch.where(scale > _SMALLEST, 1 / scale, 0.0)
    return ((groups - least[..., None]) * inverse[..., None]).round().clamp(0, 15)


def _int4_range(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of some ranges of weights those with the least squared error, [N, 64, G] each, as stored.

    From the least weight to the greatest, or up to a quarter less: what is cut off loses, and all
    others gain by finer steps. Or around 0, as llama.cpp's Q4_0 has it.
    """
    low, high = groups.amin(dim=3), groups.amax(dim=3)  # [N, 64, G]
    best = torch.zeros_like(low), torch.zeros_like(low)
    fewest = torch.full_like(low, torch.inf)
    size = torch.maximum(-low, high) / 8
    around = size, torch.where(-low >= high, low, -7 * size)
    cuts = [0.5 * (high - low) * (0.03125 * step) for step in range(8)]
    ranges = [((high - low - 2 * cut) / 15, low + cut) for cut in cuts]
    for scale, least in (tuple(half.half().float() for half in some) for some in [*ranges, around]):
        error = _int4_bits(groups, scale, least).mul_(scale[..., None]).add_(least[..., None])
        total = error.sub_(groups).square_().sum(dim=3)
        better = total < fewest
        best = torch.where(better, scale, best[0]), torch.where(better, least, best[1])
        fewest = torch.where(better, total, fewest)
    return best
