"""Draw tokens, and tell how sure the model was about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from expertrag.api.types import Sampling
from expertrag.llm.certainty import Certainty
from expertrag.llm.constraints import Matcher
from expertrag.llm.probe import Probe
from expertrag.llm.prompt import ABSTAINS_FROM, UNSCALED, Doubt

FREQUENCY_PENALTY = 0.7
"""Default: the smallest value at which SmolLM2-135M seldom loops, at no loss of right answers."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """The tokens of a reader's abstention, and how the probability of the first is calibrated.

    ``decides``: whether that probability decides on abstention; else it is only told. ``probe``
    tells the doubt instead, if there is one, and decides.
    """

    tokens: tuple[int, ...]
    doubt: Doubt = UNSCALED
    decides: bool = True
    probe: Probe | None = None


class Sampler:
    """Draws one token at a time; greedy at temperature 0. Each session has its own.

    Before each draw, a token's logit falls by ``frequency_penalty`` times the number of times that
    it was drawn before (OpenAI's definition; the prompt does not count). A matcher, which follows
    the draws, says what may be drawn at all.

    ``abstention`` is what a reader abstains with. Whether it does is decided at the first draw, by
    its calibrated probability, ``doubt``, whatever the temperature; a matcher decides for itself,
    and where there is a probe, the session does.
    """

    def __init__(
        self,
        temperature: float,
        seed: int,
        device: torch.device,
        *,
        frequency_penalty: float = 0.0,
        matcher: Matcher | None = None,
        abstention: Abstention | None = None,
    ) -> None:
        self.doubt: float | None = None
        # a probe tells before anything is drawn: its doubt is the session's
        self._abstention = None if abstention and abstention.probe else abstention
        self._saying: list[int] = []  # what is left to say of an abstention
        self._temperature = temperature
        self._matcher = matcher
        self._frequency_penalty = frequency_penalty
        self._counts: Counter[int] = Counter()
        # Seeds are 64 bits for torch; ours come from anywhere, negative ones included.
        self._generator = torch.Generator(device).manual_seed(seed % 2**63)

    @classmethod
    def of(
        cls,
        sampling: Sampling,
        device: torch.device,
        matcher: Matcher | None = None,
        abstention: Abstention | None = None,
    ) -> Sampler:
        """Make one as a request asks for it."""
        penalty = sampling.frequency_penalty
        return cls(
            sampling.temperature,
            sampling.seed,
            device,
            frequency_penalty=FREQUENCY_PENALTY if penalty is None else penalty,
            matcher=matcher,
            abstention=abstention,
        )

    @property
    def complete(self) -> bool:
        """Whether only the text's end may be drawn."""
        return self._matcher is not None and self._matcher.complete

    def forced(self) -> list[int]:
        """Return tokens that have to be drawn next, if any."""
        return self._matcher.forced() if self._matcher else list(self._saying)

    def draw(self, logits: torch.Tensor) -> int:
        """Return the id of the next token, given its logits (V,), which stay as they are.

        :raises InvalidArgument: the constraint cannot be obeyed any more.
        """
        logits = self._decided(logits)
        if self._saying:
            token = self._saying.pop(0)
        else:
            token = self._choose(self._allowed(self._penalized(logits)))
        self._counts[token] += 1
        if self._matcher:
            self._matcher.consume(token)
        return token

    def _decided(self, logits: torch.Tensor) -> torch.Tensor:
        """Decide on abstention at the first draw: say all of it, or anything else."""
        if self._abstention is None or self._counts:
            return logits
        first = self._abstention.tokens[0]
        probability = float(logits.float().softmax(-1)[first])
        self.doubt = self._abstention.doubt.calibrated(probability)
        if self._matcher or not self._abstention.decides:
            return logits
        if self.doubt >= ABSTAINS_FROM:
            self._saying = list(self._abstention.tokens)
            return logits
        others = logits.clone()
        others[first] = -torch.inf
        return others

    def _allowed(self, logits: torch.Tensor) -> torch.Tensor:
        if not self._matcher:
            return logits
        allowed = self._matcher.allowed(len(logits)).to(logits.device)
        return logits.masked_fill(~allowed, -torch.inf)

    def _penalized(self, logits: torch.Tensor) -> torch.Tensor:
        """Return new logits in float32; in bfloat16, small penalties would be rounded away."""
        if not self._frequency_penalty or not self._counts:
            return logits
        tokens = torch.tensor(list(self._counts), device=logits.device)
        counts = torch.tensor(
            list(self._counts.values()), dtype=torch.float32, device=logits.device
        )
        return logits.float().index_add(0, tokens, counts, alpha=-self._frequency_penalty)

    def _choose(self, logits: torch.Tensor) -> int:
        if self._temperature <= 0:
            return int(logits.argmax())
        # Shifted before it is divided, so that no temperature, however small, overflows.
        scaled = (logits.float() - logits.max()) / self._temperature
        return int(torch.multinomial(scaled.softmax(-1), 1, generator=self._generator))


def certainty(logits: torch.Tensor) -> Certainty:
    """Tell how sure the model was, from the logits (V,) of a token."""
    first, second = logits.float().softmax(-1).topk(2).values.tolist()
    return Certainty(first - second, float(entropy(logits)), first)


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in nats over the last dimension; where p is 0, so is p log p."""
    terms: torch.Tensor = torch.special.entr(logits.float().softmax(-1))
    return terms.sum(-1)
