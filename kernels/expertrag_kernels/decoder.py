"""Runs a whole decoder on the CPU in one call: compiled code, in one parallel region.

See ``cpu/program.h`` for what the steps compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from expertrag_kernels import cpu_experts, layout, residency
from expertrag_kernels.batch_check import check_batch
from expertrag_kernels.blocks import COLUMNS
from expertrag_kernels.light import neurons_of
from expertrag_kernels.packed import (
    Activation,
    ExpertPart,
    Format,
    PackedExperts,
    PackedMatrix,
    PlainExperts,
    WeightUpdate,
)
from expertrag_kernels.paged_memory import PagedMemory
from expertrag_kernels.residency import ExpertReads, Mixture
from expertrag_kernels.router import Router, widest
from expertrag_kernels.routing import routing_rows
from expertrag_kernels.steps import (
    NO_ROWS,
    OUTPUT,
    AttentionViews,
    CacheShape,
    SequenceRows,
    SlotView,
    Steps,
)

_FORMATS = list(Format)
_ACTIVATIONS = list(Activation)


def _compile(text: SequenceRows) -> tuple[int, int, int, list[Any]]:
    """Return a sequence as the compiled module takes it."""
    adapters = [adapter.compiled for adapter in text.adapters]
    return text.start, text.stop, text.pages.data_ptr(), adapters


def _open_rows(texts: Sequence[SequenceRows]) -> torch.Tensor | None:
    """Return where the marks of each row's open experts are (T,) int64, 0 for all open.

    None if all experts are open to every row.
    """
    if all(text.open is None for text in texts):
        return None
    addresses = [
        0 if text.open is None else text.open.data_ptr()
        for text in texts
        for _ in range(text.start, text.stop)
    ]
    return torch.tensor(addresses)


class _Adapter:
    """An adapter of the compiled module, and the tensors that it points to."""

    def __init__(self, updates: Iterable[WeightUpdate], dtype: torch.dtype) -> None:
        self.compiled = cpu_experts.new_adapter(dtype is torch.bfloat16)
        self._held: list[torch.Tensor] = []
        for update in updates:
            matrix, start, width = _locate(update)
            down = update.down.detach().to(dtype).contiguous()
            up = _in_blocks(update.up, start % width, width).to(dtype)
            if dtype is torch.bfloat16:
                up = _in_pairs(up)
            self._held += down, up
            addresses = down.data_ptr(), up.data_ptr()
            place = start // width, up.shape[0], down.shape[0]
            self.compiled.add(matrix.data.data_ptr(), *place, *addresses)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return sum(weights.nbytes for weights in self._held)


def _locate(update: WeightUpdate) -> tuple[PackedMatrix, int, int]:
    """Return the matrix that is updated, the first output of it, and the outputs of its blocks.

    :raises ValueError: the update does not fit.
    """
    weights = update.weights
    if update.part is None:
        update.check(weights.outputs, weights.inputs)
        return weights, update.start, COLUMNS
    hidden, inner = weights.hidden_size, weights.inner_size
    gate_up, down = layout.matrices(weights)
    if update.part is ExpertPart.DOWN:
        update.check(hidden, inner)
        return down, update.start, COLUMNS
    update.check(inner, hidden)
    before = gate_up.outputs // 2 if update.part is ExpertPart.UP else 0
    return gate_up, before + update.start, COLUMNS // 2


def _in_blocks(up: torch.Tensor, offset: int, width: int) -> torch.Tensor:
    """Return (O, R) as blocks (B, R, width); the first output has a place in the first of them."""
    outputs, rank = up.shape
    blocks = -(-(offset + outputs) // width)
    padded = torch.zeros(blocks * width, rank)
    padded[offset : offset + outputs] = up.detach()
    return padded.view(blocks, width, rank).transpose(1, 2).contiguous()


def _in_pairs(blocks: torch.Tensor) -> torch.Tensor:
    """Return (B, R, width) as (B, R / 2, width, 2); an odd rank is followed by one of zeros."""
    even = F.pad(blocks, (0, 0, 0, blocks.shape[1] % 2))
    count, ranks, width = even.shape
    return even.view(count, ranks // 2, 2, width).transpose(2, 3).contiguous()


class Decoder(Steps[PackedMatrix, PackedExperts]):
    """See :class:`Steps`; a row's result is bit-identical in any batch."""

    device = torch.device("cpu")
    step_rows = 256

    def __init__(self, shape: CacheShape, pages: int) -> None:
        if not cpu_experts.ISAS:
            raise ValueError(
                "the compiled kernels are missing: install the package with a C++ compiler"
            )
        if shape.format not in (Format.F32, Format.BF16):
            raise ValueError(f"the KV cache must be in f32 or bf16; got {shape.format}")
        self.shape = shape
        self.pages = pages
        # zeros, which tiles read beyond the width of a key; untouched pages use no memory
        self._memory = PagedMemory(shape, pages)
        self._cache = self._memory.bytes
        self._program = cpu_experts.new_program(
            _FORMATS.index(shape.format),
            pages,
            shape.heads,
            shape.own_width,
            shape.shared_width,
            shape.value_width,
            self._cache.data_ptr(),
        )
        self._held: list[torch.Tensor] = [self._cache]  # keeps alive what the program points to
        self._mixtures: list[Mixture] = []
        self._limited = False
        self._kept_widths: list[int] = []
        self.windows = []
        self.routers = []
        self.vocabulary = 0
        self._outputs = 0
        self.positions = 0
        self._light = 0  # light experts of the last route
        self._used = torch.zeros(2, dtype=torch.long)

    @property
    def experts_used(self) -> tuple[int, int]:
        """See :attr:`Steps.experts_used`."""
        experts, tokens = self._used.tolist()
        return experts, tokens

    def matrix(self, weight: torch.Tensor, format: Format) -> PackedMatrix:
        """See :meth:`Steps.matrix`."""
        return cpu_experts.pack_matrix(weight, format)

    def experts(self, plain: PlainExperts, format: Format) -> PackedExperts:
        """See :meth:`Steps.experts`."""
        return cpu_experts.pack_plain(plain, format)

    def slot(self, width: int) -> SlotView:
        """See :meth:`Steps.slot`."""
        return SlotView(self._program.slot(width))

    def embed(self, to: SlotView, table: PackedMatrix, scale: float = 1.0) -> None:
        """See :meth:`Steps.embed`."""
        self.vocabulary = table.outputs
        self._program.embed(to.slot, self._matrix(table), scale)

    def norm(
        self,
        source: SlotView,
        to: SlotView,
        weight: torch.Tensor,
        epsilon: float,
        parts: int = 1,
        *,
        bias: torch.Tensor | None = None,
    ) -> None:
        """See :meth:`Steps.norm`."""
        addresses = self._floats(weight), 0 if bias is None else self._floats(bias)
        self._program.norm(source, to, weight.numel(), parts, addresses[0], epsilon, addresses[1])

    def linear(
        self,
        source: SlotView,
        to: SlotView,
        matrix: PackedMatrix,
        bias: torch.Tensor | None = None,
        *,
        add: bool = False,
    ) -> None:
        """See :meth:`Steps.linear`."""
        if to.slot == OUTPUT.slot:
            self._outputs = matrix.outputs
        address = 0 if bias is None else self._floats(bias)
        self._program.linear(source, to, self._matrix(matrix), address, add)

    def rope(
        self, at: SlotView, heads: int, cos: torch.Tensor, sin: torch.Tensor, *, interleaved: bool
    ) -> None:
        """See :meth:`Steps.rope`."""
        self.positions = cos.shape[0]
        places = self._floats(cos), self._floats(sin)
        self._program.rope(at, heads, 2 * cos.shape[1], interleaved, *places)

    def attend(
        self,
        views: AttentionViews,
        *,
        layer: int,
        heads: int,
        scale: float,
        window: int = 0,
        sinks: torch.Tensor | None = None,
    ) -> None:
        """See :meth:`Steps.attend`."""
        self.windows.append(window)
        query, key, value, to, shared_key = views
        compiled = query, key, shared_key or key, value, to
        address = 0 if sinks is None else self._floats(sinks)
        self._program.attend(*compiled, layer, heads, scale, window, address)

    def route(self, logits: SlotView, router: Router) -> None:
        """See :meth:`Steps.route`."""
        top_k, groups, correction = router.top_k, router.groups, router.correction
        self._light = router.light
        if top_k > 64 or groups > 64:
            raise ValueError(f"top_k and groups must be at most 64; got {top_k} and {groups}")
        if not router.sigmoid:
            self.routers.append(router)
        self._program.route(
            logits,
            router.experts,
            top_k,
            router.sigmoid,
            router.normalise,
            groups,
            router.top_groups,
            router.scale,
            0 if correction is None else self._floats(correction),
            -1.0 if router.mixer_margin is None else router.mixer_margin,
            router.nulls,
            router.light,
        )

    def light(
        self, source: SlotView, scaled: SlotView, to: SlotView, vectors: torch.Tensor
    ) -> None:
        """See :meth:`Steps.light`."""
        sizes = len(vectors), neurons_of(vectors), vectors.shape[2]
        self._program.light(source, scaled, to, self._light, *sizes, self._floats(vectors))

    def mix(self, source: SlotView, to: SlotView, experts: PackedExperts, top_k: int = 0) -> None:
        """See :meth:`Steps.mix`."""
        self._held.append(experts.data)
        if experts.num_experts > 1:
            self._mixtures.append(Mixture(experts, top_k))
        self._program.mix(
            source.slot,
            to.slot,
            top_k,
            _FORMATS.index(experts.format),
            _ACTIVATIONS.index(experts.activation),
            experts.num_experts,
            experts.hidden_size,
            experts.inner_size,
            experts.data.data_ptr(),
            experts.biased,
        )

    def adapter(self, updates: Iterable[WeightUpdate]) -> _Adapter:
        """See :meth:`Steps.adapter`; the updates are in the type of the KV cache."""
        bf16 = self.shape.format is Format.BF16
        return _Adapter(updates, torch.bfloat16 if bf16 else torch.float32)

    def keep(self, source: SlotView, width: int, scale: float = 1.0) -> None:
        """See :meth:`Steps.keep`."""
        self._kept_widths.append(width)
        self._program.keep(source, width, scale)

    def pick(self, source: SlotView, to: SlotView) -> None:
        """See :meth:`Steps.pick`."""
        self._program.pick(source.slot, to.slot)

    def copy_page(self, source: int, to: int) -> None:
        """See :meth:`Steps.copy_page`."""
        pages = self._cache.view(self.shape.layers, self.pages, -1)
        pages[:, to] = pages[:, source]

    def give_back(self, pages: Sequence[int]) -> None:
        """See :meth:`Steps.give_back`."""
        self._memory.give_back(pages)

    @property
    def least_experts_bytes(self) -> int:
        """The least ``size`` of :meth:`limit_experts`; 0 without mixtures."""
        return residency.least_bytes(self._mixtures)

    def limit_experts(self, size: int) -> None:
        """Hold as many experts of the mixtures as fit into ``size`` bytes; read others when needed.

        The results stay the same, bit for bit. Call it once, after all steps are planned.

        :raises ValueError: there are no mixtures, they are not mapped from one file, or ``size`` is
            less than :attr:`least_experts_bytes`.
        :raises RuntimeError: the file cannot be opened. :meth:`run` raises it if experts cannot be
            read; what the step's rows left in the cache is then undefined.
        """
        residency.limit(self._program, self._mixtures, size)
        self._limited = True

    def prefer_experts(self, patterns: Sequence[torch.Tensor]) -> None:
        """See :meth:`Steps.prefer_experts`."""
        if self._limited:
            residency.prefer(self._program, patterns)

    @property
    def expert_reads(self) -> ExpertReads | None:
        """See :attr:`Steps.expert_reads`; counts since :meth:`limit_experts`."""
        return residency.reads(self._program) if self._limited else None

    def run(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        texts: Sequence[SequenceRows],
        picked: torch.Tensor,
        watched: torch.Tensor = NO_ROWS,
        *,
        threads: int | None = None,
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """See :meth:`Steps.run`."""
        rows = tokens.shape[0]
        check_batch(self, tokens, positions, texts, (picked, watched))
        experts = torch.tensor(
            [text.expert for text in texts for _ in range(text.start, text.stop)]
        )
        routing, open_rows = routing_rows(texts), _open_rows(texts)
        logits = torch.empty(picked.shape[0], self._outputs)
        kept = torch.empty(sum(self._kept_widths) * watched.shape[0])
        cpu_experts.decode(
            self._program,
            rows,
            tokens.data_ptr(),
            positions.data_ptr(),
            list(map(_compile, texts)),
            picked.data_ptr(),
            picked.shape[0],
            watched.data_ptr(),
            watched.shape[0],
            kept.data_ptr(),
            logits.data_ptr(),
            threads or torch.get_num_threads(),
            experts.data_ptr(),
            0 if routing is None else routing.data_ptr(),
            self._used.data_ptr(),
            0 if open_rows is None else open_rows.data_ptr(),
            widest(self.routers),
        )
        sizes = [watched.shape[0] * width for width in self._kept_widths]
        parts = [
            part.view(-1, width)
            for part, width in zip(kept.split(sizes), self._kept_widths, strict=True)
        ]
        return logits, parts

    def _matrix(self, matrix: PackedMatrix) -> tuple[int, int, int, int]:
        self._held.append(matrix.data)
        number = _FORMATS.index(matrix.format)
        return number, matrix.outputs, matrix.inputs, matrix.data.data_ptr()

    def _floats(self, values: torch.Tensor) -> int:
        held = values.detach().float().contiguous()
        self._held.append(held)
        return held.data_ptr()
