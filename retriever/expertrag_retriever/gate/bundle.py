"""A fitted gate on disk.

FOLDER/gate.json               model, calibration, requirements, card, name of the arrays file
FOLDER/gate-HASH.safetensors   arrays of design and model

A new gate takes effect when ``gate.json`` is replaced: a reader of the folder sees either the old
gate or the new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load

from expertrag_common import checksums
from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.calibrators import load_calibrator
from expertrag_retriever.gate.design import Design
from expertrag_retriever.gate.learners import MODELS
from expertrag_retriever.gate.predictor import Calibration, Predictor
from expertrag_retriever.gate.signals import SignalGroup
from expertrag_retriever.gate.sufficiency import Sufficiency

ABOUT = "gate.json"
FORMAT = 3
"""Format 1 measured the similarity to the store's centroids; formats 1 and 2 used raw cosines and
word shares as signals."""

HEADS = ("closed", "retrieval", "benefit")


@dataclass(frozen=True, slots=True)
class Needs:
    """The models that compute a gate's signals, by name and hash; None where it needs none.

    ``embedder`` embeds question and draft: the base model, without embedding experts.
    ``generator`` is the model whose prefill the gate reads, or that scores the draft. ``router`` is
    the hash of the embedder with its experts, whose router predicts the domain of a question.
    """

    embedder: str | None = None
    embedder_fingerprint: str | None = None
    generator: str | None = None
    generator_fingerprint: str | None = None
    router: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GateBundle:
    """A fitted gate.

    ``threshold`` on p(benefit) was chosen on rows that the model had not seen. ``benefits`` [N],
    ascending, are p(benefit) of those rows, from which a budget sets its threshold. ``sufficiency``
    judges retrieved passages; None if the rows did not suffice to fit it. ``card`` records what the
    gate was fitted on, how well, and by which command.
    """

    name: str
    predictor: Predictor
    threshold: float
    benefits: tuple[float, ...]
    needs: Needs
    card: Mapping[str, Any]
    sufficiency: Sufficiency | None = None
    fingerprint: str = ""

    @property
    def groups(self) -> tuple[SignalGroup, ...]:
        """Groups of signals that the gate uses."""
        return tuple(dict.fromkeys(block.group for block in self.predictor.design.blocks))

    @property
    def answer_models(self) -> tuple[str, ...]:
        """Hashes of the language models whose answers it was fitted or calibrated on.

        Empty if its rows do not say so, such as rows of other tools, and its signals need no model.
        """
        known = self.card.get("answered_by") or filter(None, [self.needs.generator_fingerprint])
        return tuple(known)

    @property
    def version(self) -> str:
        """Name and hash, recorded with every decision."""
        return f"{self.name}@{self.fingerprint[:8]}"


def is_gate(folder: Path) -> bool:
    """Whether a folder holds a fitted gate."""
    return (folder / ABOUT).is_file()


def load_gate(folder: Path) -> GateBundle:
    """Read a gate.

    :raises GateError: the folder has no gate, or its files are damaged.
    """
    if not is_gate(folder):
        raise GateError(f"no gate in {folder}: name a folder made by `expertrag train gate`")
    try:
        checksums.verify(folder)
        body: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if body["format"] not in range(1, FORMAT + 1):
            raise ValueError(f"its format is {body['format']}, not {FORMAT}")
        arrays_bytes = (folder / str(body["arrays"])).read_bytes()
        arrays = load(arrays_bytes)
        bundle = GateBundle(
            name=str(body["name"]),
            predictor=_load_predictor(body, arrays),
            threshold=float(body["threshold"]),
            benefits=tuple(arrays["benefits"].tolist()),
            needs=Needs(**body["needs"]),
            card=dict(body["card"]),
            sufficiency=(
                Sufficiency.load(body["sufficiency"], _of("sufficiency", arrays))
                if "sufficiency" in body
                else None
            ),
            fingerprint=fingerprint_of(body, arrays_bytes),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise GateError(
            f"the gate in {folder} is damaged ({checksums.first_line(error)}): fit it again, or "
            "fetch the folder again"
        ) from error
    if body["format"] != FORMAT and SignalGroup.STORE in bundle.groups:
        raise GateError(
            f"the gate in {folder} was fitted by an older version with different store signals: "
            "record its rows again and fit it again (docs/reference/gate.md)"
        )
    return bundle


def _load_predictor(about: Mapping[str, Any], arrays: Mapping[str, Any]) -> Predictor:
    if about["model"] not in MODELS:
        raise ValueError(f"its model is {about['model']!r}, which this version does not have")
    maps = {head: load_calibrator(about["calibration"][head]) for head in HEADS}
    return Predictor(
        Design.load(about["blocks"], _of("design", arrays)),
        MODELS[about["model"]].load(_of("model", arrays)),
        Calibration(**maps),
    )


def _of(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}


def fingerprint_of(body: Mapping[str, Any], arrays: bytes) -> str:
    """Hash everything that a decision depends on: all but the card."""
    decisive = {name: value for name, value in body.items() if name != "card"}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
    digest.update(arrays)
    return digest.hexdigest()[:32]
