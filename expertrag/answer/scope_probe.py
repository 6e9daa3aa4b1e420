"""Recognise the scope of a question from the language model's hidden states.

A multinomial logistic regression on the states of the question's closed-book prompt (a linear
probe). The model knows more languages, wordings and typing errors than the regression over words of
``expertrag.answer.scope``. Their errors differ, so both count: the product of the probabilities,
with less weight on words.

FOLDER/probe.json          the model that it belongs to, the bounds, and how it was trained
FOLDER/probe.safetensors   weights and biases
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expertrag.answer.scope import SCOPES, ScopeProbabilities
from expertrag.llm.probe import Probe, concatenate_states, open_probe
from expertrag_retriever.types import QuestionScope

if TYPE_CHECKING:
    from pathlib import Path

    from expertrag.llm.probe import Owner
    from expertrag_index.types import FloatArray


WORDS = 0.35
"""Weight of the log probabilities by words. From .2 to .5, about as many questions are recognised,
of those worded one by one and of eval-many. Without words, .08 fewer of eval-many are."""


@dataclass(frozen=True, slots=True, eq=False)
class ScopeProbe:
    """A fitted probe of C scopes in the order of ``SCOPES``; D is the model's width.

    ``weights`` [C, 2 D], ``bias`` [C]. ``bounds``: as of :class:`ScopeProbabilities`.
    ``calculation``: whether the answer must be calculated.
    """

    weights: FloatArray
    bias: FloatArray
    bounds: Mapping[QuestionScope, float]
    calculation: Probe

    @property
    def owner(self) -> Owner:
        """The language model that it belongs to."""
        return self.calculation.owner

    def recognise(
        self, vectors: Mapping[str, FloatArray], words: ScopeProbabilities
    ) -> ScopeProbabilities:
        """Return the probability of each scope.

        :param vectors: the ``STATES`` of the closed-book prompt's last token.
        :param words: the probability of each scope by the question's words.
        """
        by_words = np.array([[words.probabilities[scope] for scope in SCOPES]], np.float32)
        (values,) = self.predict(concatenate_states(vectors)[None], by_words).tolist()
        p_calculation = self.calculation.probability(vectors)
        return ScopeProbabilities(
            dict(zip(SCOPES, values, strict=True)), self.bounds, p_calculation
        )

    def predict(self, states: FloatArray, words: FloatArray) -> FloatArray:
        """Return the probabilities of questions, [N, C].

        :param states: concatenated, [N, 2 D].
        :param words: the probabilities by words, [N, C].
        """
        odds = states @ self.weights.T + self.bias
        odds += WORDS * np.log(words + np.finfo(np.float32).eps)
        shares = np.exp(odds - odds.max(axis=1, keepdims=True))
        result: FloatArray = shares / shares.sum(axis=1, keepdims=True)
        return result


def load_scope_probe(folder: Path) -> ScopeProbe:
    """Read a probe of scopes.

    :raises InvalidArgument: the folder is not a probe.
    :raises ServerError: it is damaged.
    """
    with open_probe(folder) as files:
        bounds = {
            QuestionScope(name): float(value) for name, value in files.about["bounds"].items()
        }
        arrays = files.arrays
        calculation = Probe(
            arrays["calculation_weights"], float(arrays["calculation_bias"][0]), files.owner
        )
        return ScopeProbe(arrays["weights"], arrays["bias"], bounds, calculation)
