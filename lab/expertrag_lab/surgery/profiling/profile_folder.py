"""A profile as a folder: the use of a mixture's experts by each domain, and a card.

PROFILE/use.safetensors        sums of each domain: float64, products of logits float32
PROFILE/patterns.safetensors   pattern of each domain: (L, E) int16, most important experts first
PROFILE/profile.json           the model, the domains, and how they were observed
PROFILE/README.md              the card
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from expertrag.api.errors import Conflict, InvalidArgument, NotFound, ServerError
from expertrag_common import checksums
from expertrag_lab.surgery.card_text import markdown
from expertrag_lab.surgery.profiling.importance import ExpertProfile, ExpertUse, Method

PATTERN_METHOD = Method.EASY_EP
"""Measure by which the experts of a pattern are ordered."""
_USE = "use.safetensors"
_PATTERNS = "patterns.safetensors"
_ABOUT = "profile.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ProfileCard:
    """How a profile was made.

    :param model: name of the mixture.
    :param experts: of a layer, null ones included.
    :param prompts: number of prompts by domain.
    :param sources: names of the files and stores that the prompts come from.
    :param selected_from: see :data:`observe.SELECTED_FROM`.
    :param skipped: prompts that do not fit the model's context.
    """

    model: str
    experts: int
    null_experts: int
    top_k: int
    prompts: Mapping[str, int]
    sources: tuple[str, ...]
    selected_from: float
    most_tokens: int
    skipped: int = 0


def save_profile(profile: ExpertProfile, card: ProfileCard, folder: Path) -> None:
    """Write a profile into an existing folder."""
    from safetensors.torch import save_file

    names = list(profile.domains)
    sums = {
        f"{place}.{name}": value
        for place, use in enumerate(profile.domains.values())
        for name, value in _tensors_of(use).items()
    }
    patterns = {str(place): pattern_of(profile, name) for place, name in enumerate(names)}
    save_file(sums, folder / _USE)
    save_file(patterns, folder / _PATTERNS)
    body = {
        "format": _FORMAT,
        "fingerprint": profile.model,
        "layers": list(profile.numbers),
        "domains": names,
        "card": asdict(card),
    }
    (folder / _ABOUT).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    checksums.seal(folder, _USE, _PATTERNS, _ABOUT)
    (folder / "README.md").write_text(_readme(profile, card), encoding="utf-8")


def load_profile(folder: Path) -> ExpertProfile:
    """Read a profile.

    :raises NotFound: there is no such folder.
    :raises InvalidArgument: the folder is not a profile.
    :raises Conflict: a later version has written it.
    :raises ServerError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    body = _about(folder)
    try:
        sums = load_file(folder / _USE)
        if not all(bool(item.isfinite().all()) for item in sums.values()):
            raise ValueError("its model computed values that are NaN or infinite")
        domains = {
            name: ExpertUse(
                **{
                    field.name: sums[f"{place}.{field.name}"].double()
                    for field in fields(ExpertUse)
                }
            )
            for place, name in enumerate(body["domains"])
        }
        return ExpertProfile(str(body["fingerprint"]), tuple(body["layers"]), domains)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damage_error(folder, error) from error


def load_patterns(folder: Path) -> dict[str, torch.Tensor]:
    """Read the pattern of every domain, see :func:`pattern_of`; raises as :func:`load_profile`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    body = _about(folder)
    try:
        tensors = load_file(folder / _PATTERNS)
        return {name: tensors[str(place)] for place, name in enumerate(body["domains"])}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damage_error(folder, error) from error


def load_card(folder: Path) -> ProfileCard:
    """Read how a profile was made; raises as :func:`load_profile`."""
    body = _about(folder)
    try:
        card = dict(body["card"])
        return ProfileCard(**{**card, "sources": tuple(card["sources"])})
    except (KeyError, TypeError, ValueError) as error:
        raise _damage_error(folder, error) from error


def check_model(profile: ExpertProfile, fingerprint: str) -> None:
    """Check that a model is the one that a profile was made of.

    :raises Conflict: its files are others.
    """
    if fingerprint != profile.model:
        raise Conflict(
            f"this profile was made of another model (files {profile.model}, not {fingerprint}): "
            "name the model that it was made of, or profile this one (expertrag llm profile)",
            reason="PROFILE_OF_ANOTHER_MODEL",
        )


def pattern_of(profile: ExpertProfile, domain: str) -> torch.Tensor:
    """Return a domain's experts, the most important first: (L, E) int16.

    The first columns are the experts to keep; the compact form in which PreMoe stores what a task
    needs (Pei et al. 2025). Of equal experts, the first comes first.

    :raises InvalidArgument: the profile has no such domain.
    """
    scores = profile.importance(PATTERN_METHOD, [domain])
    order = scores.argsort(dim=1, descending=True, stable=True)
    return order.to(torch.int16).contiguous()


def _tensors_of(use: ExpertUse) -> dict[str, torch.Tensor]:
    values = {field.name: getattr(use, field.name).contiguous() for field in fields(ExpertUse)}
    return {**values, "products": use.products.float().contiguous()}


def _about(folder: Path) -> dict[str, Any]:
    """Check the folder, and read its description."""
    if not folder.is_dir():
        raise NotFound(f"no profile {folder}; make one with `expertrag llm profile`")
    if not (folder / _ABOUT).is_file():
        raise InvalidArgument(
            f"{folder} is not a profile; name a folder that `expertrag llm profile` wrote"
        )
    try:
        checksums.verify(folder)
        body: dict[str, Any] = json.loads((folder / _ABOUT).read_bytes())
        version = int(body["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damage_error(folder, error) from error
    if version > _FORMAT:
        raise Conflict(f"{folder} was written by a later version of expertrag: upgrade this one")
    return body


def _damage_error(folder: Path, error: Exception) -> ServerError:
    return ServerError(
        f"the profile {folder} is damaged ({checksums.first_line(error)}): make it again",
        reason="MODEL_DAMAGED",
    )


def _readme(profile: ExpertProfile, card: ProfileCard) -> str:
    rows = "\n".join(
        f"| {markdown(name)} | {card.prompts.get(name, 0):,} | {int(use.tokens):,} |"
        for name, use in profile.domains.items()
    )
    nulls = f", {card.null_experts} of them null experts" if card.null_experts else ""
    super_experts = profile.super_experts().nonzero().tolist()
    supers = ", ".join(f"{profile.numbers[place]}:{expert}" for place, expert in super_experts)
    return f"""# Use of the experts of {markdown(card.model)}

{len(profile.numbers)} layers of {card.experts} experts{nulls}, {card.top_k} a token. Files of the
model: `{profile.model}`.

| domain | prompts | tokens |
|---|---|---|
{rows}

Prompts from {markdown(", ".join(card.sources))}, as they are served, with answers of at most
{card.most_tokens} tokens. Super experts (layer:expert): {supers or "none"}.

The folder has sums over tokens, and no text. `expertrag llm show` draws them.
"""
