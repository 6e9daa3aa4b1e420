"""CUDA graphs of a decoder's decode step: captured once, then launched as a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch

from expertrag_kernels.steps import PAGE_TOKENS
from expertrag_kernels.torch_rows import TokenRows


class Graphs:
    """Captured steps of one decoder, one for each power of two of rows. Not thread-safe."""

    def __init__(
        self, compute: Callable[[TokenRows], None], pages: int, positions: int, device: torch.device
    ) -> None:
        """Prepare for steps on a device.

        :param compute: runs all steps of a batch, and stores the logits in it.
        :param pages: number of KV cache pages; the cache has one more, which is spare.
        :param positions: maximum length of a sequence.
        """
        self._compute = compute
        self._spare_page = pages
        self._most_pages = -(-positions // PAGE_TOKENS)
        self._device = device
        self._captured: dict[int, tuple[torch.cuda.CUDAGraph, TokenRows]] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, rows: TokenRows) -> TokenRows:
        """Run a batch of short sequences; return logits of all rows in order, plus padding rows."""
        count = rows.tokens.shape[0]
        size = 1 << (count - 1).bit_length()
        if size not in self._captured:
            self._captured[size] = self._capture(size)
        graph, own = self._captured[size]
        fill(own, rows, self._spare_page)
        graph.replay()
        return own

    def _capture(self, size: int) -> tuple[torch.cuda.CUDAGraph, TokenRows]:
        rows = spare_rows(size, self._most_pages, self._spare_page, self._device)
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):  # compile and tune first: not possible during a capture
            for _ in range(2):
                self._compute(rows)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # other threads, such as the embedder's, may use the GPU meanwhile
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            self._compute(rows)
        return graph, rows


def spare_rows(size: int, pages: int, spare_page: int, device: torch.device) -> TokenRows:
    """Return padding rows, which write only to the spare page."""
    numbers = torch.zeros(size, dtype=torch.long, device=device)
    return TokenRows(
        tokens=numbers,
        positions=numbers.clone(),
        places=torch.full_like(numbers, spare_page * PAGE_TOKENS),
        experts=torch.full_like(numbers, -1),
        tables=torch.full((size, pages), spare_page, dtype=torch.int32, device=device),
        lengths=torch.ones(size, dtype=torch.int32, device=device),
        long=[],
        picked=torch.arange(size, device=device),
        watched=torch.empty(0, dtype=torch.long, device=device),
    )


def fill(own: TokenRows, rows: TokenRows, spare_page: int) -> None:
    """Copy a batch into the rows that a graph reads; the remaining rows become padding."""
    count, pages = rows.tokens.shape[0], rows.tables.shape[1]
    for to, source, spare in (
        (own.tokens, rows.tokens, 0),
        (own.positions, rows.positions, 0),
        (own.places, rows.places, spare_page * PAGE_TOKENS),
        (own.experts, rows.experts, -1),
        (own.lengths, rows.lengths, 1),
    ):
        to[:count].copy_(source)
        to[count:].fill_(spare)
    own.tables[:count, :pages].copy_(rows.tables)
    own.tables[count:].fill_(spare_page)
