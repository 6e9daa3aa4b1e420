"""Turn a dense Llama-type model into a Mixtral-format mixture of experts, without loss.

Sparse upcycling (Komatsuzaki et al., 2023): every expert starts as a copy of the dense
feed-forward network. Mixtral renormalises the weights of the chosen experts to sum to 1, so any
routing gives the dense output until the experts are trained apart.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.errors import Conflict, InvalidArgument
from expertrag.generation.loading import ModelFiles, model_errors, model_files, quiet

if TYPE_CHECKING:
    import torch
    from transformers import MixtralConfig, PretrainedConfig, PreTrainedModel
    from transformers import PreTrainedTokenizerBase as Tokenizer

_ROUTER_STD = 0.02  # as transformers initialises weights
_ROUTER_SEED = 0
_DENSE_TYPES = ("llama", "mistral")
_SHARED = (  # what both families define alike
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "tie_word_embeddings",
    "rope_parameters",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


@dataclass(frozen=True, slots=True)
class _Dense:
    model: PreTrainedModel
    tokenizer: Tokenizer
    name: str
    license: str


def upcycle(
    base: str | Path,
    out: Path,
    *,
    num_experts: int = 4,
    experts_per_token: int = 1,
    gguf_file: str | None = None,
) -> None:
    """Write dense model ``base`` as a Mixtral checkpoint of ``num_experts`` equal experts.

    :param base: folder or hub id of a Llama-type model; with ``gguf_file`` a folder that holds it.
    :param out: folder to create; it appears whole or not at all.
    :param gguf_file: file name of a GGUF in ``base``; its weights are dequantised.
    :raises InvalidArgument: if the experts do not add up or ``base`` is not a Llama-type model.
    :raises Conflict: if ``out`` exists.
    :raises ServerError: if the files of ``base`` are damaged.
    """
    if not 1 <= experts_per_token <= num_experts:
        raise InvalidArgument(
            f"experts_per_token must be in 1..num_experts; got {experts_per_token} of {num_experts}"
        )
    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another folder")
    with model_errors(str(base)), quiet():
        dense = _load(base, gguf_file)
    config = _config(dense.model.config, num_experts, experts_per_token)
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        with quiet():
            _write(dense, config, scratch)
        _publishable(scratch)
        os.replace(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _load(base: str | Path, gguf_file: str | None) -> _Dense:
    import torch

    from expertrag.generation.source import ModelSource

    files = ModelFiles(Path(base), gguf_file) if gguf_file else model_files(str(base))
    source = ModelSource(files)
    name = Path(gguf_file).stem if gguf_file else Path(base).name
    licence = (source.gguf.licence() if source.gguf else None) or "see the base model"
    kind = source.config.model_type
    if kind not in _DENSE_TYPES or getattr(source.config, "attention_bias", False):
        raise InvalidArgument(
            f"only models of type {' or '.join(_DENSE_TYPES)} without biases can be upcycled; "
            f"{name!r} is {kind!r}"
        )
    model = source.whole(str(base), torch.float32)
    return _Dense(model, source.tokenizer, name, licence)


def _config(dense: PretrainedConfig, num_experts: int, experts_per_token: int) -> MixtralConfig:
    from transformers import MixtralConfig

    heads: int = dense.num_attention_heads
    return MixtralConfig(
        **{key: getattr(dense, key) for key in _SHARED},
        head_dim=getattr(dense, "head_dim", None) or dense.hidden_size // heads,
        sliding_window=getattr(dense, "sliding_window", None),
        num_local_experts=num_experts,
        num_experts_per_tok=experts_per_token,
    )


def _write(dense: _Dense, config: MixtralConfig, folder: Path) -> None:
    import torch
    from transformers import MixtralForCausalLM

    with torch.device("meta"):  # allocated once, by the weights themselves
        model: PreTrainedModel = MixtralForCausalLM(config)
    state = _experts(dense.model.state_dict(), config)
    model.load_state_dict({k: v.bfloat16() for k, v in state.items()}, assign=True)
    model.tie_weights()
    model.config.dtype = torch.bfloat16
    generation = dense.model.generation_config
    if generation is not None:
        model.generation_config = generation
    model.save_pretrained(folder)
    tokenizer = dense.tokenizer
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(_card(dense, config), encoding="utf-8")


def _experts(dense: Mapping[str, torch.Tensor], config: MixtralConfig) -> dict[str, torch.Tensor]:
    """Mixtral's state from a Llama's: everything but the feed-forward has the same name."""
    import torch

    generator = torch.Generator().manual_seed(_ROUTER_SEED)
    experts = config.num_local_experts
    state = {key: value for key, value in dense.items() if ".mlp." not in key}
    for layer in range(config.num_hidden_layers):
        mlp = f"model.layers.{layer}.mlp."
        gate, up, down = (dense[f"{mlp}{part}_proj.weight"] for part in ("gate", "up", "down"))
        # Rounded before they are copied, so that 4 copies cost what 2 did.
        gate_up = torch.cat([gate, up]).bfloat16()  # [2I, H]
        state[f"{mlp}experts.gate_up_proj"] = gate_up.repeat(experts, 1, 1)  # [E, 2I, H]
        state[f"{mlp}experts.down_proj"] = down.bfloat16().repeat(experts, 1, 1)  # [E, H, I]
        state[f"{mlp}gate.weight"] = torch.empty(experts, config.hidden_size).normal_(
            std=_ROUTER_STD, generator=generator
        )  # [E, H]
    return state


def _publishable(folder: Path) -> None:
    """Make the files durable, and readable by all as the umask would have had it."""
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.iterdir():
        path.chmod(0o666 & ~umask)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    folder.chmod(0o777 & ~umask)


def _card(dense: _Dense, config: MixtralConfig) -> str:
    experts, chosen = config.num_local_experts, config.num_experts_per_tok
    return f"""---
license: {dense.license}
base_model: {dense.name}
tags: [mixture-of-experts, upcycled]
---
# {dense.name}, upcycled

A Mixtral-format mixture of experts made by ExpertRAG from the dense model {dense.name}.

- Base: {dense.name} (licence: {dense.license}), weights rounded to bfloat16
- Experts: {experts} in each layer, {chosen} per token, all equal to the dense feed-forward network
- Router: random (normal, standard deviation {_ROUTER_STD}, seed {_ROUTER_SEED})

The outputs equal the dense model's; the experts differ only once they are trained.
"""
