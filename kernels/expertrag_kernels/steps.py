"""What a decoder is made of: steps that are planned once, and run on batches of token rows.

Rows of many texts share a batch, those of a prompt beside those of texts that are being written;
keys and values lie in pages of a cache that the caller hands out. :mod:`expertrag_kernels.decoder`
runs the steps on the CPU, :mod:`expertrag_kernels.torch_decoder` on a GPU.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch

from expertrag_kernels import layout
from expertrag_kernels.packed import Format, PlainExperts

PAGE_TOKENS = 64
MOST_ROWS = 1024
"""Of a batch."""
_MOST_TEXTS = 64
NO_ROWS = torch.empty(0, dtype=torch.long)

Matrix = TypeVar("Matrix")
Mixture = TypeVar("Mixture")


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

    def most_pages(self, size: int, context_tokens: int | None = None) -> int:
        """Count the pages of so many bytes, and not more than 64 texts of full length need.

        Many are a multiple of what fills huge pages of the system, which come and go as a whole: no
        two layers share one then.
        """
        pages = size // self.page_bytes()
        piece = self.page_bytes() // self.layers
        whole = layout.HUGE_PAGE // math.gcd(layout.HUGE_PAGE, piece)
        pages = pages // whole * whole or pages
        if context_tokens is None:
            return pages
        return min(pages, _MOST_TEXTS * -(-context_tokens // PAGE_TOKENS))


@dataclass(frozen=True, slots=True)
class SequenceRows:
    """Rows ``start`` to ``stop`` of a batch: of one text, in the order of their positions.

    pages: (P,) int64, the cache's pages of the text from its beginning on
    expert: of all rows, whatever routers say (routing by text); negative for what they say
    """

    start: int
    stop: int
    pages: torch.Tensor
    expert: int = -1


class Steps(ABC, Generic[Matrix, Mixture]):
    """A decoder's steps, its weights, and its cache of ``pages`` pages.

    ``Matrix`` and ``Mixture`` are the weights of a linear layer and of experts, as they are run.
    """

    shape: CacheShape
    pages: int
    device: torch.device
    step_rows: int
    """Rows of a step that keep those who wait for about a tenth of a second, and multiply well."""

    @abstractmethod
    def matrix(self, weight: torch.Tensor, format: Format) -> Matrix:
        """Bring weights (O, I) into the form that is run."""
        ...

    @abstractmethod
    def experts(self, plain: PlainExperts, format: Format) -> Mixture:
        """Bring experts into the form that is run."""
        ...

    @abstractmethod
    def slot(self, width: int) -> View:
        """Room for ``width`` floats of every row."""
        ...

    @abstractmethod
    def embed(self, to: View, table: Matrix) -> None:
        """Begin with the token's row of a table."""
        ...

    @abstractmethod
    def norm(
        self, source: View, to: View, weight: torch.Tensor, epsilon: float, parts: int = 1
    ) -> None:
        """Normalise each of ``parts`` heads by its root mean square (Zhang & Sennrich 2019)."""
        ...

    @abstractmethod
    def linear(
        self,
        source: View,
        to: View,
        matrix: Matrix,
        bias: torch.Tensor | None = None,
        *,
        add: bool = False,
    ) -> None:
        """Multiply by a matrix; ``add`` to what is there."""
        ...

    @abstractmethod
    def rope(
        self, at: View, heads: int, cos: torch.Tensor, sin: torch.Tensor, *, interleaved: bool
    ) -> None:
        """Rotate the first 2W values of each head by its position (Su et al. 2021).

        cos, sin: (positions, W)
        """
        ...

    @abstractmethod
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
        ...

    @abstractmethod
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
        ...

    @abstractmethod
    def mix(self, source: View, to: View, experts: Mixture, top_k: int = 0) -> None:
        """Add what experts make of a row: the routed ones, or for 0 the only one."""
        ...

    @abstractmethod
    def keep(self, source: View, width: int) -> None:
        """Let the caller see this of the rows that it watches."""
        ...

    @abstractmethod
    def pick(self, source: View, to: View) -> None:
        """Go on with the picked rows only."""
        ...

    @abstractmethod
    def copy_page(self, source: int, to: int) -> None:
        """Copy what a page holds, of all layers."""
        ...

    def give_back(self, pages: Sequence[int]) -> None:
        """Give the memory of pages that nobody reads again to the system; a GPU keeps its own."""

    @abstractmethod
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
        ...


def check_batch(
    tokens: torch.Tensor,
    positions: torch.Tensor,
    texts: Sequence[SequenceRows],
    chosen: Sequence[torch.Tensor],
    *,
    vocabulary: int,
    pages: int,
    longest: int,
    experts: int,
) -> None:
    """Check that a batch fits together, and to a decoder.

    :raises ValueError: it does not.
    """
    rows = tokens.shape[0]
    if not 0 < rows <= MOST_ROWS or positions.shape != tokens.shape:
        raise ValueError(f"a batch has 1 to {MOST_ROWS} tokens, each with a position")
    if not 0 <= int(tokens.min()) <= int(tokens.max()) < vocabulary:
        raise ValueError(f"tokens must be 0 to {vocabulary - 1}; got others")
    for some in chosen:
        if some.numel() and not 0 <= int(some.min()) <= int(some.max()) < rows:
            raise ValueError(f"of rows 0 to {rows - 1} some may be picked; got others")
    at = 0
    for text in texts:
        if text.start != at or text.stop <= at:
            raise ValueError("texts must have all rows, one after the other")
        at = text.stop
        if text.expert >= experts:
            raise ValueError(f"experts are 0 to {experts - 1}; got {text.expert}")
        _check_sequence(text, int(positions[text.start]), int(positions[at - 1]), pages, longest)
    if at != rows:
        raise ValueError("texts must have all rows, one after the other")


def _check_sequence(
    sequence: SequenceRows, first: int, last: int, pages: int, longest: int
) -> None:
    if not 0 <= int(sequence.pages.min()) <= int(sequence.pages.max()) < pages:
        raise ValueError(f"the cache has pages 0 to {pages - 1}; got others")
    if first < 0 or last - first != sequence.stop - sequence.start - 1:
        raise ValueError("the rows of a text must follow each other")
    if last >= longest:
        raise ValueError(f"position {last} is beyond the decoder's {longest}")
    if last // PAGE_TOKENS >= sequence.pages.shape[0]:
        raise ValueError(f"position {last} has no page")
