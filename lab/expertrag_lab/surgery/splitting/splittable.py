"""The dense models that can be split: the ones whose attention GLM-4-MoE also has.

GLM-4-MoE is grouped-query attention with optional biases of queries, keys and values (Qwen2) and
optional norms of heads (Qwen3). Its feed-forward layers are routed and shared experts that are
added up. With the right options, each of these families is a special case of it.
"""

from __future__ import annotations

from typing import Any

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.convert.dense import DENSE_TYPES, LARGE_TYPES, Dense, load_dense, weights_of
from expertrag.llm.engine.families import MIXTURES
from expertrag.llm.load.loading import ModelFiles, model_errors, model_files, quiet
from expertrag.llm.load.source import ModelSource

SPLITTABLE = (*DENSE_TYPES, *LARGE_TYPES)
"""Types that can be split."""


def load_splittable(name: str) -> Dense:
    """Load a dense model to split, in the data type that it is stored in.

    :param name: as in :func:`load_dense`, so freshly upcycled mixtures are also accepted; weights
        of a GGUF file become bfloat16.
    :raises NotFound: there is no such model.
    :raises InvalidArgument: GLM-4-MoE has no such attention, the weights are packed or quantised,
        or a reader is attached to the model.
    :raises ServerError: its files are damaged.
    """
    files, config = _check(name)
    stored = torch.bfloat16 if files.gguf else getattr(config, "dtype", None) or torch.float32
    return load_dense(name, dtype=stored, upcycled=False)


def neurons_of(name: str) -> int:
    """Return the neurons of a feed-forward network; raises as :func:`load_splittable`."""
    return int(_check(name)[1].intermediate_size)


def _check(name: str) -> tuple[ModelFiles, Any]:
    """Find the files and the configuration of a model that can be split."""
    with model_errors(name), quiet():
        if reader := model_files(name).reader:
            base = load_bundle(reader).base
            reason = f"it is {base} with a reader, which would be lost; give {base} alone"
            raise InvalidArgument(f"{name} cannot be split: {reason}")
        files = weights_of(name)
        config = ModelSource(files).config
    if reason := _unsplittable(config):
        raise InvalidArgument(f"{files.name} cannot be split: {reason}")
    return files, config


def _unsplittable(config: Any) -> str:
    """Return why a model cannot be split, and what can; empty if it can."""
    kind = config.model_type
    if kind in MIXTURES and kind != "mixtral":  # which may be a dense one, upcycled
        return "it is a mixture already; `expertrag llm prune` and `merge` change its experts"
    if kind not in (*SPLITTABLE, "mixtral"):
        return f"it is of type {kind}; give a dense model of type {', '.join(SPLITTABLE)}"
    if getattr(config, "quantization_config", None) is not None:
        return "its weights are quantised; give a checkpoint in bfloat16 or float32"
    window = getattr(config, "sliding_window", None)
    if window is not None and window < config.max_position_embeddings:
        return f"it attends to windows of {window} tokens; give a model without them"
    if getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False):
        return "it has biases that the mixture's family lacks; give a model without them"
    return ""
