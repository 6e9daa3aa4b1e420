"""The interface of a decoder: steps that are planned once and run on batches of token rows.

Rows of many sequences share a batch, in prefill and in decode. Keys and values are in KV cache
pages that the caller allocates. :mod:`expertrag_kernels.decoder` runs the steps on the CPU,
:mod:`expertrag_kernels.torch_decoder` on a GPU.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from expertrag_kernels import layout
from expertrag_kernels.packed import Format, PlainExperts, WeightUpdate
from expertrag_kernels.residency import ExpertReads
from expertrag_kernels.router import Router
from expertrag_kernels.routing import AS_THE_MODEL, Routing

PAGE_TOKENS = 64
MOST_ROWS = 1024
"""Most rows of a batch."""
_MOST_TEXTS = 64
NO_ROWS = torch.empty(0, dtype=torch.long)

Matrix = TypeVar("Matrix")
Mixture = TypeVar("Mixture")


class SlotView(NamedTuple):
    """Floats of a slot's row, starting at ``start``; heads are ``step`` apart."""

    slot: int
    start: int = 0
    step: int = 0


OUTPUT = SlotView(-1)
"""The view that receives the logits."""


class AttentionViews(NamedTuple):
    """The views that a layer's attention reads, and the one that it writes to.

    ``shared_key``: the part of a key that all heads share, if the cache has one.
    """

    query: SlotView
    key: SlotView
    value: SlotView
    to: SlotView
    shared_key: SlotView | None = None


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Shape of the KV cache; all layers have the same number of heads.

    A key has a part of its own head, and optionally a part that all heads share.
    """

    layers: int
    heads: int
    own_width: int
    value_width: int
    shared_width: int = 0
    format: Format = Format.BF16

    def page_bytes(self) -> int:
        """Size of a page in bytes, over all layers."""
        keys = layout.block_bytes(self.format, -(-(self.own_width + self.shared_width) // 32) * 32)
        values = -(-self.value_width // 64) * layout.block_bytes(self.format, PAGE_TOKENS)
        return self.layers * self.heads * (keys + values)

    def most_pages(self, size: int, context_tokens: int | None = None) -> int:
        """Return how many pages fit into ``size`` bytes, at most as many as 64 full sequences need.

        If there are enough pages, their number is rounded down so that each layer fills whole huge
        pages. The system allocates and releases these as a whole, and no two layers share one.
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
    """Rows ``start`` to ``stop`` of a batch, of one sequence, in the order of their positions.

    pages: (P,) int64, the sequence's KV cache pages, starting with its first token
    expert: the expert of all rows, overriding the routers (routing by text); negative to use them
    routing: which of the experts that routers choose are used
    adapters: of all rows, as :meth:`Steps.adapter` made them; what each adds is summed
    open: (R, E) bool, the experts that each of R routers may choose; None for all. Probabilities
        are among all experts, closed ones included.
    """

    start: int
    stop: int
    pages: torch.Tensor
    expert: int = -1
    routing: Routing = AS_THE_MODEL
    adapters: Sequence[Any] = ()
    open: torch.Tensor | None = None


