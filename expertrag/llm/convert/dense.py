"""Load the dense Llama-type model that a mixture is made from, or was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from expertrag.api.errors import InvalidArgument
from expertrag.llm.fingerprint import fingerprint, package_name, package_value
from expertrag.llm.load.loading import ModelFiles, model_errors, model_files, quiet

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel
    from transformers import PreTrainedTokenizerBase as Tokenizer

    from expertrag.llm.adapters.bundle import Bundle
    from expertrag.llm.load.source import ModelSource

State = Mapping[str, "torch.Tensor"]
"""Weights of a model by name."""

DENSE_TYPES = ("llama", "mistral")
"""Types that can become a mixture in Mixtral's format."""
LARGE_TYPES = ("qwen2", "qwen3")
"""Types that cannot, and are trained with parallel adapters."""
SHARED = (  # keys that mean the same in the dense families and in Mixtral
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
UNKNOWN_LICENCE = "see the base model"


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense model, its tokenizer, and its name and licence for model cards."""

    model: PreTrainedModel
    tokenizer: Tokenizer
    name: str
    license: str


def load_dense(
    base: str | Path, *, dtype: torch.dtype | None = None, upcycled: bool = True
) -> Dense:
    """Load a dense model, or recover it from a freshly upcycled mixture.

    :param base: folder, GGUF file or hub id.
    :param dtype: of the weights; float32 by default.
    :param upcycled: whether it will become a mixture; if not, ``LARGE_TYPES`` are also accepted.
    :raises InvalidArgument: neither a Llama-type model nor a mixture of equal experts.
    :raises ServerError: the files are damaged.
    """
    import torch

    from expertrag.llm.load.source import ModelSource

    with model_errors(str(base)), quiet():
        files = weights_of(str(base))
        # the name of a packed folder, not the name of the GGUF file in it
        source, name = ModelSource(files), package_name(files.folder) or files.name
        kind = source.config.model_type
        parallel = kind in LARGE_TYPES and not upcycled
        plain = kind in (*DENSE_TYPES, "mixtral")
        if not parallel and (not plain or getattr(source.config, "attention_bias", False)):
            raise InvalidArgument(
                f"only models of type {' or '.join(DENSE_TYPES)} without biases can be upcycled; "
                f"{name!r} is {kind!r}"
            )
        model = _whole(source, str(base), dtype or torch.float32)
        if kind == "mixtral":
            model = _only_expert(model)
    licence = source.gguf.licence() if source.gguf else card_value(files.folder, "license")
    licence = licence or (package_value(files.folder, "licence") or UNKNOWN_LICENCE).lower()
    return Dense(model, source.tokenizer, name, licence)


def weights_of(base: str) -> ModelFiles:
    """Find a model's unpacked weights: for a packed model, the GGUF file in its folder.

    :raises InvalidArgument: the model is packed, and the GGUF file was not kept.
    """
    files = model_files(base)
    if not files.is_packed:
        return files
    kept = sorted(path.name for path in files.folder.glob("*.gguf"))
    if not kept:
        pulled = package_name(files.folder)
        instead = f"run `expertrag models pull {pulled} --keep`, or " if pulled else ""
        raise InvalidArgument(
            f"{files.name} is packed, but its original weights are needed: {instead}name the GGUF "
            "file or the checkpoint that it was packed from"
        )
    return ModelFiles(files.folder, kept[0])


def check_base(bundle: Bundle, base: str) -> None:
    """Check that a model is the one that a bundle was trained on.

    :raises Conflict: its files are not the files that the bundle was trained on.
    :raises InvalidArgument: the model is packed, and the GGUF file was not kept.
    """
    files = weights_of(base)
    bundle.check_base(fingerprint(files.folder, files.gguf))


def _whole(source: ModelSource, name: str, dtype: torch.dtype) -> PreTrainedModel:
    """Load all weights, dequantised for a GGUF file: transformers may keep them quantised."""
    from expertrag.llm.load.checkpoint import NotStreamed, Streamed

    if source.gguf:
        model: PreTrainedModel = source.outline(dtype)
        try:
            Streamed(model, source.checkpoint(model)).fill()
        except NotStreamed:  # its tensor names are unknown
            return cast("PreTrainedModel", source.whole(name, dtype))
        return model
    return cast("PreTrainedModel", source.whole(name, dtype))


def head_dim(config: PretrainedConfig) -> int:
    """Width of an attention head, which not every configuration contains."""
    named: int | None = getattr(config, "head_dim", None)
    return named or int(config.hidden_size // config.num_attention_heads)


def _only_expert(mixture: Any) -> PreTrainedModel:
    """Make the dense model of a mixture whose experts are all equal."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = mixture.config
    state = {key: value for key, value in mixture.state_dict().items() if ".mlp." not in key}
    for number, layer in enumerate(mixture.model.layers):
        experts = layer.mlp.experts
        for weights in (experts.gate_up_proj, experts.down_proj):  # [E, 2I, H], [E, H, I]
            if not bool((weights == weights[:1]).all()):
                raise InvalidArgument(
                    f"the experts of {config.name_or_path!r} differ: name the dense model that it "
                    "was made from, or a mixture fresh from `expertrag llm upcycle`"
                )
        gate, up = experts.gate_up_proj[0].chunk(2)
        parts = {"gate": gate, "up": up, "down": experts.down_proj[0]}
        state |= {
            f"model.layers.{number}.mlp.{part}_proj.weight": weight.detach().clone()
            for part, weight in parts.items()
        }
    with torch.device("meta"):
        dense: PreTrainedModel = LlamaForCausalLM(
            LlamaConfig(**{key: getattr(config, key) for key in SHARED}, head_dim=head_dim(config))
        )
    dense.load_state_dict(state, assign=True)
    dense.tie_weights()
    # made on the meta device, it has no values yet, and no checkpoint contains it
    dense.base_model.rotary_emb = mixture.model.rotary_emb
    dense.generation_config = mixture.generation_config
    dense.config.dtype = mixture.dtype
    return dense


def card_value(folder: Path, key: str) -> str | None:
    """Value of a key in the front matter of a model's card."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines[1:20] if line.startswith(f"{key}:"))
    return next(named, None)
