"""Sample tokens, and measure how sure the model was about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from expertrag.api.contrast import Contrast
from expertrag.api.types import Sampling
from expertrag.llm.certainty import Certainty
from expertrag.llm.constraints import Matcher
from expertrag.llm.contrast import apply_contrast
from expertrag.llm.probe import Probe
from expertrag.llm.prompt import ABSTAINS_FROM, UNSCALED, Doubt

FREQUENCY_PENALTY = 0.7
"""Default: the smallest value at which SmolLM2-135M seldom loops, without losing right answers."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """The tokens of a reader's abstention, and how the probability of the first is calibrated.

    ``decides``: whether that probability decides on abstention; otherwise it is only reported as
    doubt. ``probe``: if there is one, it computes the doubt and decides instead.
    """

    tokens: tuple[int, ...]
    doubt: Doubt = UNSCALED
    decides: bool = True
    probe: Probe | None = None


class Sampler:
    """Samples one token at a time; greedy at temperature 0. Each session has its own.

    Before each draw, a token's logit is lowered by ``frequency_penalty`` times the number of its
    earlier draws (OpenAI's definition; the prompt does not count). A matcher follows the draws and
    masks the tokens that its constraint forbids. Of the tokens that are left, the most likely ones
    whose probabilities sum to ``top_p`` are sampled.

    ``abstention``: what a reader abstains with. The first draw decides whether it does, by its
    calibrated probability ``doubt``, whatever the temperature; not with a matcher, whose constraint
    decides, nor with a probe, where the session decides.

    ``contrast``: how the logits of a weak side are subtracted, before all of this but the decision.
    """

    def __init__(
        self,
        temperature: float,
        seed: int,
        device: torch.device,
        *,
        top_p: float = 1.0,
        frequency_penalty: float = 0.0,
        matcher: Matcher | None = None,
        abstention: Abstention | None = None,
        contrast: Contrast | None = None,
    ) -> None:
        self.doubt: float | None = None
        # a probe decides before anything is sampled: the session handles it
        self._abstention = None if abstention and abstention.probe else abstention
        self._saying: list[int] = []  # remaining tokens of an abstention
        # Below float32's least normal number, logits would be divided by zero.
        self._temperature = temperature and max(temperature, torch.finfo(torch.float32).tiny)
        self._top_p = top_p
        self._matcher = matcher
        self._contrast = contrast
        self._frequency_penalty = frequency_penalty
        self._counts: Counter[int] = Counter()
        # torch takes 64-bit seeds; callers may pass any integer, negative ones included.
        self._generator = torch.Generator(device).manual_seed(seed % 2**63)

    @classmethod
    def of(
        cls,
        sampling: Sampling,
        device: torch.device,
        matcher: Matcher | None = None,
        abstention: Abstention | None = None,
    ) -> Sampler:
        """Make the sampler for a request."""
        penalty = sampling.frequency_penalty
        return cls(
            sampling.temperature,
            sampling.seed,
            device,
            top_p=sampling.top_p,
            frequency_penalty=FREQUENCY_PENALTY if penalty is None else penalty,
            matcher=matcher,
            abstention=abstention,
            contrast=sampling.contrast,
        )

    @property
    def ready(self) -> bool:
        """Whether its constraint has followed the last draw, so that all members are valid."""
        return self._matcher is None or self._matcher.ready

    @property
    def slow(self) -> bool:
        """Whether it is probably not ready soon."""
        return self._matcher is not None and self._matcher.slow

    def wait(self, seconds: float) -> None:
        """Wait until it is ready, so long at most."""
        if self._matcher is not None:
            self._matcher.wait(seconds)

    def close(self) -> None:
        """End the process of its constraint; safe to call twice, and from any thread."""
        if self._matcher is not None:
            self._matcher.close()

    @property
    def complete(self) -> bool:
        """Whether only the end of the sequence may follow."""
        return self._matcher is not None and self._matcher.complete

    def find_forced(self) -> list[int]:
        """Return the tokens that must be sampled next, if any."""
        return self._matcher.find_forced() if self._matcher else list(self._saying)

    def draw(self, logits: torch.Tensor, weak_logits: torch.Tensor | None = None) -> int:
        """Sample the id of the next token from its logits (V,), which are not modified.

        :param weak_logits: (V,), of the weak side of a contrast.
        :raises InvalidArgument: the constraint cannot be satisfied any more.
        """
        logits = self._decide(logits)
        if weak_logits is not None and self._contrast:
            logits = apply_contrast(logits, weak_logits, self._contrast)
        if self._saying:
            token = self._saying.pop(0)
        else:
            token = self._choose(self._mask(self._penalize(logits)))
        self._counts[token] += 1
        if self._matcher:
            self._matcher.consume(token)
        return token

    def _decide(self, logits: torch.Tensor) -> torch.Tensor:
        """Decide on abstention at the first draw: emit all of it, or mask its first token."""
        if self._abstention is None or self._counts:
            return logits
        first = self._abstention.tokens[0]
        probability = float(logits.float().softmax(-1)[first])
        self.doubt = self._abstention.doubt.calibrate(probability)
        if self._matcher or not self._abstention.decides:
            return logits
        if self.doubt >= ABSTAINS_FROM:
            self._saying = list(self._abstention.tokens)
            return logits
        others = logits.clone()
        others[first] = -torch.inf
        return others

    def _mask(self, logits: torch.Tensor) -> torch.Tensor:
        if not self._matcher:
            return logits
        allowed = self._matcher.find_allowed(len(logits)).to(logits.device)
        return logits.masked_fill(~allowed, -torch.inf)

    def _penalize(self, logits: torch.Tensor) -> torch.Tensor:
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
        # Shift before dividing, so that no temperature overflows, however small.
        scaled = (logits.float() - logits.max()) / self._temperature
        probabilities = scaled.softmax(-1)
        if self._top_p < 1:
            probabilities = nucleus(probabilities, self._top_p)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Return the probabilities (V,) with 0 for all but the fewest largest that sum to ``top_p``.

    The largest stays, whatever ``top_p``; the result does not sum to 1.
    """
    largest, tokens = probabilities.sort(descending=True, stable=True)
    before = largest.cumsum(0) - largest
    cut = tokens[1:][before[1:] >= top_p]
    return probabilities.index_fill(0, cut, 0.0)


def certainty(logits: torch.Tensor) -> Certainty:
    """Measure how sure the model was of a token, from its logits (V,)."""
    first, second = logits.float().softmax(-1).topk(2).values.tolist()
    return Certainty(first - second, float(entropy(logits)), first)


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Return the entropy in nats over the last dimension, with p log p = 0 at p = 0."""
    terms: torch.Tensor = torch.special.entr(logits.float().softmax(-1))
    return terms.sum(-1)
