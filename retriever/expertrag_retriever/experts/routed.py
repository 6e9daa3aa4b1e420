"""Adds routing to the forward pass of a transformer with embedding experts.

The pass itself is the base model's. At the first layer with experts, the router reads the mean
hidden states and chooses the experts, so that routing needs no extra pass.

    N texts, L tokens of the longest, E experts, K experts of a text, H hidden
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from expertrag_retriever.experts.routing import BatchRouting, current, use_routing
from expertrag_retriever.experts.settings import ExpertSettings
from expertrag_retriever.experts.surgery import install
from expertrag_retriever.router.router import DomainRouter, choose, no_domain, of_experts


class _Routed(BaseException):
    """Stops a forward pass once the routing is known, when nothing else is needed.

    Not an Exception, so that no library code on the call stack catches it.
    """


class WithExperts:
    """Mixin for a module that encodes features and holds the encoder as ``model``.

    ``settings`` and ``router`` are None for a base model without experts. Without a router, texts
    whose domain is not given go through the base model.
    """

    if not TYPE_CHECKING:  # mypy would take it for the complete list of attributes
        __slots__ = ()  # so that the class of a loaded module can be changed to this one

    model: Any
    module_output_name: str
    settings: ExpertSettings | None = None
    router: DomainRouter | None = None
    first_layer: int = 0

    def add_experts(self, settings: ExpertSettings) -> None:
        """Add experts that equal the base model, to be trained or loaded into."""
        self.first_layer = install(self.model, settings, self._begin)
        self.settings = settings

    def forward(
        self,
        features: dict[str, Any],
        domain: str | None = None,
        allowed: Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Encode a batch of features in the format of the base model.

        The experts come from ``expert_index`` (N,) in the features (E and above for none), else
        from ``domain``, else the router chooses among the ``allowed`` domains. The result holds the
        experts used for each text as ``expert_index`` and ``expert_weights`` (N, K), and, if the
        router chose, its ``domain_posterior`` (N, E + 1).
        """
        if self.settings is None:
            return dict(self._encode_features(features, **kwargs))
        routing = BatchRouting(features["attention_mask"], allowed)
        index = features.pop("expert_index", None)
        if index is None and domain is not None:
            index = torch.full((len(routing.mask),), self.settings.index_of(domain))
        if index is not None:
            routing.index = index.unsqueeze(1).to(routing.mask.device)
            routing.weights = torch.ones_like(routing.index, dtype=torch.float32)
        with use_routing(routing):
            features = self._encode_features(features, **kwargs)
        # Pooling, and the loss in training, sum many values: not in the base model's bfloat16.
        features[self.module_output_name] = features[self.module_output_name].float()
        features["expert_index"], features["expert_weights"] = routing.index, routing.weights
        features["domain_posterior"] = routing.posterior
        return features

    def posterior(self, features: dict[str, Any]) -> torch.Tensor:
        """Domain posteriors (N, E + 1) of a batch, the last column for no domain; runs no expert.

        Thread-safe. Without a router, no text belongs to any domain.
        """
        assert self.settings is not None, "called on a module with experts"
        mask = features["attention_mask"]
        if self.router is None:
            return no_domain(len(mask), len(self.settings.domains))
        routing = BatchRouting(mask, alone=True)
        with suppress(_Routed), use_routing(routing):
            self._encode_features(features)
        assert routing.posterior is not None, "the pass must reach the layers with experts"
        return routing.posterior

    def _encode_features(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run the base model."""
        raise NotImplementedError

    def _begin(self, hidden: torch.Tensor) -> None:
        """Route the texts of the current pass by their hidden states (N, L, H)."""
        routing = current()
        assert routing is not None, "called only in routed passes"
        assert self.settings is not None, "called only in modules with experts"
        if routing.index is not None or self.router is None:
            return
        routing.pooled = mean_pooled(hidden, routing.mask)
        routing.posterior = of_experts(
            self.router.posterior(routing.pooled.cpu(), routing.allowed),
            len(self.settings.domains),
        )
        if routing.alone:
            raise _Routed
        choice = choose(routing.posterior)
        routing.index = choice.index.to(hidden.device)
        routing.weights = choice.weights.to(hidden.device)


def mean_pooled(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of hidden states (N, L, H) over the tokens of ``mask`` (N, L), as (N, H) float32."""
    share = mask.unsqueeze(-1).float()
    return (hidden.float() * share).sum(dim=1) / share.sum(dim=1).clamp(min=1.0)
