"""The files of experts and router: safetensors, described by a JSON file next to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from expertrag_common import checksums
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.experts.settings import ExpertForm, ExpertSettings
from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.router.router import DomainRouter
from expertrag_retriever.router.storage import (
    ABOUT,
    TENSORS,
    has_router,
    load_router,
    save_router,
)

if TYPE_CHECKING:
    from torch import nn

    from expertrag_retriever.experts.routed import WithExperts

EXPERTS = "experts.safetensors"
SETTINGS = "experts.json"
FILES = (EXPERTS, SETTINGS, TENSORS, ABOUT)
"""The files that are added to a base model."""


def save_experts(
    model: nn.Module,
    settings: ExpertSettings,
    router: DomainRouter | None,
    folder: Path,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write experts (bfloat16) and the router (float32) into a folder.

    :param about: further fields of ``experts.json``.
    """
    state = {
        f"{name}.{part}": getattr(layer, part).detach().bfloat16().contiguous()
        for name, layer in expert_layers(model)
        for part in ("first", "second")
    }
    save_file(state, folder / EXPERTS)
    body: dict[str, Any] = {"settings": asdict(settings), **(about or {})}
    if router is not None:
        save_router(router, folder)
    (folder / SETTINGS).write_text(json.dumps(body, indent=2, sort_keys=True) + "\n")
    checksums.seal(folder, EXPERTS, SETTINGS)


def load_experts(module: WithExperts, folder: Path) -> None:
    """Load the experts and the router of a folder, if it holds any, into a module.

    :raises EmbedderError: the files are damaged, or the experts belong to another base model.
    """
    if not (folder / SETTINGS).is_file():
        return
    with _damage(folder):
        settings, state = _read(folder)
        router = load_router(folder)[0] if has_router(folder) else None
    if router and router.domains[: len(settings.domains)] != settings.domains:
        raise EmbedderError(
            f"the router in {folder} does not match its experts ({', '.join(settings.domains)}): "
            "train them again, or fetch the folder again"
        )
    module.add_experts(settings)
    _fill(module.model, state, folder)
    module.router = router


def load_settings(folder: Path) -> ExpertSettings:
    """Read the experts' domains and form.

    :raises EmbedderError: damaged files.
    """
    with _damage(folder):
        return _settings(json.loads((folder / SETTINGS).read_bytes())["settings"])


def read_experts(folder: Path) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, Any]]:
    """Read the weights of each domain's expert by name, (1, …) float32, and ``experts.json``.

    :raises EmbedderError: the files are missing or damaged.
    """
    with _damage(folder):
        settings, state = _read(folder)
        about: dict[str, Any] = json.loads((folder / SETTINGS).read_bytes())
    weights = {
        domain: {name: value[index : index + 1].float() for name, value in state.items()}
        for index, domain in enumerate(settings.domains)
    }
    return weights, about


def expert_fingerprints(folder: Path, base: str) -> dict[str, str]:
    """Hash, for each domain, the base model and the domain's own expert.

    The hash of an expert does not depend on the other experts of the folder. So a store keeps its
    vectors when a domain is added.

    :param base: fingerprint of the base model.
    :raises EmbedderError: damaged files.
    """
    with _damage(folder):
        settings, state = _read(folder)
    fingerprints = {}
    for index, domain in enumerate(settings.domains):
        digest = hashlib.sha256(f"{base} {settings.form}\n".encode())
        for name in sorted(state):
            row = state[name][index].contiguous()
            digest.update(f"{name} {row.dtype} {tuple(row.shape)}\n".encode())
            digest.update(row.view(torch.uint8).numpy().tobytes())
        fingerprints[domain] = digest.hexdigest()[:32]
    return fingerprints


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Check the checksums of a folder, and convert errors of what the block reads from it."""
    try:
        checksums.verify(folder)
        yield
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise EmbedderError(
            f"the experts in {folder} are damaged ({checksums.first_line(error)}): "
            "train them again, or fetch the folder again"
        ) from error


def _read(folder: Path) -> tuple[ExpertSettings, dict[str, torch.Tensor]]:
    body = json.loads((folder / SETTINGS).read_bytes())
    return _settings(body["settings"]), load_file(folder / EXPERTS)


def _settings(body: Mapping[str, Any]) -> ExpertSettings:
    return ExpertSettings(
        domains=tuple(body["domains"]),
        form=ExpertForm(body["form"]),
        rank=int(body["rank"]),
        first_layer=body["first_layer"],
    )


def _fill(model: nn.Module, state: Mapping[str, torch.Tensor], folder: Path) -> None:
    layers = dict(expert_layers(model))
    expected = {f"{name}.{part}" for name in layers for part in ("first", "second")}
    if expected != set(state):
        raise EmbedderError(
            f"the experts in {folder} belong to another base model, with other layers: "
            "name the base model that they were trained on"
        )
    for name, layer in layers.items():
        for part in ("first", "second"):
            parameter, value = getattr(layer, part), state[f"{name}.{part}"]
            if parameter.shape != value.shape:
                raise EmbedderError(
                    f"the experts in {folder} belong to another base model: here {name} has shape "
                    f"{tuple(parameter.shape)}, not {tuple(value.shape)}; name the base model "
                    "that they were trained on"
                )
            parameter.data.copy_(value)
