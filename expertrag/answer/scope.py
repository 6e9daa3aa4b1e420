"""Recognise what a question asks of the documents: one fact, a list, a count, a summary, ...

A multinomial logistic regression over hashed words and character n-grams. It is fitted in the lab
on questions in English, German, French and Spanish, with and without typing errors. It has no rules
of any language. ``make lab-scope`` fits the weights in ``models/bundles/scope``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from expertrag.answer.scope_features import letter_buckets, word_buckets, words_of
from expertrag_common import checksums
from expertrag_index.types import FloatArray
from expertrag_retriever.types import QuestionScope

BUNDLE = "scope"
WEIGHTS = "scope.npz"
ABOUT = "scope.json"
SCOPES = tuple(QuestionScope)
OTHERS = tuple(scope for scope in SCOPES if scope is not QuestionScope.LOOKUP)
SETS = frozenset(
    {QuestionScope.LIST, QuestionScope.COUNT, QuestionScope.AGGREGATE, QuestionScope.EXISTS}
)
"""Scopes whose answer depends on every document that matches, not on the best passages."""


@dataclass(frozen=True, slots=True)
class ScopeProbabilities:
    """The probability of each scope; they sum to 1.

    ``bounds``: the probability from which a scope other than LOOKUP is accepted, by scope. A bound
    can be below one half: it is chosen so that few lookups are taken for the scope.
    ``p_calculation``: the probability that the answer is calculated from numbers of the documents,
    such as a percentage change; 0 without a probe.
    """

    probabilities: Mapping[QuestionScope, float]
    bounds: Mapping[QuestionScope, float]
    p_calculation: float = 0.0

    @property
    def likeliest(self) -> QuestionScope:
        """The scope with the highest probability."""
        return max(SCOPES, key=self.probabilities.__getitem__)

    @property
    def probability(self) -> float:
        """The probability of the likeliest scope."""
        return self.probabilities[self.likeliest]

    @property
    def accepted(self) -> QuestionScope:
        """The likeliest scope other than LOOKUP, or LOOKUP if it does not reach its bound."""
        likeliest = max(OTHERS, key=self.probabilities.__getitem__)
        sure = self.probabilities[likeliest] >= self.bounds[likeliest]
        return likeliest if sure else QuestionScope.LOOKUP


class ScopeWeights(NamedTuple):
    """Quantised weights of the logistic regression.

    C scopes in the order of ``SCOPES``, B buckets.
    """

    weights: NDArray[np.int8]  # [B, C]
    scales: FloatArray  # [C], the value of one step of a weight
    bias: FloatArray  # [C]
    bounds: Mapping[QuestionScope, float]


def recognise_scope(question: str) -> ScopeProbabilities:
    """Return the probability of each scope for a question that stands alone, in under 1 ms."""
    fitted = load_shipped_weights()
    return ScopeProbabilities(
        dict(zip(SCOPES, probabilities(fitted, question), strict=True)), fitted.bounds
    )


def is_set(scope: QuestionScope) -> bool:
    """Return whether a scope's answer depends on every document that matches."""
    return scope in SETS


def probabilities(fitted: ScopeWeights, question: str) -> list[float]:
    """Return the probabilities of a question, [C]."""
    odds = fitted.bias.copy()
    words = words_of(question)
    for buckets in (word_buckets(words), letter_buckets(words)):
        if buckets:
            summed = fitted.weights[buckets].sum(axis=0, dtype=np.int32)
            odds += summed * fitted.scales / np.sqrt(len(buckets))
    odds -= odds.max()
    shares = np.exp(odds)
    result: list[float] = (shares / shares.sum()).tolist()
    return result


@cache
def load_shipped_weights() -> ScopeWeights:
    """Read the weights that ship in the package, once."""
    from expertrag.models.shipped import bundle_folder

    return read_weights(bundle_folder(BUNDLE))


def read_weights(folder: Path) -> ScopeWeights:
    """Read weights from a folder."""
    checksums.verify(folder)
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    bounds = {QuestionScope(name): float(value) for name, value in about["bounds"].items()}
    with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
        return ScopeWeights(arrays["weights"], arrays["scales"], arrays["bias"], bounds)
