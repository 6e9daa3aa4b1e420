"""A text of the engine, and what its session gets to see."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field

import torch

from expertrag.llm.certainty import Certainty
from expertrag.llm.engine.lookup import Lookup
from expertrag.llm.engine.pages import ROOT
from expertrag.llm.logprobs import Ranked
from expertrag.llm.sampling import Sampler


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token that was drawn, and what the model thought of it where that was asked for."""

    token: int
    certainty: Certainty | None = None
    ranked: Ranked | None = None
    last: bool = False
    """Whether the text's constraint lets nothing follow."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was asked of the last rows: logits (N, V), and what the decoder keeps of each (N, …)."""

    logits: torch.Tensor
    kept: list[torch.Tensor]


@dataclass(slots=True, eq=False)
class Text:
    """A prompt and what was drawn after it. Made by the engine; sessions hold it as a handle."""

    tokens: list[int]
    sampler: Sampler | None = None
    end_tokens: frozenset[int] = frozenset()
    expert: int = -1
    """Of all its tokens, whatever routers say; negative for what they say."""
    allowed: int = 0
    """How many tokens may be drawn before the session asks for more."""
    sure: bool = False
    """Tell how sure the model is of each token."""
    logprobs: int | None = None
    """Tell the log probability of each token, and of so many others."""
    asked: int = 0
    """Rows whose logits are asked for, the last ones; 0 where tokens are drawn."""
    watched: int = 0
    """Rows of which more is to be seen, the last ones; they are in one step."""
    results: queue.SimpleQueue[Drawn | Looked | Exception] = field(
        default_factory=queue.SimpleQueue
    )
    drawn: int = 0
    computed: int = 0
    reused: int = 0
    """Tokens of the prompt whose keys and values an earlier text had left."""
    closed: bool = False
    pages: list[int] = field(default_factory=list)
    serial: int = ROOT
    registered: int = 0
    lookup: Lookup = field(default_factory=Lookup)

    @property
    def runs(self) -> bool:
        """Whether there is something to compute."""
        return self.asked > 0 or self.drawn < self.allowed
