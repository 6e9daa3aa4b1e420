"""The steps of a decoder in torch, for GPUs.

Weights are not packed, and everything is in their type, except norms, angles, routing and logits,
which are in float32. Decode rows use paged attention (``gpu/attention.py``). On a GPU they run as
one captured CUDA graph (``gpu/graphs.py``), because launching their many small kernels would take
longer than computing them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from expertrag_kernels.batch_check import check_batch
from expertrag_kernels.dispatch import fused_experts
from expertrag_kernels.light import apply_light, by_weight
from expertrag_kernels.packed import Format, PlainExperts, WeightUpdate
from expertrag_kernels.router import Router
from expertrag_kernels.steps import (
    MOST_ROWS,
    NO_ROWS,
    OUTPUT,
    PAGE_TOKENS,
    AttentionViews,
    CacheShape,
    SequenceRows,
    SlotView,
    Steps,
)
from expertrag_kernels.torch_adapters import TorchAdapter, add_updates
from expertrag_kernels.torch_attention import PagedKeys, attention_of, attention_of_rows
from expertrag_kernels.torch_routers import by_text, chooser, count_experts, mark_closed, prune
from expertrag_kernels.torch_rows import SHORT_ROWS, TokenRows, is_capturable, rows_of, within
from expertrag_kernels.torch_steps import normalise, only_expert, rotate

if TYPE_CHECKING:
    from expertrag_kernels.gpu.graphs import Graphs

_log = logging.getLogger(__name__)


class TorchDecoder(Steps[torch.Tensor, PlainExperts]):
    """See :class:`Steps`; everything is on one device and of one type."""

    step_rows = MOST_ROWS

    def __init__(
        self, shape: CacheShape, pages: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.shape = shape
        self.pages = pages
        self.device, self.dtype = device, dtype
        places = (pages + 1) * PAGE_TOKENS  # the last page is for the padding rows of a graph
        keys = shape.own_width + shape.shared_width

        def cache(width: int) -> torch.Tensor:
            return torch.zeros(shape.layers, places, shape.heads, width, dtype=dtype, device=device)

        self._keys, self._values = cache(keys), cache(shape.value_width)
        self.windows = []
        self._widths: list[int] = []
        self._steps: list[Callable[[TokenRows], None]] = []
        self._attention = attention_of(device)
        self._graphs: Graphs | None = None
        self._capturable = device.type == "cuda"
        self.vocabulary = 0
        self.positions = 0
        self.routers = []
        self._used = self._routed = 0
        self._pruned_to = torch.zeros((), dtype=torch.long, device=device)

    @property
    def experts_used(self) -> tuple[int, int]:
        """See :attr:`Steps.experts_used`."""
        return self._used + int(self._pruned_to), self._routed

    # -- planning ----------------------------------------------------------------------------------

    def matrix(self, weight: torch.Tensor, format: Format) -> torch.Tensor:
        """See :meth:`Steps.matrix`; ``format`` is ignored: the decoder has its own type."""
        return weight.detach().to(self.device, self.dtype)

    def experts(self, plain: PlainExperts, format: Format) -> PlainExperts:
        """See :meth:`Steps.experts`; ``format`` is ignored: the decoder has its own type."""
        return plain.to(self.device, self.dtype)

    def slot(self, width: int) -> SlotView:
        """See :meth:`Steps.slot`."""
        self._widths.append(width)
        return SlotView(len(self._widths) - 1)

    def embed(self, to: SlotView, table: torch.Tensor, scale: float = 1.0) -> None:
        """See :meth:`Steps.embed`."""
        self.vocabulary = table.shape[0]
        self._steps.append(lambda rows: rows.write(to, F.embedding(rows.tokens, table) * scale))

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
        width, own = weight.numel(), weight.to(self.device, torch.float32)
        shift = None if bias is None else bias.to(self.device, torch.float32)

        def step(rows: TokenRows) -> None:
            heads = rows.heads(source, parts, width).float()
            result = normalise(heads, own, shift, epsilon).to(self.dtype)
            if parts == 1:
                rows.write(to, result[:, 0])
            else:
                rows.heads(to, parts, width).copy_(result)

        self._steps.append(step)

    def linear(
        self,
        source: SlotView,
        to: SlotView,
        matrix: torch.Tensor,
        bias: torch.Tensor | None = None,
        *,
        add: bool = False,
    ) -> None:
        """See :meth:`Steps.linear`."""
        own = None if bias is None else bias.to(self.device, matrix.dtype)

        def step(rows: TokenRows) -> None:
            inputs = rows.columns(source, matrix.shape[1]).to(matrix.dtype)
            result = F.linear(inputs, matrix, own)
            add_updates(rows, matrix, None, inputs, result)
            if to.slot == OUTPUT.slot:
                rows.logits = result.float()
            else:
                rows.write(to, result, add=add)

        self._steps.append(step)

    def rope(
        self, at: SlotView, heads: int, cos: torch.Tensor, sin: torch.Tensor, *, interleaved: bool
    ) -> None:
        """See :meth:`Steps.rope`."""
        self.positions, half = cos.shape
        own_cos, own_sin = (part.to(self.device, torch.float32) for part in (cos, sin))

        def step(rows: TokenRows) -> None:
            angles = own_cos[rows.positions][:, None], own_sin[rows.positions][:, None]
            rotate(rows.heads(at, heads, 2 * half), *angles, interleaved=interleaved)

        self._steps.append(step)

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
        query, key, value, to, shared_key = views
        self.windows.append(window)
        own_sinks = None if sinks is None else sinks.to(self.device, torch.float32)
        shape = self.shape
        keys, values = self._keys[layer], self._values[layer]

        def step(rows: TokenRows) -> None:
            own = rows.heads(key, shape.heads, shape.own_width)
            if shared_key is not None:
                shared = rows.heads(shared_key, shape.heads, shape.shared_width)
                own = torch.cat([own, shared], dim=2)
            keys[rows.places] = own
            values[rows.places] = rows.heads(value, shape.heads, shape.value_width)
            queries = rows.heads(query, heads, keys.shape[2])
            out = rows.heads(to, heads, shape.value_width)
            short = rows.lengths.shape[0]
            if short:
                paged = PagedKeys(keys, values, rows.tables, rows.lengths)
                result = self._attention(queries[:short], paged, scale, window, own_sinks)
                out[:short].copy_(result)
            for start, stop, places, seen in rows.long:
                places, seen = within(window, places, seen)
                own_rows = queries[start:stop], keys[places], values[places]
                out[start:stop].copy_(attention_of_rows(*own_rows, seen, scale, own_sinks))

        self._steps.append(step)

    def route(self, logits: SlotView, router: Router) -> None:
        """See :meth:`Steps.route`."""
        if router.nulls and (router.sigmoid or router.is_corrected or router.is_mixed):
            raise ValueError("null experts need a router that chooses by softmax")
        true, main, place = router.true_experts, router.main, len(self.routers)
        likely = not (router.is_corrected or router.is_mixed)
        choose = chooser(router, self.device)

        def step(rows: TokenRows) -> None:
            scores = rows.columns(logits, router.experts).float()
            policy = None if router.sigmoid else rows.routing
            closed = None if router.sigmoid else mark_closed(rows, place, router)
            weights, index = choose(scores, closed)
            if policy is not None:
                weights, index = prune(weights, index, policy, router.experts, likely=likely)
            if router.light:
                index, weights = by_weight(index, weights)
            if router.nulls or policy is not None or closed is not None:
                index = index.clamp(max=true)  # a null expert is none
                self._pruned_to += (index[:, :main] < true).sum()
            if router.normalise:
                weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
            if not router.sigmoid:
                index, weights = by_text(index, weights, rows.experts, true)
            rows.choose(index, weights * router.scale, main)

        if not router.sigmoid:
            self.routers.append(router)
        self._steps.append(step)

    def light(
        self, source: SlotView, scaled: SlotView, to: SlotView, vectors: torch.Tensor
    ) -> None:
        """See :meth:`Steps.light`."""
        own = vectors.to(self.device, torch.float32)

        def step(rows: TokenRows) -> None:
            assert rows.light is not None, "a route must come first"
            own_scaled, added = apply_light(rows.columns(source, own.shape[2]), *rows.light, own)
            rows.write(scaled, own_scaled)
            rows.write(to, added.to(self.dtype), add=True)

        self._steps.append(step)

    def mix(self, source: SlotView, to: SlotView, experts: PlainExperts, top_k: int = 0) -> None:
        """See :meth:`Steps.mix`."""

        def step(rows: TokenRows) -> None:
            x = rows.columns(source, experts.hidden_size)
            if top_k and experts.num_experts > 1:
                assert rows.routed is not None, "a route must come first"
                index, weights = rows.routed
                result = fused_experts(x.contiguous(), index, weights, experts)
            else:
                result = only_expert(rows, x, experts)
                if top_k:
                    assert rows.routed is not None, "a route must come first"
                    result = (result * rows.routed[1]).to(result.dtype)
            rows.write(to, result, add=True)

        self._steps.append(step)

    def adapter(self, updates: Iterable[WeightUpdate]) -> TorchAdapter:
        """See :meth:`Steps.adapter`; the updates are in the decoder's type."""
        return TorchAdapter(updates, self.device, self.dtype)

    def keep(self, source: SlotView, width: int, scale: float = 1.0) -> None:
        """See :meth:`Steps.keep`."""
        self._steps.append(
            lambda rows: rows.kept.append(rows.columns(source, width)[rows.watched].float() * scale)
        )

    def pick(self, source: SlotView, to: SlotView) -> None:
        """See :meth:`Steps.pick`."""

        def step(rows: TokenRows) -> None:
            rows.slots[to.slot] = rows.slots[source.slot][rows.picked]

        self._steps.append(step)

    def copy_page(self, source: int, to: int) -> None:
        """See :meth:`Steps.copy_page`."""
        for cache in (self._keys, self._values):
            pages = cache.unflatten(1, (-1, PAGE_TOKENS))
            pages[:, to] = pages[:, source]

    # -- running -----------------------------------------------------------------------------------

    @torch.inference_mode()
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
        """See :meth:`Steps.run`; the results are on the device."""
        check_batch(self, tokens, positions, texts, (picked, watched))
        used, routed = count_experts(texts, self.routers)
        self._used += used
        self._routed += routed
        # short sequences first, so that they form one block
        order = sorted(texts, key=lambda text: text.stop - text.start > SHORT_ROWS)
        moved = torch.cat([torch.arange(text.start, text.stop) for text in order])
        rows = rows_of(tokens[moved], positions[moved], order, self.device)
        back = moved.argsort()  # the new index of each row
        rows.picked, rows.watched = back[picked].to(self.device), back[watched].to(self.device)
        with torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            graph = self._replay(rows) if self._in_a_graph(rows) else None
            if graph is not None:
                return graph.logits[rows.picked], graph.kept
            self.compute(rows)
        return rows.logits, rows.kept

    def compute(self, rows: TokenRows) -> None:
        """Run all steps; nothing synchronises with the host."""
        count = rows.tokens.shape[0]
        rows.slots = [
            torch.empty(count, width, dtype=self.dtype, device=self.device)
            for width in self._widths
        ]
        for step in self._steps:
            step(rows)

    def _in_a_graph(self, rows: TokenRows) -> bool:
        # a graph's steps also count the experts of rows that only fill it up
        nulls = any(router.nulls for router in self.routers)
        return self._capturable and not nulls and is_capturable(rows)

    def _replay(self, rows: TokenRows) -> TokenRows | None:
        """Run a batch as a graph; return None, now and for ever, if steps cannot be captured."""
        from expertrag_kernels.gpu.graphs import Graphs

        self._graphs = self._graphs or Graphs(self.compute, self.pages, self.positions, self.device)
        try:
            return self._graphs.run(rows)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # experts without Triton's kernels synchronise with the host
            _log.warning("steps are launched one by one: they cannot be captured (%s)", error)
            self._capturable = False
            return None
