"""Load the dense Llama-type model that a mixture is made from, or was made from."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag.errors import InvalidArgument
from expertrag.generation.fingerprint import package_name
from expertrag.generation.loading import model_errors, quiet

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel
    from transformers import PreTrainedTokenizerBase as Tokenizer

State = Mapping[str, "torch.Tensor"]
"""Weights of a model by name."""

DENSE_TYPES = ("llama", "mistral")
SHARED = (  # what the dense families and Mixtral define alike
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
_UNKNOWN_LICENCE = "see the base model"


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense model with its tokenizer, and what its card says."""

    model: PreTrainedModel
    tokenizer: Tokenizer
    name: str
    license: str


def load_dense(
    base: str | Path, *, dtype: torch.dtype | None = None, gguf_file: str | None = None
) -> Dense:
    """Load a dense model, or the one that all experts of a mixture fresh from upcycling are.

    :param base: folder or hub id; with ``gguf_file`` a folder that holds it.
    :param dtype: of the weights; float32 unless given.
    :raises InvalidArgument: neither a Llama-type model nor a mixture of equal experts.
    :raises ServerError: the files are damaged.
    """
    import torch

    dtype = dtype or torch.float32
    with model_errors(str(base)), quiet():
        dense = _of_gguf(Path(base), gguf_file, dtype) if gguf_file else _of_folder(base, dtype)
    config = dense.model.config
    if config.model_type not in DENSE_TYPES or getattr(config, "attention_bias", False):
        raise InvalidArgument(
            f"only models of type {' or '.join(DENSE_TYPES)} without biases can be upcycled; "
            f"{dense.name!r} is {config.model_type!r}"
        )
    return dense


def head_dim(config: PretrainedConfig) -> int:
    """Width of an attention head, which not every configuration names."""
    named: int | None = getattr(config, "head_dim", None)
    return named or int(config.hidden_size // config.num_attention_heads)


def _of_folder(base: str | Path, dtype: torch.dtype) -> Dense:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    if model.config.model_type == "mixtral":
        model = _only_expert(model)
    name = package_name(Path(base)) or Path(base).name
    return Dense(model, AutoTokenizer.from_pretrained(base), name, _licence(Path(base)))


def _of_gguf(folder: Path, gguf_file: str, dtype: torch.dtype) -> Dense:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # transformers offers no switch for this one bar
    with contextlib.redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf_file, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf_file)
    fields = _gguf_fields(folder / gguf_file)
    if fields.get("tokenizer.ggml.pre") == "smollm":
        _split_digits(tokenizer)
    licence = fields.get("general.license", _UNKNOWN_LICENCE)
    return Dense(model, tokenizer, Path(gguf_file).stem, licence)


def _only_expert(mixture: Any) -> PreTrainedModel:
    """Take the one feed-forward network of a mixture whose experts are all the same."""
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
                    "was made from, or a mixture fresh from `expertrag experts upcycle`"
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
    # made on the meta device, it holds no numbers yet, and is in no checkpoint
    dense.base_model.rotary_emb = mixture.model.rotary_emb
    dense.generation_config = mixture.generation_config
    dense.config.dtype = mixture.dtype
    return dense


def _licence(folder: Path) -> str:
    """Licence in the front matter of a model's card."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines[1:20] if line.startswith("license:"))
    return next(named, _UNKNOWN_LICENCE)


def _gguf_fields(path: Path) -> Mapping[str, str]:
    """Text fields of a GGUF header; the file is memory-mapped, not read."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    wanted = ("general.license", "tokenizer.ggml.pre")
    return {key: str(fields[key].contents()) for key in wanted if key in fields}


def _split_digits(tokenizer: Tokenizer) -> None:
    """Restore a step that transformers' GGUF conversion loses.

    SmolLM splits digits one by one *before* the byte-level regular expression. Without it a run
    of spaces before a number is cut differently from how the model was trained.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import pre_tokenizers

    backend: Backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
    )
