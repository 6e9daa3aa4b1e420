"""The probability that an answer from documents is right: weights fitted for one language model.

A logistic regression on a few numbers that are known once an answer is written: how much the model
doubted what it read, whether it says the same after reading more, how well the passages cover
question and answer (``expertrag.answer.ground``), and what a linear probe reads off the model's
hidden states when it is asked whether its answer is right (``prompt.verification``).

FOLDER/confidence.json   the weights, the model that they belong to, and how they were fitted
FOLDER/verifier          the probe; see ``expertrag.llm.probe``
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.llm.probe import Probe, load_probe, save_probe
from expertrag_common import checksums
from expertrag_retriever.gate.odds import logistic

_FILE, _VERIFIER = "confidence.json", "verifier"
_FIELDS = ("weights", "bias", "warn_below", "strict_from", "internal_from")
_VERIFIER_CARD = "The probe of the weights in the folder above, whose card describes it.\n"


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


def save_confidence(
    confidence: Confidence, training: Mapping[str, Any], card: str, folder: Path
) -> None:
    """Write fitted weights into an existing folder."""
    body = {name: getattr(confidence, name) for name in _FIELDS}
    body |= {"owner": asdict(confidence.owner), "training": dict(training)}
    (folder / _FILE).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    checksums.seal(folder, _FILE)
    (folder / "README.md").write_text(card, encoding="utf-8")
    verifier = folder / _VERIFIER
    verifier.mkdir(exist_ok=True)
    save_probe(confidence.verifier, {}, _VERIFIER_CARD, verifier)


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
        fields = {name: body[name] for name in _FIELDS}
        owner = ConfidenceOwner(**body["owner"])
        return Confidence(**fields, owner=owner, verifier=load_probe(folder / _VERIFIER))
    except (InvalidArgument, OSError, ValueError, KeyError, TypeError) as error:
        raise ServerError(
            f"the weights in {folder} are damaged ({checksums.first_line(error)}): install the "
            "package again",
            reason="MODEL_DAMAGED",
        ) from error
