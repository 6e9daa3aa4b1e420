"""A linear probe on a prompt's hidden states: whether its passages hold the answer.

A language model answers even from passages that do not hold the answer, though its hidden states
show that they do not (Slobodkin et al. 2023). A logistic regression on them (a linear probe, Alain
& Bengio 2016) gives the probability before a token is sampled, and without another pass.

FOLDER/probe.json          the model that it belongs to, and how it was trained
FOLDER/probe.safetensors   weights and bias
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag_common import checksums
from expertrag_retriever.gate.odds import logistic

if TYPE_CHECKING:
    from expertrag_index.types import FloatArray

STATES = ("hidden_middle", "hidden_upper")
"""The ``Watched.vectors`` that the probe uses, in this order."""
STRICT_FROM = 0.1
"""Doubt threshold at which STRICT withholds an answer: a wrong answer counts as nine withheld ones
there (9 p = 1 - p). Chosen on questions that the store of many sources does not answer (``make
strict-threshold``, docs/reference/grounding.md)."""

INTERNAL_FROM = 0.8
"""Probability from which a question is read as internal: only the asker's own documents can
answer it."""

WEIGHTS = "probe.safetensors"
ABOUT = "probe.json"


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a probe: the language model's files, and its prompts with passages."""

    generator: str
    fingerprint: str
    prompts: str


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A fitted probe; D is the model's width, ``digest`` a hash of the weights file.

    ``weights`` [2 D] are for the middle state, then for the upper one.
    """

    weights: FloatArray
    bias: float
    owner: Owner
    digest: str = ""

    def probability(self, vectors: Mapping[str, FloatArray]) -> float:
        """Return the probability of what the probe was fitted on, such as that no passage helps.

        :param vectors: the ``STATES`` of the prompt's last token.
        """
        return float(logistic(concatenate_states(vectors) @ self.weights + self.bias))


def concatenate_states(vectors: Mapping[str, FloatArray]) -> FloatArray:
    """Return the ``STATES`` of a prompt's last token, [2 D]."""
    return np.concatenate([vectors[name] for name in STATES])


def load_probe(folder: Path) -> Probe:
    """Read a probe.

    :raises InvalidArgument: the folder is not a probe.
    :raises ServerError: it is damaged.
    """
    with open_probe(folder) as files:
        bias = float(files.arrays["bias"][0])
        return Probe(files.arrays["weights"], bias, files.owner, files.digest)


@dataclass(frozen=True, slots=True, eq=False)
class ProbeFiles:
    """The files of a probe: ``about`` is its description, ``digest`` a hash of its weights."""

    owner: Owner
    about: Mapping[str, Any]
    arrays: Mapping[str, FloatArray]
    digest: str


@contextmanager
def open_probe(folder: Path) -> Iterator[ProbeFiles]:
    """Read the files of a probe; an error of their content means that they are damaged.

    :raises InvalidArgument: the folder is not a probe.
    :raises ServerError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not (folder / ABOUT).is_file():
        raise InvalidArgument(
            f"probe: {folder} is not a probe; name a folder that `expertrag train probe` wrote"
        )
    try:
        checksums.verify(folder)
        about = json.loads((folder / ABOUT).read_bytes())
        data = (folder / WEIGHTS).read_bytes()
        digest = hashlib.sha256(data).hexdigest()[:16]
        yield ProbeFiles(Owner(**about["owner"]), about, load(data), digest)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ServerError(
            f"the probe {folder} is damaged ({checksums.first_line(error)}): train it again, or "
            "fetch it again",
            reason="MODEL_DAMAGED",
        ) from error
