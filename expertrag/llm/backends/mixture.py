"""One answer sampled from two prompts: retrieval marginalised out, token by token.

    p(y_t | y_<t) = Σ_z p(z | y_<t) p(y_t | y_<t, z)        z: closed book, open book

The gate gives the prior of z. Each sampled token updates it by Bayes' rule, with the probability
of the token under each prompt (RAG-Token's marginalisation, Lewis et al. 2020, with the posterior
of z).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from expertrag.api.types import Sampling
from expertrag.llm.backends.transformers_session import TransformersSession
from expertrag.llm.base import ShouldStop
from expertrag.llm.constraints import Matcher
from expertrag.llm.network import Network, Step


class MixedSession(TransformersSession):
    """Samples from the mixture of its own prompt and another one; both advance together."""

    def __init__(
        self,
        network: Network,
        decode: Callable[[Sequence[int]], str],
        prompt: list[int],
        other: TransformersSession,
        weight: float,
        sampling: Sampling,
        should_stop: ShouldStop,
        matcher: Matcher | None = None,
        domain: str | None = None,
    ) -> None:
        """Start; ``weight`` in (0, 1) is the prior of ``prompt``, the rest that of ``other``."""
        super().__init__(network, decode, prompt, sampling, should_stop, matcher, domain)
        self.prompt_tokens += other.prompt_tokens
        self._other = other
        self._log_weights = torch.tensor([math.log(weight), math.log1p(-weight)])
        self._said = torch.empty(0)  # log p of the next token by prompt [2, V]

    def close(self) -> None:
        """Free both caches."""
        super().close()
        self._other.close()

    def _draw(self, *, watch: bool) -> None:
        known = len(self._drawn)
        super()._draw(watch=watch)
        for token in self._drawn[known:]:
            self._other.follow(token)
            self._log_weights += self._said[:, token].cpu()
            self._log_weights -= self._log_weights.logsumexp(0)

    def _step(self, *, watch: bool) -> Step:
        steps = super()._step(watch=watch), self._other._step(watch=False)
        self.lm_calls = 2
        self._said = torch.stack([step.logits.float().log_softmax(-1) for step in steps])
        weights = self._log_weights.to(self._said.device)[:, None]
        return Step((self._said + weights).logsumexp(0), steps[0].watched)
