"""A reader's bundle: adapter weights without the base model (a few megabytes), and a card.

BUNDLE/adapters.safetensors   adapter weights, bfloat16
BUNDLE/reader.json            settings, the base model, and how they were trained
BUNDLE/README.md              the card
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag.api.errors import Conflict, InvalidArgument, ServerError
from expertrag.llm.base import BASE, SHARED, current_names
from expertrag.llm.prompt import UNSCALED, Doubt
from expertrag_common import checksums

if TYPE_CHECKING:
    import torch

WEIGHTS = "adapters.safetensors"
ABOUT = "reader.json"


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """The adapters of a model; ``domains`` without "shared" and "base".

    ``parallel``: parallel adapters with the ranks as inner widths, in ``first_layer`` and all
    layers above it, instead of low-rank updates in all layers.
    """

    domains: tuple[str, ...]
    rank: int = 8
    domain_rank: int = 2
    parallel: bool = False
    first_layer: int = 0

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the experts: "shared", the domains, "base"."""
        return (SHARED, *self.domains, BASE)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The contents of a bundle.

    ``base`` and ``fingerprint``: name of the base model, and fingerprint of its files. ``prompts``:
    fingerprint of the training prompts (``prompt.fingerprint``). ``digest``: hash of the weights.
    ``doubt``: scaling of the reader's doubt.
    """

    settings: AdapterSettings
    base: str
    fingerprint: str
    prompts: str
    digest: str
    weights: Mapping[str, torch.Tensor]
    doubt: Doubt = UNSCALED

    def check_base(self, fingerprint: str) -> None:
        """Check that a base model is the one that the reader was trained on.

        :raises Conflict: its files are not the files that the reader was trained on.
        """
        if fingerprint != self.fingerprint:
            raise Conflict(
                f"this reader was trained on other files of {self.base}: use those files, or train "
                "the reader again on these"
            )


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle."""
    return (folder / ABOUT).is_file()


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle.

    :raises InvalidArgument: the folder is not a bundle.
    :raises ServerError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not is_bundle(folder):
        raise InvalidArgument(
            f"{folder} is not a reader; name a folder that `expertrag train reader` wrote"
        )
    try:
        checksums.verify(folder)
        body: dict[str, Any] = json.loads((folder / ABOUT).read_bytes())
        training = body["training"]
        return Bundle(
            _settings(body["settings"]),
            str(training["base"]),
            str(training["fingerprint"]),
            str(training["prompts"]),
            hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:16],
            {_current(name): value for name, value in load_file(folder / WEIGHTS).items()},
            Doubt(**body.get("doubt", {})),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ServerError(
            f"the reader {folder} is damaged ({checksums.first_line(error)}): train it again, or "
            "fetch it again",
            reason="MODEL_DAMAGED",
        ) from error


def _settings(body: Mapping[str, Any]) -> AdapterSettings:
    """Read settings; earlier versions wrote ``beside`` for ``parallel``."""
    named = {"parallel" if name == "beside" else name: value for name, value in body.items()}
    return AdapterSettings(**{**named, "domains": tuple(named["domains"])})


def _current(name: str) -> str:
    """Return the name of a weight as of this version."""
    return ".".join(current_names(name.split(".")))
