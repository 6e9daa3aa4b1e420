"""A whole decoder as one call: its steps are planned once, and run on batches of token rows.

Rows of many texts share a batch, those of a prompt beside those of texts that are being written;
keys and values lie in pages of a cache that the caller hands out. The result of a row is the same
to the bit in any batch. See ``cpu/program.h`` for what the steps compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from expertrag_kernels import cpu_experts, layout
from expertrag_kernels.packed import Activation, Format, PackedExperts, PackedMatrix

PAGE_TOKENS = 64
MOST_ROWS = 1024
"""Of a batch."""

_FORMATS = list(Format)
_ACTIVATIONS = list(Activation)
_NONE = torch.empty(0, dtype=torch.long)


class View(NamedTuple):
    """Floats of a slot's row from ``start`` on; heads lie ``step`` apart."""

    slot: int
    start: int = 0
    step: int = 0


OUTPUT = View(-1)
"""Where the logits go."""


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Keys and values of all layers, each with as many heads.

    Keys have a part of their head's own, and may have one that all heads share.
    """

    layers: int
    heads: int
    own_width: int
    value_width: int
    shared_width: int = 0
    format: Format = Format.BF16

    def page_bytes(self) -> int:
        """Size of a page of all layers."""
        keys = layout.block_bytes(self.format, -(-(self.own_width + self.shared_width) // 32) * 32)
        values = -(-self.value_width // 64) * layout.block_bytes(self.format, PAGE_TOKENS)
        return self.layers * self.heads * (keys + values)


@dataclass(frozen=True, slots=True)
class Text:
    """Rows ``start`` to ``stop`` of a batch: of one text, in the order of their positions.

    pages: (P,) int64, the cache's pages of the text from its beginning on
    """

    start: int
    stop: int
    pages: torch.Tensor


class Decoder:
    """A decoder's steps, its weights, and its cache of ``pages`` pages."""

    def __init__(self, shape: CacheShape, pages: int) -> None:
        if not cpu_experts.ISAS:
            raise ValueError("compiled kernels are needed: install with a C++ compiler at hand")
        if shape.format not in (Format.F32, Format.BF16):
            raise ValueError(f"a cache is in f32 or bf16; got {shape.format}")
        self.shape = shape
        self.pages = pages
        # zeros, which is what tiles read beside a key's width; untouched pages take no memory
        self._cache = layout.zeros(pages * shape.page_bytes())
        self._program = cpu_experts.new_program(
            _FORMATS.index(shape.format),
            pages,
            shape.heads,
            shape.own_width,
            shape.shared_width,
            shape.value_width,
            self._cache.data_ptr(),
        )
        self._held: list[torch.Tensor] = [self._cache]  # the program has their addresses
        self._kept_widths: list[int] = []
        self._vocabulary = 0
        self._outputs = 0
        self._positions = 0

    def slot(self, width: int) -> View:
        """Room for ``width`` floats of every row."""
        return View(self._program.slot(width))

    def embed(self, to: View, table: PackedMatrix) -> None:
        """Begin with the token's row of a table."""
        self._vocabulary = table.outputs
        self._program.embed(to.slot, self._matrix(table))

    def norm(
        self, source: View, to: View, weight: torch.Tensor, epsilon: float, parts: int = 1
    ) -> None:
        """Normalise each of ``parts`` heads by its root mean square (Zhang & Sennrich 2019)."""
        self._program.norm(source, to, weight.numel(), parts, self._floats(weight), epsilon)

    def linear(
        self,
        source: View,
        to: View,
        matrix: PackedMatrix,
        bias: torch.Tensor | None = None,
        *,
        add: bool = False,
    ) -> None:
        """Multiply by a matrix; ``add`` to what is there."""
        if to.slot == OUTPUT.slot:
            self._outputs = matrix.outputs
        address = 0 if bias is None else self._floats(bias)
        self._program.linear(source, to, self._matrix(matrix), address, add)

    def rope(
        self, at: View, heads: int, cos: torch.Tensor, sin: torch.Tensor, *, interleaved: bool
    ) -> None:
        """Rotate the first 2W values of each head by its position (Su et al. 2021).

        cos, sin: (positions, W)
        """
        self._positions = cos.shape[0]
        places = self._floats(cos), self._floats(sin)
        self._program.rope(at, heads, 2 * cos.shape[1], interleaved, *places)

    def attend(
        self,
        query: View,
        key: View,
        value: View,
        to: View,
        *,
        layer: int,
        heads: int,
        scale: float,
        shared_key: View | None = None,
    ) -> None:
        """Write the row's key and value into its page, and attend over the text up to it."""
        shared = shared_key or key
        self._program.attend(query, key, shared, value, to, layer, heads, scale)

    def route(
        self,
        logits: View,
        experts: int,
        top_k: int,
        *,
        sigmoid: bool = False,
        normalise: bool = False,
        groups: int = 1,
        top_groups: int = 1,
        scale: float = 1.0,
    ) -> None:
        """Choose the experts of the next :meth:`mix`."""
        if top_k > 64 or groups > 64:
            raise ValueError("at most 64 experts of a token, and 64 groups")
        self._program.route(logits, experts, top_k, sigmoid, normalise, groups, top_groups, scale)

    def mix(self, source: View, to: View, experts: PackedExperts, top_k: int = 0) -> None:
        """Add what experts make of a row: the routed ones, or for 0 the only one."""
        self._held.append(experts.data)
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
        )

    def keep(self, source: View, width: int) -> None:
        """Let the caller see this of the rows that it watches."""
        self._kept_widths.append(width)
        self._program.keep(source, width)

    def pick(self, source: View, to: View) -> None:
        """Go on with the picked rows only."""
        self._program.pick(source.slot, to.slot)

    def copy_page(self, source: int, to: int) -> None:
        """Copy what a page holds, of all layers."""
        pages = self._cache.view(self.shape.layers, self.pages, -1)
        pages[:, to] = pages[:, source]

    def run(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        texts: Sequence[Text],
        picked: torch.Tensor,
        watched: torch.Tensor = _NONE,
        *,
        threads: int | None = None,
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Run a batch of T rows.

        :param tokens: (T,) int64.
        :param positions: (T,) int64, of each row in its text.
        :param texts: all rows, in order.
        :param picked: (N,) int64, rows whose logits are wanted.
        :param watched: (W,) int64, rows of which the kept values are wanted.
        :param threads: torch's number of them for None.
        :returns: logits (N, V) float32, and of each ``keep`` the watched rows (W, width).
        :raises ValueError: the batch does not fit together, or to the cache.
        """
        rows = tokens.shape[0]
        self._check(rows, tokens, positions, texts)
        for chosen in (picked, watched):
            if chosen.numel() and not 0 <= int(chosen.min()) <= int(chosen.max()) < rows:
                raise ValueError(f"of rows 0 to {rows - 1} some may be picked; got others")
        logits = torch.empty(picked.shape[0], self._outputs)
        kept = torch.empty(sum(self._kept_widths) * watched.shape[0])
        cpu_experts.decode(
            self._program,
            rows,
            tokens.data_ptr(),
            positions.data_ptr(),
            [(text.start, text.stop, text.pages.data_ptr()) for text in texts],
            picked.data_ptr(),
            picked.shape[0],
            watched.data_ptr(),
            watched.shape[0],
            kept.data_ptr(),
            logits.data_ptr(),
            threads or torch.get_num_threads(),
        )
        sizes = [watched.shape[0] * width for width in self._kept_widths]
        parts = [
            part.view(-1, width)
            for part, width in zip(kept.split(sizes), self._kept_widths, strict=True)
        ]
        return logits, parts

    def _check(
        self, rows: int, tokens: torch.Tensor, positions: torch.Tensor, texts: Sequence[Text]
    ) -> None:
        if not 0 < rows <= MOST_ROWS or positions.shape != tokens.shape:
            raise ValueError(f"a batch has 1 to {MOST_ROWS} tokens, each with a position")
        if not 0 <= int(tokens.min()) <= int(tokens.max()) < self._vocabulary:
            raise ValueError(f"tokens must be 0 to {self._vocabulary - 1}; got others")
        at = 0
        for text in texts:
            if text.start != at or text.stop <= at:
                raise ValueError("texts must have all rows, one after the other")
            at = text.stop
            if not 0 <= int(text.pages.min()) <= int(text.pages.max()) < self.pages:
                raise ValueError(f"the cache has pages 0 to {self.pages - 1}; got others")
            first, last = int(positions[text.start]), int(positions[at - 1])
            if first < 0 or last - first != text.stop - text.start - 1:
                raise ValueError("the rows of a text must follow each other")
            if last >= self._positions:
                raise ValueError(f"position {last} is beyond the decoder's {self._positions}")
            if last // PAGE_TOKENS >= text.pages.shape[0]:
                raise ValueError(f"position {last} has no page")
        if at != rows:
            raise ValueError("texts must have all rows, one after the other")

    def _matrix(self, matrix: PackedMatrix) -> tuple[int, int, int, int]:
        self._held.append(matrix.data)
        number = _FORMATS.index(matrix.format)
        return number, matrix.outputs, matrix.inputs, matrix.data.data_ptr()

    def _floats(self, values: torch.Tensor) -> int:
        held = values.detach().float().contiguous()
        self._held.append(held)
        return held.data_ptr()
