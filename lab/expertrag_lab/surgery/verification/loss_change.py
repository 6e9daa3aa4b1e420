"""How much a mean loss rises from one model to another on the same prompts, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expertrag_lab.metrics.stats import resample_ratios
from expertrag_lab.metrics.types import Estimate

_EDGES = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class LossChange:
    """Mean losses of two models on the same tokens.

    :param before: nats a token; so ``after``.
    :param relative: ``after`` over ``before``, minus one, with the 95 % percentile bootstrap
        interval over prompts (Efron & Tibshirani 1993, section 13.3).
    """

    prompts: int
    tokens: int
    before: float
    after: float
    relative: Estimate


def loss_change(
    before: Sequence[float], after: Sequence[float], tokens: Sequence[int], *, seed: int = 0
) -> LossChange:
    """Compare two models on N prompts.

    :param before: (N,) losses of each prompt, nats, summed over its tokens; so ``after``.
    :param tokens: (N,) tokens of each prompt that the losses are of.
    :raises ValueError: there is no prompt, lengths differ, or the sum before is not above zero.
    """
    pairs = np.array(list(zip(before, after, strict=True)), np.float64)  # [N, 2]
    if len(pairs) != len(tokens) or not len(pairs):
        raise ValueError(f"{len(pairs)} losses and {len(tokens)} numbers of tokens")
    sums = pairs.sum(0)
    if not sums[0] > 0:
        raise ValueError("the loss of the model before is not above zero")
    mean_before, mean_after = (sums / sum(tokens)).tolist()
    relative = _relative(pairs, seed)
    return LossChange(len(pairs), sum(tokens), mean_before, mean_after, relative)


def _relative(pairs: NDArray[np.float64], seed: int) -> Estimate:
    before, after = pairs.sum(0)
    ratios = resample_ratios(pairs[:, ::-1], np.random.default_rng(seed))
    low, high = (np.quantile(ratios, _EDGES) - 1.0).tolist()
    return Estimate(float(after / before) - 1.0, low, high, len(pairs))
