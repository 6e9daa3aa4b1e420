"""The probability that an answer from documents is right: weights fitted for one language model.

A logistic regression on a few numbers that are known once an answer is written: how much the model
doubted what it read, whether it says the same after reading more, and how well the passages cover
question and answer (``expertrag.answer.confidence``).

FOLDER/confidence.json   the weights, the model that they belong to, and how they were fitted
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag_retriever import checksums
from expertrag_retriever.gate.odds import logistic

_FILE = "confidence.json"


@dataclass(frozen=True, slots=True)
class ConfidenceOwner:
    """What the weights belong to: the model's files, its prompts with passages, and its probe."""

    generator: str
    fingerprint: str
    prompts: str
    probe: str


@dataclass(frozen=True, slots=True)
class Confidence:
    """Fitted weights by signal.

    ``warn_below``: probability below which an answer is to be checked. ``strict_from``: probability
    from which STRICT gives it. ``internal_from``: the same for AUTO, and questions that only the
    documents can answer.
    """

    weights: Mapping[str, float]
    bias: float
    warn_below: float
    strict_from: float
    internal_from: float
    owner: ConfidenceOwner

    def probability(self, signals: Mapping[str, float]) -> float:
        """Return the probability that an answer is right.

        :param signals: as of :func:`expertrag.answer.confidence.signals_of`.
        """
        terms = (weight * signals[name] for name, weight in self.weights.items())
        return float(logistic(math.fsum(terms) + self.bias))


def save_confidence(
    confidence: Confidence, training: Mapping[str, Any], card: str, folder: Path
) -> None:
    """Write fitted weights into an existing folder."""
    body = {**asdict(confidence), "training": dict(training)}
    (folder / _FILE).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    checksums.seal(folder, _FILE)
    (folder / "README.md").write_text(card, encoding="utf-8")


def load_confidence(folder: Path) -> Confidence:
    """Read fitted weights.

    :raises InvalidArgument: the folder has none.
    :raises ServerError: it is damaged.
    """
    if not (folder / _FILE).is_file():
        raise InvalidArgument(f"confidence: {folder} has no {_FILE}")
    try:
        checksums.verify(folder)
        body = json.loads((folder / _FILE).read_bytes())
        del body["training"]
        return Confidence(**{**body, "owner": ConfidenceOwner(**body["owner"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServerError(
            f"the weights in {folder} are damaged ({checksums.first_line(error)}): install the "
            "package again",
            reason="MODEL_DAMAGED",
        ) from error
