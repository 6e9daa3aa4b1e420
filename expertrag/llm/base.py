"""The interface between the answer pipeline and a language model.

A ``Generator`` opens a ``Session`` per prompt. A session prefills once: ``peek`` returns the gate's
signals from the prefill, and ``stream`` continues where ``peek`` stopped. So a closed-book answer
needs no second pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from expertrag.api.errors import InvalidArgument
from expertrag.api.events import DeltaEvent
from expertrag.api.types import FinishReason, Sampling
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_retriever.types import PrefillSignals

if TYPE_CHECKING:
    from expertrag.llm.adapters.loaded import LoadedAdapters
    from expertrag.llm.expert_pattern import ExpertPattern
    from expertrag.llm.probe import Probe
    from expertrag.llm.scoring import ScoredText
    from expertrag.llm.watching import Watched
    from expertrag.llm.weights import WeightUse
    from expertrag_kernels.router import Router

BASE = "base"
"""Name of the expert that answers closed book, and only that: a reader's base model, bit for
bit."""

SHARED = "shared"
"""Name of the expert for questions of no domain: a reader's adapter that all domains share."""

ShouldStop = Callable[[], None]
"""Called before a prefill and between decode steps; raises to end the work."""


def current_names(experts: Iterable[str]) -> tuple[str, ...]:
    """Return names of experts as of this version; earlier ones wrote "general" for ``SHARED``."""
    return tuple(SHARED if name == "general" else name for name in experts)


def never_stop() -> None:
    """Never stop the work."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """How a model server is doing. ``requests`` and ``failures`` count since the start.

    ``where``: host and port. ``healthy``: it gets requests. ``outstanding``: requests that run.
    """

    where: str
    healthy: bool
    requests: int
    failures: int
    outstanding: int


class Session(ABC):
    """The answer to one prompt. Not thread-safe; close it to free its cache."""

    lm_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that were found in the cache (prefix caching), not computed."""
    completion_tokens: int = 0
    finish_reason: FinishReason = FinishReason.STOP
    doubt: float | None = None
    """Probability that no passage holds the answer, known once a token is sampled. It comes from a
    probe, or from the probability that a reader's reply begins with ``prompt.NOT_FOUND``. None for
    other models, and for prompts without passages."""

    @abstractmethod
    def peek(self, tokens: int) -> PrefillSignals | None:
        """Prefill, sample up to ``tokens`` tokens and return how sure the model was.

        None if the back end does not expose token probabilities. The sampled tokens are the first
        ones that ``deltas`` yields.
        """
        ...

    @property
    def expert_counts(self) -> Mapping[str, int]:
        """What was read of experts that are not all in memory, named as in ``Usage``."""
        return {}

    def look(self) -> float | None:
        """Prefill the prompt and return ``doubt``; None if there is none."""
        return self.doubt

    @abstractmethod
    def deltas(self) -> Iterator[DeltaEvent]:
        """Yield the answer's text piece by piece, whole characters only, until it ends.

        Log probabilities come with the piece in which their token ends. If a stop string cuts a
        token, they come with a last piece that may have no text. ``finish_reason`` and
        ``completion_tokens`` are valid once the iterator is exhausted.
        """
        ...

    def stream(self) -> Iterator[str]:
        """Yield only the text of ``deltas``."""
        return (delta.text for delta in self.deltas() if delta.text)

    @abstractmethod
    def close(self) -> None:
        """Free the cache; safe to call twice."""
        ...