class Steps(ABC, Generic[Matrix, Mixture]):
    """A decoder's steps, its weights, and its KV cache of ``pages`` pages.

    ``Matrix`` and ``Mixture`` are the weights of a linear layer and of experts, in the form that
    the implementation runs.
    """

    shape: CacheShape
    pages: int
    device: torch.device
    vocabulary: int
    """How many tokens have embeddings."""
    routers: list[Router]
    """Those that choose experts by token, in the order of the layers."""
    windows: list[int]
    """Window of each :meth:`attend`, 0 for those that attend to all tokens."""
    positions: int
    """How many positions have angles."""
    step_rows: int
    """Rows to run at a time: enough to multiply efficiently, few enough that waiting sequences are
    delayed by only about a tenth of a second."""

    @property
    def expert_reads(self) -> ExpertReads | None:
        """What has been read of experts that are not all in memory; None if all are."""
        return None

    def prefer_experts(self, patterns: Sequence[torch.Tensor]) -> None:
        """Read the experts that are open in some pattern, and keep them longer than others.

        Does nothing if all experts are in memory. May be called while another thread runs steps.

        :param patterns: as ``SequenceRows.open``; none to prefer no expert. They replace the
            patterns of the call before.
        """

    @property
    @abstractmethod
    def experts_used(self) -> tuple[int, int]:
        """Experts that tokens have used, and tokens, both counted in every layer with a router."""

    @property
    def window(self) -> int:
        """How many of the last tokens any layer attends to; 0 for all."""
        return 0 if 0 in self.windows else max(self.windows, default=0)

    @property
    def most_tokens(self) -> int:
        """Length of the longest sequence that fits into the cache.

        If no layer attends to all tokens, the pages before the windows can be used again, and the
        length has no limit but the positions.
        """
        at_once = -(-(self.window + self.step_rows) // PAGE_TOKENS) + 1  # pages that a step needs
        if self.window and at_once <= self.pages:
            return self.positions
        return self.pages * PAGE_TOKENS

    @abstractmethod
    def matrix(self, weight: torch.Tensor, format: Format) -> Matrix:
        """Convert weights (O, I) to the form that the implementation runs."""
        ...

    @abstractmethod
    def experts(self, plain: PlainExperts, format: Format) -> Mixture:
        """Convert experts to the form that the implementation runs."""
        ...

    @abstractmethod
    def slot(self, width: int) -> SlotView:
        """Allocate a slot of ``width`` floats for every row, and return a view of it."""
        ...

    @abstractmethod
    def embed(self, to: SlotView, table: Matrix, scale: float = 1.0) -> None:
        """Look up the token's row of an embedding table, times ``scale``."""
        ...

    @abstractmethod
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
        """Normalise each of ``parts`` heads by its root mean square (Zhang & Sennrich 2019).

        With a bias, by its mean and variance (Ba et al. 2016).
        """
        ...

    @abstractmethod
    def linear(
        self,
        source: SlotView,
        to: SlotView,
        matrix: Matrix,
        bias: torch.Tensor | None = None,
        *,
        add: bool = False,
    ) -> None:
        """Multiply by a matrix; with ``add``, add to what ``to`` holds."""
        ...

    @abstractmethod
    def rope(
        self, at: SlotView, heads: int, cos: torch.Tensor, sin: torch.Tensor, *, interleaved: bool
    ) -> None:
        """Rotate the first 2W values of each head by its position (Su et al. 2021).

        cos, sin: (positions, W)
        """
        ...

    @abstractmethod
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
        """Write the row's key and value into its page, and attend over the sequence up to it.

        :param window: attend only to so many tokens, of which the row's own is the last (sliding
            window, Beltagy et al. 2020); pages before them are not read. 0 for all.
        :param sinks: (heads,), a term of each head's softmax that has no value (attention sinks,
            as in gpt-oss); None for none.
        """
        ...

    @abstractmethod
    def route(self, logits: SlotView, router: Router) -> None:
        """Choose the experts of the next :meth:`mix`, and of the next :meth:`light`."""
        ...

    @abstractmethod
    def light(
        self, source: SlotView, scaled: SlotView, to: SlotView, vectors: torch.Tensor
    ) -> None:
        """Put vectors in the place of the light experts of the last :meth:`route`.

        See :mod:`expertrag_kernels.light`.

        :param scaled: receives what the next mix is to read.
        :param to: what they add is added to this view.
        :param vectors: (E, 3 + 3 N, H).
        """
        ...

    @abstractmethod
    def mix(self, source: SlotView, to: SlotView, experts: Mixture, top_k: int = 0) -> None:
        """Add the output of the routed experts; with ``top_k`` 0, of the only expert."""
        ...

    @abstractmethod
    def adapter(self, updates: Iterable[WeightUpdate]) -> Any:
        """Convert an adapter's updates to the form that the implementation runs.

        It may be used at once, for the rows of any sequence, and needs nothing planned. Every step
        that multiplies by updated weights adds its updates. Rows without an adapter stay the same,
        bit for bit. Its memory, of ``nbytes``, is free when nothing refers to it any more.

        :raises ValueError: an update does not fit its weights.
        """
        ...

    @abstractmethod
    def keep(self, source: SlotView, width: int, scale: float = 1.0) -> None:
        """Return these values of the watched rows, times ``scale``, to the caller."""
        ...

    @abstractmethod
    def pick(self, source: SlotView, to: SlotView) -> None:
        """Continue with the picked rows only."""
        ...

    @abstractmethod
    def copy_page(self, source: int, to: int) -> None:
        """Copy a page, in all layers."""
        ...

    def give_back(self, pages: Sequence[int]) -> None:
        """Return the memory of unused pages to the system; on a GPU this does nothing."""

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
        :param positions: (T,) int64, the position of each row in its sequence.
        :param texts: the sequences, which must cover all rows in order.
        :param picked: (N,) int64, rows whose logits to compute.
        :param watched: (W,) int64, rows whose kept values to return.
        :param threads: number of threads; None for torch's.
        :returns: logits (N, V) float32, and for each ``keep`` the watched rows (W, width).
        :raises ValueError: the batch is inconsistent, or does not fit the cache.
        """
        ...
