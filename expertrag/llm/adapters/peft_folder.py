"""Read a LoRA adapter in the layout of the library peft: its configuration and its weights.

``adapter_config.json`` and ``adapter_model.safetensors``, with the weights
``base_model.model.model.layers.N.self_attn.q_proj.lora_A.weight`` and so on (Hu et al. 2022:
W + s B A, s = alpha / r, or alpha / sqrt(r) for rank-stabilised ones, Kalajdzievski 2023).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.llm.adapters.lora import LoraWeights, Projection

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
SUPPORTED = (
    "attention projections, and gate_proj, up_proj and down_proj of dense feed-forward layers"
)

_NAME = re.compile(
    r"base_model\.model\.((?:\w+\.)*layers\.(\d+)\.(\w+)\.(\w+))\.lora_(A|B)\.weight"
)
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
"""Initialisations that subtract the adapter from the base's weights; peft converts such an adapter
when it is saved with ``path_initial_model_for_weight_conversion``."""


@dataclass(frozen=True, slots=True)
class PeftAdapter:
    """The weights of a folder. ``base``: name of the model that it was trained on, if it says so.

    ``digest``: hash of configuration and weights.
    """

    weights: Mapping[Projection, LoraWeights]
    base: str
    digest: str


def read_peft(folder: Path) -> PeftAdapter:
    """Read an adapter.

    :raises NotFound: the folder has no adapter.
    :raises InvalidArgument: it is damaged, or has something that is not served.
    """
    path, config_path = folder / WEIGHTS_FILE, folder / CONFIG_FILE
    if not config_path.is_file():
        raise NotFound(
            f"adapter: {folder} has no {CONFIG_FILE}; name a folder that peft's save_pretrained "
            "wrote",
            reason="ADAPTER_NOT_FOUND",
        )
    if not path.is_file():
        raise NotFound(
            f"adapter: {folder} has no {WEIGHTS_FILE}, and other files are not read; save the "
            "adapter with safe_serialization=True",
            reason="ADAPTER_NOT_FOUND",
        )
    config = _config(config_path)
    if reason := _find_unsupported(config):
        raise adapter_error(folder, reason)
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = path.read_bytes()
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InvalidArgument(f"adapter: {path} is damaged ({error}); copy it again") from error
    digest = hashlib.sha256(config_path.read_bytes() + hashlib.sha256(data).digest())
    weights = _weights(folder, config, tensors)
    base = str(config.get("base_model_name_or_path") or "")
    return PeftAdapter(weights, base, digest.hexdigest()[:16])


def adapter_error(folder: Path, reason: str) -> InvalidArgument:
    """Return the error for an adapter that cannot be served on this base."""
    return InvalidArgument(
        f"adapter: {folder} has {reason}; served are {SUPPORTED}. Merge the adapter into its base "
        "(peft's merge_and_unload) and serve the result instead",
        reason="ADAPTER_UNSUPPORTED",
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidArgument(f"adapter: {path} is not JSON ({error}); copy it again") from error
    if not isinstance(config, dict):
        raise InvalidArgument(f"adapter: {path} is not a JSON object; copy it again")
    return config


def _find_unsupported(config: Mapping[str, Any]) -> str:
    """Return what of a configuration is not served; empty if all is."""
    kind, start = config.get("peft_type"), config.get("init_lora_weights")
    replicated = config.get("layer_replication")
    reasons = {
        f"the type {kind}, not LORA": kind != "LORA",
        "weight-decomposed updates (DoRA)": bool(config.get("use_dora")),
        "quantisation-aware updates (QALoRA)": bool(config.get("use_qalora")),
        f"biases ({config.get('bias')})": config.get("bias", "none") != "none",
        "biases of its own (lora_bias)": bool(config.get("lora_bias")),
        "modules of its own (modules_to_save)": bool(config.get("modules_to_save")),
        "updates of tokens (trainable_token_indices)": bool(config.get("trainable_token_indices")),
        "updates of parameters (target_parameters)": bool(config.get("target_parameters")),
        "repeated layers (layer_replication)": bool(replicated),
        "transposed weights (fan_in_fan_out)": bool(config.get("fan_in_fan_out")),
        "an invocation sequence (aLoRA)": bool(config.get("alora_invocation_tokens")),
        f"an initialisation that changes its base ({start}), without conversion": isinstance(
            start, str
        )
        and start.startswith(_CHANGES_BASE),
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def _weights(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> dict[Projection, LoraWeights]:
    """Pair the matrices of each projection.

    :raises InvalidArgument: they do not fit together, or belong to other layers.
    """
    pairs: dict[Projection, dict[str, torch.Tensor]] = {}
    paths: dict[Projection, str] = {}
    for name, tensor in sorted(tensors.items()):
        match = _NAME.fullmatch(name)
        if match is None:
            raise adapter_error(folder, _of_another_kind(name))
        path, layer, block, module, matrix = match.groups()
        projection = Projection(int(layer), f"{block}.{module}")
        paths[projection] = path
        pairs.setdefault(projection, {})[matrix] = tensor.float()
    if not pairs:
        raise InvalidArgument(f"adapter: {folder} has no weights; copy it again")
    return {
        projection: _pair(folder, projection, pair, *_scaling(config, paths[projection]))
        for projection, pair in pairs.items()
    }


def _of_another_kind(name: str) -> str:
    """Say what a weight belongs to that is not served."""
    kinds = {
        "lora_magnitude": "weight-decomposed updates (DoRA)",
        "lora_embedding": "updates of embeddings",
        "embed_tokens": "updates of embeddings",
        "lm_head": "updates of the output head",
        "expert": "updates of a mixture's experts",
        "bias": "biases",
    }
    kind = next((kind for part, kind in kinds.items() if part in name), "a weight of another kind")
    return f"{kind} ({name})"


def _scaling(config: Mapping[str, Any], path: str) -> tuple[int, float]:
    """Return the rank of a layer, and the scale of its update, as peft computes them."""

    def choose(patterns: Any, otherwise: Any) -> Any:
        matching = (key for key in patterns or () if re.match(rf"(.*\.)?({key})$", path))
        key = next(matching, None)
        return otherwise if key is None else patterns[key]

    try:
        rank = int(choose(config.get("rank_pattern"), config["r"]))
        alpha = float(choose(config.get("alpha_pattern"), config["lora_alpha"]))
        return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, re.error) as error:
        raise InvalidArgument(
            f"adapter: r, lora_alpha or their patterns in {CONFIG_FILE} are missing or invalid "
            f"({error}); copy it again"
        ) from error


def _pair(
    folder: Path, projection: Projection, pair: Mapping[str, torch.Tensor], rank: int, scale: float
) -> LoraWeights:
    down, up = pair.get("A"), pair.get("B")
    fits = (
        down is not None
        and up is not None
        and down.ndim == up.ndim == 2
        and down.shape[0] == up.shape[1] == rank
    )
    if down is None or up is None or not fits:
        shapes = {name: tuple(weight.shape) for name, weight in sorted(pair.items())}
        raise InvalidArgument(
            f"adapter: {folder} is damaged: {projection} should have A ({rank}, I) and "
            f"B (O, {rank}), and has {shapes}; copy it again"
        )
    if not (bool(down.isfinite().all()) and bool(up.isfinite().all())):
        raise InvalidArgument(
            f"adapter: {folder} is damaged: weights of {projection} are not finite; copy it again"
        )
    return LoraWeights(down, up * scale)
