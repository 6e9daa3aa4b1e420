"""A linear probe on a prompt's hidden states: whether its passages hold the answer.

A language model answers from passages that do not hold the answer, though its hidden states tell
that they do not (Slobodkin et al. 2023). A logistic regression on them (a linear probe, Alain &
Bengio 2016) gives the probability, before a word is drawn and without another pass.

FOLDER/probe.json          what it belongs to, how it was trained, and how support is estimated
FOLDER/probe.safetensors   weights and bias
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expertrag.errors import InvalidArgument, ServerError
from expertrag_index.durable import write_durably
from expertrag_retriever.gate.odds import log_odds, logistic

if TYPE_CHECKING:
    from expertrag_index.types import FloatArray

STATES = ("hidden_middle", "hidden_upper")
"""What is read of ``Watched.vectors``, in this order."""
STRICT_FROM = 0.25
"""Doubt from which STRICT withholds an answer: there, a wrong one counts as three that are withheld
(3 p = 1 - p)."""

_LEAST = 1e-4  # keeps log odds finite

_WEIGHTS = "probe.safetensors"
_ABOUT = "probe.json"


@dataclass(frozen=True, slots=True)
class Owner:
    """What a probe belongs to: the language model's files, and its prompts with passages."""

    generator: str
    fingerprint: str
    prompts: str


@dataclass(frozen=True, slots=True)
class Support:
    """Logistic regression: the probability that an answer is right (``make fit-support``).

    ``weights`` are of :meth:`features`. ``strict_from``: probability from which STRICT gives an
    answer.
    """

    bias: float
    weights: tuple[float, float, float]
    strict_from: float

    @staticmethod
    def features(
        p_sufficient: float, least_probability: float, *, verdict: bool
    ) -> tuple[float, float, float]:
        """Return what tells right answers from wrong ones.

        :param p_sufficient: probability that the passages hold the answer; its log odds count.
        :param least_probability: of the answer's tokens, that of the least likely one, which gives
            away what is made up (Varshney et al. 2023).
        :param verdict: whether the answer is yes or no, of which the other one is as likely a word.
        """
        held = min(max(p_sufficient, _LEAST), 1 - _LEAST)
        return float(log_odds(held)), least_probability, float(verdict)

    def probability(self, features: tuple[float, float, float]) -> float:
        """Return the probability that an answer of some :meth:`features` is right."""
        odds = sum(w * x for w, x in zip(self.weights, features, strict=True))
        return float(logistic(self.bias + odds))


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A fitted probe; D is the model's width, ``digest`` a hash of what it says.

    ``weights`` [2 D] are of the middle state, then of the upper one. ``support``: how likely an
    answer is right, if that was fitted.
    """

    weights: FloatArray
    bias: float
    owner: Owner
    digest: str = ""
    support: Support | None = None

    def doubt(self, vectors: Mapping[str, FloatArray]) -> float:
        """Return the probability that no passage holds the answer.

        :param vectors: those of ``STATES``, of the prompt's last token.
        """
        states = np.concatenate([vectors[name] for name in STATES])
        return float(logistic(states @ self.weights + self.bias))


def save_probe(probe: Probe, training: Mapping[str, Any], card: str, folder: Path) -> None:
    """Write a probe into a folder that is there."""
    from safetensors.numpy import save_file

    arrays = {"weights": probe.weights, "bias": np.array([probe.bias], np.float32)}
    save_file(arrays, folder / _WEIGHTS)
    body = {"owner": asdict(probe.owner), "training": dict(training)}
    (folder / _ABOUT).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")


def scale_probe(folder: Path, support: Support) -> None:
    """Write into a probe's folder how support is estimated by it.

    :raises InvalidArgument: the folder is none.
    :raises ServerError: it is damaged.
    """
    load_probe(folder)
    path = folder / _ABOUT
    body = {**json.loads(path.read_bytes()), "support": asdict(support)}
    write_durably(path, (json.dumps(body, indent=1) + "\n").encode())


def load_probe(folder: Path) -> Probe:
    """Read a probe.

    :raises InvalidArgument: the folder is none.
    :raises ServerError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not (folder / _ABOUT).is_file():
        raise InvalidArgument(
            f"probe: {folder} is none; name a folder that `expertrag train probe` made"
        )
    try:
        body = json.loads((folder / _ABOUT).read_bytes())
        owner = Owner(**body["owner"])
        support = _support(body["support"]) if "support" in body else None
        data = (folder / _WEIGHTS).read_bytes()
        arrays = load(data)
        digest = hashlib.sha256(data + repr(support).encode()).hexdigest()[:16]
        return Probe(arrays["weights"], float(arrays["bias"][0]), owner, digest, support)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ServerError(
            f"the probe {folder} is damaged ({type(error).__name__}): train or fetch it again",
            reason="MODEL_DAMAGED",
        ) from error


def _support(body: Mapping[str, Any]) -> Support:
    sufficient, token, verdict = map(float, body["weights"])
    return Support(float(body["bias"]), (sufficient, token, verdict), float(body["strict_from"]))
