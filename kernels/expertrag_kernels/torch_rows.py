"""A batch on a device, which the steps of :mod:`expertrag_kernels.torch_decoder` read and write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from expertrag_kernels.routing import routing_rows
from expertrag_kernels.steps import NO_ROWS, PAGE_TOKENS, SequenceRows, SlotView

SHORT_ROWS = 8
"""Up to so many rows of a sequence attend separately; more rows are one matrix product."""
MOST_CAPTURED = 64
"""Most rows of a captured step; for more rows the GPU's work hides the time of the launches."""


@dataclass(slots=True)
class TokenRows:
    """A batch on the device: T rows, of which the first R are of short sequences.

    tokens, positions: (T,) int64
    places: (T,) int64, the indices of the rows' keys in the cache
    experts: (T,) int64, the expert of the row's sequence, or negative
    tables: (R, M) int32, pages
    lengths: (R,) int32, tokens up to and including the row's own
    long: for each other sequence its start and stop, the places of its tokens (L,), and a mask
        (rows, L). The mask has the tokens that each row attends to.
    picked, watched: int64
    routing: (T, 4) float32, as of :func:`routing_rows`; None if all rows route as the model does
    patterns: (P, R, E) bool, open experts of each router in P patterns, the first with all; None if
        all rows have the first
    pattern: (T,) int64
    adapted: the adapters of the batch, each with its rows (N,) int64
    routed, light: experts and weights of each row, (T, K) each, for the next mix and the next light
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    experts: torch.Tensor
    tables: torch.Tensor
    lengths: torch.Tensor
    long: list[tuple[int, int, torch.Tensor, torch.Tensor]]
    picked: torch.Tensor
    watched: torch.Tensor
    routing: torch.Tensor | None = None
    patterns: torch.Tensor | None = None
    pattern: torch.Tensor = NO_ROWS
    adapted: list[tuple[Any, torch.Tensor]] = field(default_factory=list)
    slots: list[torch.Tensor] = field(default_factory=list)
    routed: tuple[torch.Tensor, torch.Tensor] | None = None
    light: tuple[torch.Tensor, torch.Tensor] | None = None
    kept: list[torch.Tensor] = field(default_factory=list)
    logits: torch.Tensor = NO_ROWS

    def columns(self, view: SlotView, width: int) -> torch.Tensor:
        """Return a view of columns (T, width) of a slot."""
        return self.slots[view.slot][:, view.start : view.start + width]

    def heads(self, view: SlotView, heads: int, width: int) -> torch.Tensor:
        """Return a view of heads (T, heads, width) of a slot, ``view.step`` apart."""
        slot = self.slots[view.slot]
        size, strides = (slot.shape[0], heads, width), (slot.stride(0), view.step, 1)
        return slot.as_strided(size, strides, slot.storage_offset() + view.start)

    def choose(self, index: torch.Tensor, weights: torch.Tensor, main: int) -> None:
        """Note the experts of each row (T, K) and their weights; those after ``main`` are light."""
        self.routed = index[:, :main].contiguous(), weights[:, :main].contiguous()
        self.light = index[:, main:], weights[:, main:]

    def write(self, view: SlotView, values: torch.Tensor, *, add: bool = False) -> None:
        """Write (T, width) into a slot; values for the whole slot replace it without a copy."""
        slot = self.slots[view.slot]
        if add:
            self.columns(view, values.shape[1]).add_(values)
        elif values.shape == slot.shape and values.dtype == slot.dtype:
            self.slots[view.slot] = values
        else:
            self.columns(view, values.shape[1]).copy_(values)


def within(
    window: int, places: torch.Tensor, seen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Leave out the tokens of a long sequence that are before a window; see ``TokenRows.long``.

    :param window: how many of the last tokens a row attends to; 0 for all.
    """
    if not window:
        return places, seen
    first = seen.shape[1] - seen.shape[0]  # position of the first row
    start = max(0, first - window + 1)
    return places[start:], seen[:, start:].triu(first - window + 1 - start)


def rows_of(
    tokens: torch.Tensor,
    positions: torch.Tensor,
    texts: Sequence[SequenceRows],
    device: torch.device,
) -> TokenRows:
    """Copy a batch to the device; its short sequences come first."""
    places, tables, long = [], [], []
    experts = [text.expert for text in texts for _ in range(text.start, text.stop)]
    at = 0
    most = max(text.pages.shape[0] for text in texts)
    for text in texts:
        count = text.stop - text.start
        own = (text.pages[:, None] * PAGE_TOKENS + torch.arange(PAGE_TOKENS)).flatten()
        places.append(own[positions[at : at + count]])
        if count <= SHORT_ROWS:
            table = F.pad(text.pages, (0, most - text.pages.shape[0]))
            tables.append(table.expand(count, most))
        else:
            length = int(positions[at + count - 1]) + 1
            seen = torch.ones(count, length, dtype=torch.bool).tril(length - count)
            on_device = own[:length].to(device), seen.to(device)
            long.append((at, at + count, *on_device))
        at += count
    patterns, pattern = _patterns_of(texts)
    short = sum(map(len, tables))
    table = torch.cat(tables) if tables else torch.empty(0, most)
    routing = routing_rows(texts)
    return TokenRows(
        tokens.to(device),
        positions.to(device),
        torch.cat(places).to(device),
        torch.tensor(experts, device=device),
        table.to(device, torch.int32),
        (positions[:short] + 1).to(device, torch.int32),
        long,
        NO_ROWS,
        NO_ROWS,
        None if routing is None else routing.to(device),
        None if patterns is None else patterns.to(device),
        pattern.to(device),
        [(adapter, own.to(device)) for adapter, own in _adapters_of(texts)],
    )


def _adapters_of(texts: Sequence[SequenceRows]) -> Iterator[tuple[Any, torch.Tensor]]:
    """Yield the adapters of a batch, and the rows of each."""
    adapters = {id(adapter): adapter for text in texts for adapter in text.adapters}
    rows = [
        {id(adapter) for adapter in text.adapters}
        for text in texts
        for _ in range(text.start, text.stop)
    ]
    for key, adapter in adapters.items():
        yield adapter, torch.tensor([key in own for own in rows]).nonzero()[:, 0]


def _patterns_of(texts: Sequence[SequenceRows]) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Return the patterns of a batch, and each row's number; see ``TokenRows.patterns``."""
    masks_by_id = {id(text.open): text.open for text in texts if text.open is not None}
    if not masks_by_id:
        return None, NO_ROWS
    numbers = {key: place for place, key in enumerate(masks_by_id, 1)}
    masks = list(masks_by_id.values())
    pattern = [
        numbers.get(id(text.open), 0) for text in texts for _ in range(text.start, text.stop)
    ]
    return torch.stack([torch.ones_like(masks[0]), *masks]), torch.tensor(pattern)


def is_capturable(rows: TokenRows) -> bool:
    """Return whether a batch has only what the steps of a captured graph can do."""
    special = rows.adapted or rows.routing is not None or rows.patterns is not None
    if rows.long or rows.watched.numel() or special:
        return False
    return rows.tokens.shape[0] <= MOST_CAPTURED
