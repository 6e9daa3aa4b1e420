"""Observe how the tokens of prompts use a mixture's experts.

T tokens of a sequence, K experts of a token, E experts, H hidden
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from expertrag.api.errors import ServerError
from expertrag.llm.engine.families import Multipliers, correction_of
from expertrag_lab.surgery.mixture import Mixture, MixtureLayer
from expertrag_lab.surgery.profiling.importance import ExpertUse

SELECTED_FROM = 0.1
"""Least share among a token's chosen experts that counts in :attr:`ExpertUse.selection`: the
threshold r of PreMoe (Pei et al. 2025, arXiv 2505.17639), which leaves out experts that the router
chose only because it chooses K."""
_MOST_ROWS = 4096  # outputs of single experts, of H numbers, that are held at once


def observe(
    mixture: Mixture,
    sequences: Iterable[Sequence[int]],
    use: ExpertUse | None = None,
    *,
    selected_from: float = SELECTED_FROM,
) -> ExpertUse:
    """Run sequences of tokens, one by one, and return how their tokens used the experts.

    :param use: sums that the tokens are added to, in place.
    :param selected_from: see ``SELECTED_FROM``.
    """
    use = use or ExpertUse.none(len(mixture.layers), mixture.num_experts)
    with watching(mixture, use, selected_from=selected_from), torch.inference_mode():
        for tokens in sequences:
            mixture.model.model(input_ids=torch.tensor([list(tokens)]), use_cache=False)
    return use


@contextmanager
def watching(
    mixture: Mixture, use: ExpertUse, *, selected_from: float = SELECTED_FROM
) -> Iterator[None]:
    """Add every token that the model runs in this block to ``use``.

    What changes the routing has to be in place before: the experts are watched as they are called.

    :raises ServerError: a layer computes values that are NaN or infinite.
    """
    hooks: list[RemovableHandle] = []
    scale = Multipliers.of(mixture.model.config).residual
    try:
        for place, layer in enumerate(mixture.layers):
            watch = _LayerWatch(mixture.name, layer, place, use, scale, selected_from)
            norm = mixture.model.model.layers[layer.number].post_attention_layernorm
            hooks += [
                norm.register_forward_pre_hook(watch.enter),
                layer.router.register_forward_hook(watch.route),
                layer.experts.register_forward_hook(watch.leave),
            ]
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _LayerWatch:
    """Adds the tokens of one layer to the sums."""

    def __init__(
        self,
        name: str,
        layer: MixtureLayer,
        place: int,
        use: ExpertUse,
        scale: float,
        selected_from: float,
    ) -> None:
        """Watch ``layer`` of the model ``name``.

        :param place: of the layer in ``use``.
        :param scale: factor of the experts' output in the residual stream.
        """
        self._name = name
        self._number = layer.number
        self._experts = layer.experts
        self._sigmoid = correction_of(layer.router) is not None
        self._place = place
        self._use = use
        self._scale = scale
        self._selected_from = selected_from
        self._residual = torch.empty(0)
        self._logits = torch.empty(0)

    def enter(self, _norm: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        """Keep the residual stream before the layer's experts."""
        self._residual = given[0].flatten(0, -2)  # [T, H]

    def route(self, _router: nn.Module, _given: Any, routed: tuple[torch.Tensor, ...]) -> None:
        """Keep the logits of the router."""
        self._logits = routed[0].double()  # [T, E]

    def leave(
        self, _experts: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        """Add the tokens that the experts were called with."""
        rows, index, weights = given  # [T, H], [T, K], [T, K]
        norms, peaks = self._outputs(rows, index)  # [T, K]
        none = self._logits.new_zeros(self._logits.shape)  # [T, E]
        used = none.scatter(1, index, 1.0)
        weight = none.scatter_add(1, index, weights.double())
        weighted = weight * none.scatter(1, index, norms)
        shares = self._logits.gather(1, index).softmax(-1)  # [T, K]
        shares = shares.where(shares >= self._selected_from, 0.0)
        use, place = self._use, self._place
        if not place:
            use.tokens.add_(len(rows))
        use.selected[place] += used.sum(0)
        use.weight[place] += weight.sum(0)
        use.probability[place] += self._probabilities().sum(0)
        use.weighted_norm[place] += weighted.sum(0)
        use.output_aware[place] += self._movement(output) @ weighted
        use.selection[place] += none.scatter_add(1, index, shares).sum(0)
        use.peak[place] = torch.maximum(use.peak[place], none.scatter(1, index, peaks).amax(0))
        use.logits[place] += self._logits.sum(0)
        use.products[place] += self._logits.T @ self._logits
        self._check(use.output_aware[place], use.peak[place], use.products[place])

    def _check(self, *sums: torch.Tensor) -> None:
        if not all(bool(item.isfinite().all()) for item in sums):
            raise ServerError(
                f"layer {self._number} of {self._name} computes values that are NaN or infinite: "
                "the model's weights are damaged; download or make it again",
                reason="MODEL_DAMAGED",
                metadata={"model": self._name},
            )

    def _probabilities(self) -> torch.Tensor:  # [T, E]
        return self._logits.sigmoid() if self._sigmoid else self._logits.softmax(-1)

    def _movement(self, output: torch.Tensor) -> torch.Tensor:  # [T]
        """One minus the cosine between the residual stream before and after the experts.

        As in the authors' code (RUCAIBox/EASYEP), shared experts are not among them.
        """
        before = self._residual.double()
        after = before + self._scale * output.double()
        return (1.0 - functional.cosine_similarity(before, after, dim=-1)).clamp(min=0.0)

    def _outputs(
        self, rows: torch.Tensor, index: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return norm and largest absolute value of each used expert's own output, [T, K] each.

        Each pair of a token and an expert is a row with one expert of weight 1. That is right for
        every family, whatever its activation, biases and layout.
        """
        most = max(1, _MOST_ROWS // index.shape[1])
        norms, peaks = [], []
        for some, chosen in zip(rows.split(most), index.split(most), strict=True):
            pairs = some.repeat_interleave(chosen.shape[1], dim=0)
            alone = chosen.reshape(-1, 1)
            forward: Any = self._experts.forward  # a call of the module would be watched as well
            each = forward(pairs, alone, pairs.new_ones(alone.shape)).double()
            norms.append(each.norm(dim=-1).view(chosen.shape))
            peaks.append(each.abs().amax(-1).view(chosen.shape))
        return torch.cat(norms), torch.cat(peaks)
