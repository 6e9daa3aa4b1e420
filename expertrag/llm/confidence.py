"""The probability that an answer from documents is right: weights fitted for one language model.

A logistic regression on a few numbers that are known once an answer is written:

- how much the model doubted what it read
- whether it says the same after reading more
- how well the passages cover question and answer (``expertrag.answer.ground``)
- what a linear probe reads off the model's hidden states when it is asked whether its answer is
  right (``prompt.verification``)

FOLDER/confidence.json   the weights, the model that they belong to, and how they were fitted
FOLDER/verifier          the probe; see ``expertrag.llm.probe``
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.llm.probe import Probe, load_probe
from expertrag_common import checksums
from expertrag_retriever.gate.odds import logistic

FILE, VERIFIER = "confidence.json", "verifier"
FIELDS = ("weights", "bias", "warn_below", "strict_from", "internal_from")


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
    documents can answer. ``verifier``: probability that an answer is wrong, of the hidden states of
    ``prompt.verification``.
    """

    weights: Mapping[str, float]
    bias: float
    warn_below: float
    strict_from: float
    internal_from: float
    owner: ConfidenceOwner
    verifier: Probe

    def probability(self, signals: Mapping[str, float]) -> float:
        """Return the probability that an answer is right.

        :param signals: as of :func:`expertrag.answer.ground.signals_of`.
        """
        terms = (weight * signals[name] for name, weight in self.weights.items())
        return float(logistic(math.fsum(terms) + self.bias))


def load_confidence(folder: Path) -> Confidence:
    """Read fitted weights.

    :raises InvalidArgument: the folder has none.
    :raises ServerError: it is damaged.
    """
    if not (folder / FILE).is_file():
        raise InvalidArgument(f"confidence: {folder} has no {FILE}")
    try:
        checksums.verify(folder)
        body = json.loads((folder / FILE).read_bytes())
        fields = {name: body[name] for name in FIELDS}
        owner = ConfidenceOwner(**body["owner"])
        return Confidence(**fields, owner=owner, verifier=load_probe(folder / VERIFIER))
    except (InvalidArgument, OSError, ValueError, KeyError, TypeError) as error:
        raise ServerError(
            f"the weights in {folder} are damaged ({checksums.first_line(error)}): install the "
            "package again",
            reason="MODEL_DAMAGED",
        ) from error
