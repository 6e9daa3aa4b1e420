"""A model that runs prompts as the server does, in transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expertrag.api.errors import InvalidArgument
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.backends.transformers_network import TransformersNetwork
from expertrag.llm.convert.dense import Dense
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.network import Limits
from expertrag_index.types import Progress
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.traffic import ServedTokens, TrafficPrompt


class ServedModel:
    """A loaded model, the tokens that it runs for a prompt, and how it runs them."""

    def __init__(self, loaded: Mixture | Dense, identity: str, most_tokens: int) -> None:
        """Take a model.

        :param identity: its fingerprint.
        :param most_tokens: of an answer.
        """
        self.name = loaded.name
        limits = Limits.of(loaded.model, loaded.tokenizer)
        self._network = TransformersNetwork(loaded.model, limits)
        self.context_tokens = limits.context_tokens
        chat = ChatTokenizer(loaded.tokenizer)
        generator = TransformersGenerator(loaded.name, identity, self._network, chat)
        self._tokens = ServedTokens(generator, chat, most_tokens)

    def tokens(self, item: TrafficPrompt) -> list[int]:
        """See :meth:`ServedTokens.tokens`."""
        return self._tokens.tokens(item)

    def fitting(
        self, traffic: Sequence[TrafficPrompt], progress: Progress
    ) -> Iterator[tuple[int, list[int]]]:
        """Yield the tokens of each prompt that fits the context, by its place."""
        for place, item in enumerate(traffic):
            progress("tokens of prompts", place, len(traffic))
            try:
                yield place, self.tokens(item)
            except InvalidArgument:
                continue
        progress("tokens of prompts", len(traffic), len(traffic))

    def run(self, tokens: Sequence[int], domain: str) -> None:
        """Run a sequence, with the expert of ``domain`` if each domain has one."""
        cache = self._network.new_cache(self._network.make_policy(domain))
        try:
            self._network.forward(tokens, cache)
        finally:
            self._network.free(cache)
