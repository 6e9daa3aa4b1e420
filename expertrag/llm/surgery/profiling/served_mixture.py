"""A mixture in transformers that runs prompts as the server does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from expertrag.api.errors import InvalidArgument
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.backends.transformers_network import TransformersNetwork
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.network import Limits
from expertrag.llm.surgery.mixture import Mixture
from expertrag.llm.surgery.profiling.traffic import ServedTokens, TrafficPrompt
from expertrag_index.durable import write_durably
from expertrag_index.types import Progress


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


def kept_sequences(
    served: ServedMixture,
    traffic: Sequence[TrafficPrompt],
    kept: Path,
    least: int,
    progress: Progress,
) -> list[list[int]]:
    """Return the tokens of the prompts that fit; a killed run has those of before in a file.

    :param kept: the file, which is written when all are known.
    :param least: prompts that are needed.
    :raises InvalidArgument: there are fewer.
    """
    if kept.is_file():
        found: list[list[int]] = json.loads(kept.read_bytes())
        return found
    found = []
    for done, item in enumerate(traffic):
        progress("compress: prompts", done, len(traffic))
        try:
            found.append(served.tokens(item))
        except InvalidArgument:  # it does not fit the context
            continue
    progress("compress: prompts", len(traffic), len(traffic))
    if len(found) < least:
        raise InvalidArgument(
            f"{len(found)} of {len(traffic)} prompts fit the {served.context_tokens:,} tokens of "
            f"{served.mixture.name}'s context, and {least} are needed: give more prompts, or lower "
            "--most-tokens"
        )
    write_durably(kept, json.dumps(found).encode())
    return found
