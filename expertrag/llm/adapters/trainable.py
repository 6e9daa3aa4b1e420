"""What is trained beside the frozen feed-forward layers of a dense Llama-type model.

Low-rank updates of its projections (LoRA, Hu et al. 2022), which are merged into copies of them:

    y = W x + U D x + U_d D_d x

or small experts beside the whole layer (parallel adapters, He et al. 2022), which stay small:

    y = F(x) + E(x) + E_d(x)        E(x) = down (silu(gate x) * up x)

The first is shared by all domains, the second is the domain's own. "general" has the first alone,
and "base" none: as attention stays as it is, that expert of the mixture is the dense model bit for
bit.

H in, O out, R rank of an update, or inner width of a small expert, T tokens
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from expertrag.api.errors import Conflict
from expertrag.llm.base import BASE
from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FEED_FORWARD = tuple(f"mlp.{name}_proj" for name in ("gate", "up", "down"))


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """What a model gets; ``domains`` without "general" and "base".

    ``beside``: small experts of that inner width, in ``first_layer`` and all above it, instead of
    updates of that rank in all layers.
    """

    domains: tuple[str, ...]
    rank: int = 8
    domain_rank: int = 2
    beside: bool = False
    first_layer: int = 0

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the experts of the mixture that this becomes."""
        return (GENERAL, *self.domains, BASE)


class _Update(nn.Module):
    """U D; it starts as zero, in float32 beside a base of any format."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(base.in_features)
        self.down = nn.Parameter(torch.empty(rank, base.in_features).uniform_(-bound, bound))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))


class _LowRank(nn.Module):
    """A frozen linear layer with its updates."""

    def __init__(
        self, base: nn.Linear, rank: int, domains: Sequence[str], domain_rank: int
    ) -> None:
        super().__init__()
        self.base = base
        self.updates = nn.ModuleDict({GENERAL: _Update(base, rank)})
        self.updates.update({name: _Update(base, domain_rank) for name in domains})
        self.domain = GENERAL

    def factors(self, domain: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Put the updates of a domain side by side: (R, H) and (O, R)."""
        names = [name for name in dict.fromkeys((GENERAL, domain)) if name in self.updates]
        updates = [self.updates[name] for name in names]
        return (
            torch.cat([update.get_parameter("down") for update in updates]),
            torch.cat([update.get_parameter("up") for update in updates], dim=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        if self.domain == BASE:
            return y
        down, up = (factor.to(x.dtype) for factor in self.factors(self.domain))
        return y + functional.linear(functional.linear(x, down), up)


class _Expert(nn.Module):
    """A small feed-forward network; it adds nothing at first. float32 beside a base of any format.

    ``gate_up`` (2 R, H), ``down`` (H, R), as the experts of a mixture are.
    """

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(2 * width, hidden).normal_(std=hidden**-0.5))
        self.down = nn.Parameter(torch.zeros(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = functional.linear(x, self.gate_up.to(x.dtype)).chunk(2, dim=-1)
        return functional.linear(functional.silu(gate) * up, self.down.to(x.dtype))


class _Beside(nn.Module):
    """A frozen feed-forward layer with small experts beside it."""

    def __init__(
        self, base: nn.Module, hidden: int, width: int, domains: Sequence[str], domain_width: int
    ) -> None:
        super().__init__()
        self.base = base
        self.updates = nn.ModuleDict({GENERAL: _Expert(hidden, width)})
        self.updates.update({name: _Expert(hidden, domain_width) for name in domains})
        self.domain = GENERAL

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        if self.domain == BASE:
            return y
        for name in dict.fromkeys((GENERAL, self.domain)):
            if name in self.updates:
                y = y + self.updates[name](x)
        return y


class Adapters:
    """The updates of a model, which :func:`adapt` has put into it."""

    def __init__(self, layers: Mapping[str, _LowRank | _Beside], settings: AdapterSettings) -> None:
        self.settings = settings
        self._layers = layers

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return {
            f"{name}.{key}": value
            for name, layer in self._layers.items()
            for key, value in layer.updates.named_parameters()
        }

    def use(self, domain: str) -> None:
        """Let the model run with the updates of a domain; "base": without any."""
        for layer in self._layers.values():
            layer.domain = domain

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Put weights into the model.

        :raises Conflict: they are those of other updates.
        """
        own = self.parameters
        if own.keys() != weights.keys():
            raise Conflict(
                "these updates belong beside other layers, as those of readers by older versions "
                "do: train the reader again"
            )
        for name, parameter in own.items():
            parameter.data.copy_(weights[name])

    def weakened(
        self, weights: Mapping[str, torch.Tensor], strength: float
    ) -> dict[str, torch.Tensor]:
        """Return weights of small experts that add this share of what ``weights`` add."""
        assert self.settings.beside or strength == 1, "low-rank updates are served as trained"
        return {
            name: value * strength if name.endswith(".down") else value
            for name, value in weights.items()
        }

    def merged(self, domain: str) -> dict[str, torch.Tensor]:
        """Weights of the layers with the updates of a domain added, by the layers' own names."""
        found = {}
        for name, layer in self._layers.items():
            assert isinstance(layer, _LowRank), "small experts are not merged"
            weight = layer.base.weight
            if domain != BASE:
                down, up = layer.factors(domain)
                weight = (weight.float() + up @ down).detach().to(weight.dtype)
            found[f"{name}.weight"] = weight
        return found


def adapt(model: PreTrainedModel, settings: AdapterSettings, seed: int = 0) -> Adapters:
    """Freeze a model and put updates into it, which change nothing before they are trained."""
    torch.manual_seed(seed)
    model.requires_grad_(False)
    found: dict[str, _LowRank | _Beside] = {}
    some = settings.domains, settings.domain_rank
    for number in range(settings.first_layer, model.config.num_hidden_layers):
        layer = f"model.layers.{number}"
        if settings.beside:
            name = f"{layer}.mlp"
            base = model.get_submodule(name)
            found[name] = _Beside(base, model.config.hidden_size, settings.rank, *some)
            continue
        for part in _FEED_FORWARD:
            name = f"{layer}.{part}"
            base = model.get_submodule(name)
            assert isinstance(base, nn.Linear)
            found[name] = _LowRank(base, settings.rank, *some)
    for name, module in found.items():
        model.set_submodule(name, module)
    return Adapters(found, settings)
