"""A mixture in transformers that runs prompts as the server does."""

from __future__ import annotations

from collections.abc import Sequence

from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.backends.transformers_network import TransformersNetwork
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.network import Limits
from expertrag.llm.surgery.mixture import Mixture
from expertrag.llm.surgery.profiling.traffic import ServedTokens, TrafficPrompt


class ServedMixture:
    """A mixture that runs prompts as the server does."""

    def __init__(self, mixture: Mixture, identity: str, most_tokens: int) -> None:
        """Take a mixture.

        :param identity: fingerprint of its files.
        :param most_tokens: of an answer.
        """
        self.mixture = mixture
        limits = Limits.of(mixture.model, mixture.tokenizer)
        self._network = TransformersNetwork(mixture.model, limits)
        self.context_tokens = limits.context_tokens
        chat = ChatTokenizer(mixture.tokenizer)
        generator = TransformersGenerator(mixture.name, identity, self._network, chat)
        self._tokens = ServedTokens(generator, chat, most_tokens)

    def tokens(self, item: TrafficPrompt) -> list[int]:
        """Return the tokens of a prompt and its answer; see :meth:`ServedTokens.tokens`."""
        return self._tokens.tokens(item)

    def run(self, tokens: Sequence[int], domain: str) -> None:
        """Run a sequence; of a mixture with an expert for each domain, with that of ``domain``."""
        cache = self._network.new_cache(domain)
        try:
            self._network.forward(tokens, cache)
        finally:
            self._network.free(cache)
