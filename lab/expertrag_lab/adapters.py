"""Adapters that are trained on the frozen feed-forward layers of a dense Llama-type model.

Either low-rank updates of the projections (LoRA, Hu et al. 2022):

    y = W x + U D x + U_d D_d x

or parallel adapters, small experts next to the whole layer (He et al. 2022):

    y = F(x) + E(x) + E_d(x)        E(x) = down (silu(gate x) * up x)

All domains share the first adapter (U D, E). The second (U_d D_d, E_d) is the domain's own.
"shared" uses only the first, and "base" none. Attention does not change, so "base" equals the dense
model bit for bit.

H in, O out, R rank of an update or inner width of a parallel adapter, T tokens
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from expertrag.api.errors import Conflict
from expertrag.llm.adapters.bundle import AdapterSettings
from expertrag.llm.base import BASE, SHARED

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FEED_FORWARD = tuple(f"mlp.{name}_proj" for name in ("gate", "up", "down"))


class _Update(nn.Module):
    """A low-rank update U D. It starts at zero; float32, whatever the format of the base."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(base.in_features)
        self.down = nn.Parameter(torch.empty(rank, base.in_features).uniform_(-bound, bound))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))


class _LowRank(nn.Module):
    """A frozen linear layer with its low-rank updates."""

    def __init__(
        self, base: nn.Linear, rank: int, domains: Sequence[str], domain_rank: int
    ) -> None:
        super().__init__()
        self.base = base
        self.updates = nn.ModuleDict({SHARED: _Update(base, rank)})
        self.updates.update({name: _Update(base, domain_rank) for name in domains})
        self.domain = SHARED

    def factors(self, domain: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Concatenate the updates that a domain uses: (R, H) and (O, R)."""
        names = [name for name in dict.fromkeys((SHARED, domain)) if name in self.updates]
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
    """A parallel adapter: a small feed-forward network, whose output starts at zero.

    float32, whatever the format of the base. ``gate_up`` (2 R, H) and ``down`` (H, R) have the
    layout of a mixture's experts.
    """

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(2 * width, hidden).normal_(std=hidden**-0.5))
        self.down = nn.Parameter(torch.zeros(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = functional.linear(x, self.gate_up.to(x.dtype)).chunk(2, dim=-1)
        return functional.linear(functional.silu(gate) * up, self.down.to(x.dtype))


class _Parallel(nn.Module):
    """A frozen feed-forward layer with its parallel adapters."""

    def __init__(
        self, base: nn.Module, hidden: int, width: int, domains: Sequence[str], domain_width: int
    ) -> None:
        super().__init__()
        self.base = base
        self.updates = nn.ModuleDict({SHARED: _Expert(hidden, width)})
        self.updates.update({name: _Expert(hidden, domain_width) for name in domains})
        self.domain = SHARED

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        if self.domain == BASE:
            return y
        for name in dict.fromkeys((SHARED, self.domain)):
            if name in self.updates:
                y = y + self.updates[name](x)
        return y


class Adapters:
    """The adapters that :func:`adapt` inserted into a model."""

    def __init__(
        self, layers: Mapping[str, _LowRank | _Parallel], settings: AdapterSettings
    ) -> None:
        self.settings = settings
        self._layers = layers

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """Trainable parameters by name."""
        return {
            f"{name}.{key}": value
            for name, layer in self._layers.items()
            for key, value in layer.updates.named_parameters()
        }

    def use(self, domain: str) -> None:
        """Run the model with the adapters of a domain; "base": without adapters."""
        for layer in self._layers.values():
            layer.domain = domain

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load weights into the adapters.

        :raises Conflict: the weights belong to other layers.
        """
        own = self.parameters
        if own.keys() != weights.keys():
            raise Conflict(
                "these adapters belong to other layers, as in readers of older versions: train the "
                "reader again"
            )
        for name, parameter in own.items():
            parameter.data.copy_(weights[name])

    def weaken(
        self, weights: Mapping[str, torch.Tensor], strength: float
    ) -> dict[str, torch.Tensor]:
        """Return weights of parallel adapters with their output scaled by ``strength``."""
        assert self.settings.parallel or strength == 1, "low-rank updates are served as trained"
        return {
            name: value * strength if name.endswith(".down") else value
            for name, value in weights.items()
        }

    def merge(self, domain: str) -> dict[str, torch.Tensor]:
        """Return the layers' weights with a domain's updates merged, by the layers' own names."""
        result = {}
        for name, layer in self._layers.items():
            assert isinstance(layer, _LowRank), "parallel adapters are not merged"
            weight = layer.base.weight
            if domain != BASE:
                down, up = layer.factors(domain)
                weight = (weight.float() + up @ down).detach().to(weight.dtype)
            result[f"{name}.weight"] = weight
        return result


def adapt(model: PreTrainedModel, settings: AdapterSettings, seed: int = 0) -> Adapters:
    """Freeze a model and insert adapters, which change nothing until they are trained."""
    torch.manual_seed(seed)
    model.requires_grad_(False)
    modules: dict[str, _LowRank | _Parallel] = {}
    some = settings.domains, settings.domain_rank
    for number in range(settings.first_layer, model.config.num_hidden_layers):
        layer = f"model.layers.{number}"
        if settings.parallel:
            name = f"{layer}.mlp"
            base = model.get_submodule(name)
            modules[name] = _Parallel(base, model.config.hidden_size, settings.rank, *some)
            continue
        for part in _FEED_FORWARD:
            name = f"{layer}.{part}"
            base = model.get_submodule(name)
            assert isinstance(base, nn.Linear)
            modules[name] = _LowRank(base, settings.rank, *some)
    for name, module in modules.items():
        model.set_submodule(name, module)
    return Adapters(modules, settings)
