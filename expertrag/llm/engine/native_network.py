"""A model on an engine of our own: the same passes as transformers makes, batched with others'."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch

from expertrag.llm.base import never_stop
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import Lowered
from expertrag.llm.engine.texts import Looked, Text
from expertrag.llm.network import Limits, Network, Step
from expertrag.llm.reading import Reading
from expertrag.llm.watching import ROUTER_TOKENS, Watched, watched_of
from expertrag_retriever.cores import available_cores

_MOST_OPEN = 16  # texts that are read at a time


@dataclass(frozen=True, slots=True)
class CacheRoom:
    """Memory for keys and values: the most, and what stays when no text needs it."""

    bytes: int
    kept_bytes: int


class NativeNetwork(Network):
    """A lowered model, its limits, and the engine that runs it."""

    def __init__(self, lowered: Lowered, limits: Limits, kept_bytes: int | None = None) -> None:
        self.device = lowered.decoder.device
        # all cores, where torch has half of them: its steps serve all texts at once
        self.engine = Engine(lowered.decoder, threads=available_cores(), kept_bytes=kept_bytes)
        self.context_tokens = min(limits.context_tokens, self.engine.most_tokens)
        self._cut = self.context_tokens < limits.context_tokens
        self.limits = limits
        self.end_tokens = limits.end_tokens
        self._lowered = lowered
        weakref.finalize(self, self.engine.stop)

    @property
    def limit(self) -> str:
        """See :attr:`Network.limit`."""
        if self._cut:
            return f"the {self.context_tokens} that the cache holds (--cache-mib gives it more)"
        return f"the model's {self.context_tokens}"

    def counters(self) -> Mapping[str, int]:
        """See :meth:`Network.counters` and :class:`expertrag.llm.engine.engine.Counters`."""
        return asdict(self.engine.counters)

    def new_cache(self, domain: str | None = None) -> Text:
        """Return an empty text, for :meth:`forward`."""
        text = Text([], expert=self.limits.expert_of(domain))
        self.engine.submit(text)
        return text

    def free(self, cache: Text) -> None:
        """End a text."""
        self.engine.close(cache)

    def forward(self, tokens: Sequence[int], cache: Text, *, watched: bool = False) -> Step:
        """See :meth:`Network.forward`."""
        rows = min(ROUTER_TOKENS, len(tokens)) if watched else 1
        self.engine.ask(cache, tokens, rows, watched=watched)
        looked = self.engine.result(cache, never_stop)
        assert isinstance(looked, Looked), "it was asked"
        return Step(looked.logits[-1], self.watched(looked) if watched else None)

    def watched(self, looked: Looked) -> Watched:
        """Read what the decoder kept of a prompt's last rows."""
        routers = [looked.kept[place] for place in self._lowered.routers]
        states = [looked.kept[p][-1] for p in (self._lowered.middle, self._lowered.upper)]
        return watched_of(routers, states)

    def read(
        self, items: Sequence[tuple[Sequence[int], Sequence[int]]], domain: str | None = None
    ) -> Iterator[tuple[int, Reading]]:
        """See :meth:`Network.read`; short ones come first."""
        order = sorted(range(len(items)), key=lambda place: sum(map(len, items[place])))
        for start in range(0, len(order), _MOST_OPEN):
            texts = {place: self.new_cache(domain) for place in order[start : start + _MOST_OPEN]}
            try:
                for place, text in texts.items():
                    prompt, continuation = items[place]
                    # the last token's logits say what comes after the end
                    rows = len(continuation) + 1
                    self.engine.ask(text, [*prompt, *continuation], rows, watched=True)
                for place, text in texts.items():
                    looked = self.engine.result(text, never_stop)
                    assert isinstance(looked, Looked), "it was asked"
                    yield place, self._reading(looked, items[place][1])
            finally:
                for text in texts.values():
                    self.free(text)

    def _reading(self, looked: Looked, continuation: Sequence[int]) -> Reading:
        chosen = torch.tensor(continuation)[:, None]
        log_probabilities = looked.logits[:-1].log_softmax(-1).cpu().gather(1, chosen)[:, 0]
        places = self._lowered.middle, self._lowered.upper
        middle, upper = (looked.kept[place][1:].mean(0).cpu() for place in places)
        return Reading(log_probabilities.numpy(), middle.numpy(), upper.numpy())