class Generator(ABC):
    """A language model that answers chats. Thread-safe: sessions may run in several threads."""

    name: str
    fingerprint: str
    context_tokens: int
    experts: tuple[str, ...] = ()
    """Experts of a mixture that has one expert per sequence, ``SHARED`` among them; else empty."""
    patterns: tuple[str, ...] = ()
    """Domains that have an expert pattern: routers choose only among its experts."""
    family: str = "plain"
    """Family of its prompts with passages: a key of ``prompt.FAMILIES``."""

    @property
    def white_box(self) -> WhiteBox | None:
        """Access to a model in this process; None for a model on a server."""
        return None

    @property
    def problem(self) -> str:
        """Why the last call of a model server failed, or the engine is stuck; empty if neither."""
        return ""

    @property
    def healthy(self) -> bool:
        """Whether it may answer: False if the model runs in this process, and is stuck."""
        return True

    @property
    def adapters(self) -> LoadedAdapters:
        """The adapters (LoRA) that a request may name.

        :raises InvalidArgument: the model does not run on our engine.
        """
        raise InvalidArgument(
            f"adapter: {self.name} does not run on our engine, which adapters need; serve a model "
            "that does (docs/reference/generation.md), or merge the adapter into its base",
            reason="ADAPTER_UNSUPPORTED",
        )

    def using(self, sampling: Sampling) -> AbstractContextManager[None]:
        """Keep what the prompts of one request use, such as its adapter, until the block ends.

        :raises InvalidArgument: there is no such adapter.
        """
        return self.adapters.hold(sampling.adapter) if sampling.adapter else nullcontext()

    def counters(self) -> Mapping[str, int]:
        """Return counters since the start, by name; empty if the back end does not count."""
        return {}

    def weights(self) -> WeightUse | None:
        """Return what a token uses of the weights; None unless our engine runs the model."""
        return None

    def endpoints(self) -> tuple[EndpointStatus, ...]:
        """Return the servers of the model and how they do; none if it runs in this process."""
        return ()

    def reset_prefix_cache(self) -> None:  # noqa: B027 - a server has its own
        """Forget the prefixes of earlier prompts, so that the next answer computes all of its own.

        For measurements; answers do not change.
        """

    def check(self, sampling: Sampling, should_stop: ShouldStop = never_stop) -> None:
        """Reject a request that cannot succeed, before there is a prompt.

        :param should_stop: called while a constraint compiles.
        :raises InvalidArgument: the constraint cannot be enforced, there is no such adapter, or the
            model cannot follow ``routing`` or ``contrast``.
        """
        if sampling.adapter:
            self.adapters.check(sampling.adapter)

    @abstractmethod
    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length of the prompt in tokens, chat template included."""
        ...

    def make_policy(
        self, sampling: Sampling, domain: str | None = None, salt: str = ""
    ) -> SequencePolicy:
        """Return how the sequences of a request are computed, and who may share their prefixes.

        Nothing else reads ``routing`` and ``adapter`` of a request, its domain and its caller. A
        model on a server computes as it likes, and has a cache of its own.

        :param domain: name of the expert in ``experts`` that answers from passages; any other name
            selects ``SHARED``. A model with the expert ``BASE`` uses it for closed-book prompts and
            those with an adapter. Of a model with ``patterns``, the name of one of these, with or
            without passages; any other name selects all experts.
        :param salt: the caller's; prompts with another salt share no cached prefix.
        :raises InvalidArgument: there is no such adapter.
        """
        return SequencePolicy(salt=salt)

    @abstractmethod
    def begin(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        should_stop: ShouldStop = never_stop,
        policy: SequencePolicy | None = None,
        *,
        from_passages: bool = False,
        without_passages: Sequence[Message] | None = None,
    ) -> Session:
        """Open a session; work starts with ``peek`` or ``deltas``.

        :param policy: of the request, from :meth:`make_policy`; None to make it from ``sampling``.
        :param from_passages: whether the prompt comes from ``prompt.open_book``, so that a reader
            may abstain.
        :param without_passages: the same prompt without passages, for ``WeakSide.NO_PASSAGES``.
        :raises InvalidArgument: if the prompt and ``max_tokens`` exceed ``context_tokens``, the
            constraint cannot be enforced, there is no such adapter, or the model cannot follow
            ``routing`` or ``contrast``.
        """
        ...


class WhiteBox(Protocol):
    """White-box access to the logits and hidden states of a model in this process."""

    name: str
    fingerprint: str
    family: str
    reader: bool
    """Whether its answers from passages are a ``prompt.Reply``: it was trained to reply so, or
    belongs to a family that reads well without training."""
    strict_from: float
    """Doubt at which STRICT withholds an answer."""
    probe: str
    """Hash of the probe that computes its sessions' doubt; empty if there is none."""

    def read(
        self,
        items: Sequence[tuple[Sequence[Message], str]],
        policy: SequencePolicy | None = None,
        *,
        from_passages: bool = False,
    ) -> Iterator[tuple[int, ScoredText]]:
        """Score texts as answers to prompts; yields (index, reading), shortest first.

        :param policy: from :meth:`Generator.make_policy`; it routes as the model does.
        :param from_passages: whether all of the prompts show passages.
        """
        ...

    def watch(self, messages: Sequence[Message]) -> tuple[Watched, float]:
        """Prefill a reader's prompt.

        :returns: its hidden states, and the probability that the reply begins with
            ``prompt.NOT_FOUND``.
        """
        ...

    @property
    def token_routers(self) -> Sequence[Router]:
        """The routers that choose experts by token, in the order of the layers.

        :raises InvalidArgument: there are none, or the model does not run on our engine.
        """
        ...

    def use_patterns(self, patterns: Mapping[str, ExpertPattern]) -> None:
        """Answer prompts of these domains with the experts of their patterns, from now on.

        The fingerprint becomes another, since answers do.

        :raises InvalidArgument: see :attr:`token_routers`.
        """
        ...

    def probe_with(self, probe: Probe) -> None:
        """Use a probe for doubt and abstention from now on.

        :raises Conflict: the probe belongs to another model, or to a model with other prompts.
        """
        ...
