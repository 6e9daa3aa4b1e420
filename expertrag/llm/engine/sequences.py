"""The state of one sequence in the engine, and the outputs that its session receives."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import torch

from expertrag.llm.certainty import Certainty
from expertrag.llm.engine.drafts import PromptLookup
from expertrag.llm.engine.page_pool import Before
from expertrag.llm.logprobs import Ranked
from expertrag.llm.sampling import Sampler
from expertrag.llm.sequence_policy import ROOT, SequencePolicy
from expertrag_kernels.residency import ExpertReads
from expertrag_kernels.steps import PAGE_TOKENS

if TYPE_CHECKING:
    from expertrag.llm.engine.drawing import Drawing


@dataclass(slots=True)
class Counters:
    """What an engine has done since it started."""

    steps: int = 0
    rows: int = 0
    prefill_tokens: int = 0
    """Tokens of prompts, and of preempted sequences that were recomputed."""
    cached_tokens: int = 0
    """Prompt tokens found in the cache (prefix caching), not computed."""
    draft_tokens: int = 0
    accepted_tokens: int = 0
    preemptions: int = 0

    def differences(self) -> Iterator[str]:
        """Yield which counters contradict each other, in words."""
        if min(asdict(self).values()) < 0:
            yield "a counter is negative"
        if self.accepted_tokens > self.draft_tokens or self.steps > self.rows:
            yield "more tokens were accepted than drafted, or more steps run than rows"


@dataclass(frozen=True, slots=True)
class SampledToken:
    """A sampled token, with the model's certainty and log probabilities where requested."""

    token: int
    certainty: Certainty | None = None
    ranked: Ranked | None = None
    last: bool = False
    """Whether it ends the sequence: an end token, or a constraint that lets nothing follow."""


@dataclass(frozen=True, slots=True)
class PrefillOutput:
    """Logits (N, V) of the last N rows, and the hidden values that the decoder keeps of each."""

    logits: torch.Tensor
    states: list[torch.Tensor]


class Status(Enum):
    """What can happen to a sequence next."""

    PAUSING = "pausing"
    """Its session has requested nothing that it does not have."""
    PREFILLING = "prefilling"
    """A step computes tokens of its prompt, or all of them again after a preemption."""
    DECODING = "decoding"
    """A step computes its last token, from which the next one is sampled."""
    DRAWING = "drawing"
    """The rows of its last step wait for its constraint."""
    CLOSED = "closed"
    """The next step frees its pages."""


@dataclass(slots=True, eq=False)
class SequenceState:
    """A prompt and the tokens generated after it. Sessions hold it as a handle."""

    tokens: list[int]
    sampler: Sampler | None = None
    end_tokens: frozenset[int] = frozenset()
    policy: SequencePolicy = field(default_factory=SequencePolicy)
    """How its tokens are computed, and the root of its prefixes in the cache."""
    token_budget: int = 0
    """Tokens that may be generated before the session requests more."""
    return_certainty: bool = False
    logprobs: int | None = None
    """Return the log probability of each token, and of this many alternatives."""
    logit_rows: int = 0
    """Number of last rows whose logits are returned; 0 while the sequence samples."""
    state_rows: int = 0
    """Number of last rows whose hidden values are returned; they run in one step."""
    outputs: queue.SimpleQueue[SampledToken | PrefillOutput | Exception] = field(
        default_factory=queue.SimpleQueue
    )
    generated: int = 0
    computed: int = 0
    """Tokens whose keys and values are in the cache."""
    cached: int = 0
    """Prompt tokens whose keys and values an earlier sequence had computed."""
    expert_reads: ExpertReads = field(default_factory=ExpertReads)
    """What the steps with rows of it have read of experts that are not all in memory."""
    closed: bool = False
    pages: list[int] = field(default_factory=list)
    serial: Before = ROOT
    registered: int = 0
    """Full pages that later sequences can share."""
    released: int = 0
    """First pages that the sequence no longer holds, as they are before every window."""
    lookup: PromptLookup = field(default_factory=PromptLookup)
    forced: list[int] = field(default_factory=list)
    """Tokens that a constraint or an abstention lets follow, and no others."""
    drawing: Drawing | None = None
    """The rows of the last step that wait for the sequence's constraint."""
    error: Exception | None = None
    """Why the engine has closed the sequence."""
    weak: WeakSequence | None = None
    """The weak side of contrastive decoding, which follows this sequence token by token."""

    @property
    def status(self) -> Status:
        """What can happen to the sequence next."""
        if self.closed:
            return Status.CLOSED
        if self.drawing is not None:
            return Status.DRAWING
        if not self.logit_rows and self.generated >= self.token_budget:
            return Status.PAUSING
        if self.tokens_to_compute != 1:
            return Status.PREFILLING
        if self.weak is not None and self.weak.tokens_to_compute != 1:
            return Status.PREFILLING
        return Status.DECODING

    @property
    def runnable(self) -> bool:
        """Whether a step can have rows of it."""
        return self.status in (Status.PREFILLING, Status.DECODING)

    @property
    def tokens_to_compute(self) -> int:
        """Number of tokens whose keys and values are not in the cache."""
        return len(self.tokens) - self.computed

    @property
    def tail(self) -> int:
        """Number of last tokens that run in one step, because their rows are returned together."""
        return max(self.logit_rows, self.state_rows, 1)

    def draft(self, limit: int) -> list[int]:
        """Propose up to ``limit`` next tokens: the forced ones, else from the prompt lookup.

        The last token of the budget is sampled, and nothing follows it.
        """
        limit = min(limit, self.token_budget - self.generated - 1)
        if limit <= 0:
            return []
        return self.forced[:limit] or self.lookup.propose(self.tokens, limit)

    def forget_pages(self) -> None:
        """Start from the first token again, with no page."""
        self.pages = []
        self.computed = self.registered = self.released = 0
        self.serial = self.policy.root

    def room(self, generated: int) -> int:
        """Tokens of the pages that it needs to generate so many tokens, its weak side included."""
        tokens = len(self.tokens) + generated
        if self.weak is None:
            return tokens
        shared = self.weak.shared_tokens // PAGE_TOKENS * PAGE_TOKENS
        beside = len(self.weak.tokens) + generated - shared
        return sum(-(-side // PAGE_TOKENS) for side in (tokens, beside)) * PAGE_TOKENS


@dataclass(slots=True, eq=False)
class WeakSequence(SequenceState):
    """The weak side of a sequence: the same model with another routing, expert or prompt.

    The strong side samples; this one gets its tokens.
    """

    shared_tokens: int = 0
    """Tokens at the beginning of the strong side whose keys and values it reads as well; 0 for a
    prompt of its own."""
