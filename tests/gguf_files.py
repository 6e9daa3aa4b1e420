"""Writes tiny models as GGUF files, as llama.cpp's converter does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import torch
from gguf import GGMLQuantizationType as Type

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
}


def write_gguf(
    model: Any,
    path: Path,
    type: Type = Type.F32,
    *,
    tokenizer: Path | None = None,
    in_parts: int = 0,
    empty_first: bool = False,
    **extra: Any,
) -> None:
    """Write a transformers model.

    :param type: of all matrices, routers apart.
    :param tokenizer: folder of a byte-level one; without it the file has only numbers for words.
    :param in_parts: most tensors of a part; the parts are named like ``path`` with their numbers.
    :param empty_first: the first part has no tensors.
    :param extra: tensors in addition to the model's.
    """
    config = model.config
    writer = gguf.GGUFWriter(
        path,
        ARCHITECTURES[config.model_type],
        split_max_tensors=in_parts,
        small_first_shard=empty_first,
    )
    _describe(writer, config)
    _add_tokenizer(writer, config, tokenizer)
    table = gguf.get_tensor_name_map(_number(writer.arch), config.num_hidden_layers)
    tied = model.lm_head.weight is model.model.embed_tokens.weight
    for name, weight in model.state_dict().items():
        if tied and name.startswith("lm_head"):
            continue
        for part, value in _parts(name, weight):
            stem, end = part.rsplit(".", 1)
            place = table.get_name(stem)
            assert place, stem
            if writer.arch == "llama" and place.endswith(("attn_q", "attn_k")):
                groups = config.num_key_value_heads
                value = _paired(value, config.num_attention_heads if "_q" in place else groups)
            if place.endswith("ffn_gate_inp_shexp"):
                value = value[0]
            exact = value.ndim == 1 or place.endswith("ffn_gate_inp")
            _add(writer, f"{place}.{end}", value, Type.F32 if exact else type)
    for name, value in extra.items():
        _add(writer, f"{name}.weight", value, Type.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _number(architecture: str) -> Any:
    return next(n for n, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)


def _describe(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_name(config.model_type)  # transformers tells Mistral from Llama by it
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    if hasattr(config, "moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if hasattr(config, "shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)


def _add_tokenizer(writer: gguf.GGUFWriter, config: Any, folder: Path | None) -> None:
    words = [str(number) for number in range(config.vocab_size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if folder is None:
        writer.add_token_list(words)
        return
    known = json.loads((folder / "tokenizer.json").read_text())
    names = {number: word for word, number in known["model"]["vocab"].items()}
    words = [names[number] for number in range(config.vocab_size)]
    special = {token["content"] for token in known["added_tokens"]}
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if w in special else gguf.TokenType.NORMAL for w in words]
    )
    writer.add_token_merges([" ".join(merge) for merge in known["model"]["merges"]])
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


def _parts(name: str, weight: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """A tensor as the file has it: experts in three stacks."""
    if name.endswith("gate_up_proj"):
        gate, up = weight.chunk(2, dim=1)
        return [
            (name.replace("gate_up_proj", "gate_proj.weight"), gate),
            (name.replace("gate_up_proj", "up_proj.weight"), up),
        ]
    return [(name if name.endswith(("weight", "bias")) else f"{name}.weight", weight)]


def _paired(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Bring the two halves of each head's outputs together, as llama.cpp rotates neighbours."""
    paired: torch.Tensor = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return paired


def _add(writer: gguf.GGUFWriter, name: str, weight: torch.Tensor, type: Type) -> None:
    values = weight.detach().float().contiguous().numpy()
    writer.add_tensor(name, gguf.quants.quantize(values, type), raw_dtype=type)
