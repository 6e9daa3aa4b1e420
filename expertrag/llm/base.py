"""The seam between the pipeline and a language model.

A ``Generator`` opens a ``Session`` per prompt. A session's prefill happens once: ``peek`` reads
the gate's signals from it, and ``stream`` goes on from where ``peek`` stopped, so an answer that
is given closed book costs no second pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from expertrag.api.types import DeltaEvent, FinishReason, Sampling
from expertrag_retriever.types import PrefillSignals

if TYPE_CHECKING:
    from expertrag.llm.probe import Probe
    from expertrag.llm.reading import Reading
    from expertrag.llm.watching import Watched

BASE = "base"
"""Expert of a mixture that answers closed book: of a reader, the model that it is made of, bit for
bit. Nothing else is answered by it."""

ShouldStop = Callable[[], None]
"""Called before a prefill and between decode steps; raises to end the work."""


def never_stop() -> None:
    """Let the work run to its end."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class Session(ABC):
    """One prompt being answered. Not thread-safe; close it to free its cache."""

    lm_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, those that were not computed, as an earlier text begins alike."""
    completion_tokens: int = 0
    finish_reason: FinishReason = FinishReason.STOP
    doubt: float | None = None
    """Probability that no passage holds the answer, once a token is drawn: by a probe, or by the
    probability with which ``prompt.NOT_FOUND`` begins a reader's reply. None of any other model,
    without passages, and of an answer from two prompts."""

    @abstractmethod
    def peek(self, tokens: int) -> PrefillSignals | None:
        """Prefill, draw up to ``tokens`` tokens and tell how sure the model was.

        None when the back end does not expose token probabilities. The drawn tokens are the
        first ones that ``deltas`` yields.
        """
        ...

    def look(self) -> float | None:
        """Read the prompt to its end and return ``doubt``; None where there is none."""
        return self.doubt

    @abstractmethod
    def deltas(self) -> Iterator[DeltaEvent]:
        """Yield the answer's text piece by piece, whole characters only, until it ends.

        Log probabilities come with the piece that their token ends in; where a stop string cuts a
        token, in a last piece that may have no text. ``finish_reason`` and ``completion_tokens``
        hold once the iterator is exhausted.
        """
        ...

    def stream(self) -> Iterator[str]:
        """Yield the text of ``deltas`` alone."""
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
    """Names of the experts of a mixture that is routed by text, "general" among them; else none."""
    reader: bool = False
    """Whether what it says of passages is served as a ``prompt.Reply``: it was trained to reply so,
    or is of a family that reads well without."""
    strict_from: float = 0.5
    """Doubt from which STRICT withholds an answer."""
    probe: str = ""
    """Hash of the probe that tells its sessions' doubt, if one does."""
    best_first: bool = False
    """Whether it is shown passages one at a time, the best first, and all of them where none is
    likely to hold the answer, where a few words are asked for; else all of them at once."""
    family: str = "plain"
    """Which prompts with passages it is given: a name of ``prompt.FAMILIES``."""

    @property
    def white_box(self) -> WhiteBox | None:
        """What a model in this process can do besides; None of one behind a server."""
        return None

    def counters(self) -> Mapping[str, int]:
        """Return what was done since the start, by name; nothing if the back end does not count."""
        return {}

    def check(self, sampling: Sampling) -> None:  # noqa: B027 - a server checks for itself
        """Refuse what can be known to be impossible, before there is a prompt.

        :raises InvalidArgument: the constraint cannot be obeyed.
        """

    @abstractmethod
    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length of the prompt in tokens, chat template included."""
        ...

    @abstractmethod
    def begin(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        should_stop: ShouldStop = never_stop,
        domain: str | None = None,
        *,
        from_passages: bool = False,
    ) -> Session:
        """Open a session; work starts with ``peek`` or ``deltas``.

        :param domain: one of ``experts``, which answers from passages; any other is the general
            one's. Closed book ``BASE`` answers, where there is that expert.
        :param from_passages: whether the prompt is one of ``prompt.open_book``, so that a reader
            may abstain.
        :raises InvalidArgument: if the prompt and ``max_tokens`` exceed ``context_tokens``, or the
            constraint cannot be obeyed.
        """
        ...


class WhiteBox(Protocol):
    """White-box access: what takes the logits and hidden states of a model in this process."""

    name: str
    fingerprint: str
    reader: bool
    family: str

    def begin_mixed(
        self,
        messages: Sequence[Message],
        others: Sequence[Message],
        weight: float,
        sampling: Sampling,
        should_stop: ShouldStop = never_stop,
        domain: str | None = None,
    ) -> Session:
        """Open a session that draws one answer from two prompts.

        :param messages: the prompt that shows passages.
        :param others: the closed-book one.
        :param weight: of ``messages``, in (0, 1); the rest is that of ``others``.
        :raises InvalidArgument: as :meth:`Generator.begin` does.
        """
        ...

    def read(
        self,
        items: Sequence[tuple[Sequence[Message], str]],
        domain: str | None = None,
        *,
        from_passages: bool = False,
    ) -> Iterator[tuple[int, Reading]]:
        """Read texts as answers to prompts; yields (place, reading) as they come, short first.

        :param domain: whose expert reads, as in :meth:`Generator.begin`.
        :param from_passages: whether the prompts show passages, all of them.
        """
        ...

    def watch(self, messages: Sequence[Message]) -> tuple[Watched, float]:
        """Read a reader's prompt.

        :returns: its hidden states, and the probability that ``prompt.NOT_FOUND`` begins the reply.
        """
        ...

    def probe_with(self, probe: Probe) -> None:
        """Let a probe tell from now on whether passages hold the answer, and abstain by it.

        :raises Conflict: it is one of another model, or of a model with other prompts.
        """
        ...
