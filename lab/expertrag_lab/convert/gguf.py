"""Write a Llama-type model, or a mixture of its kind, as one GGUF file for llama.cpp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

from expertrag.api.errors import InvalidArgument
from expertrag.llm.convert.dense import DENSE_TYPES, card_value, head_dim
from expertrag.llm.load.gguf_layout import OWN_KEYS, count_turned_heads, interleave, parameter_names
from expertrag.llm.load.loading import ModelFiles, quiet
from expertrag.llm.load.source import ModelSource
from expertrag_lab.convert.export import export
from expertrag_lab.convert.gguf_tokenizer import add_tokenizer
from expertrag_lab.new_file import new_file

ARCHITECTURE = "llama"  # also for mixtures, as in files of Mistral's models
DTYPES = {
    "bfloat16": (Type.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "float16": (Type.F16, gguf.LlamaFileType.MOSTLY_F16),
}


def export_gguf(
    base: str, bundle: Path, out: Path, *, domain: str | None = None, dtype: str = "bfloat16"
) -> tuple[str, ...]:
    """Write the model of :func:`expertrag_lab.convert.export.export` as a GGUF file.

    Its weights are the weights of the folder that ``export`` writes, rounded to bfloat16: float16
    holds them exactly, except for the tiniest.

    :param dtype: of matrices, ``bfloat16`` or ``float16``; vectors and routers are in float32.
    :return: names of the experts written.
    :raises Conflict: ``out`` exists, or the bundle is for other files of the base.
    :raises InvalidArgument: not a bundle, no expert of that name, or a model that the format cannot
        describe.
    """
    with new_file(out) as file, TemporaryDirectory(dir=file.parent) as scratch:
        folder = Path(scratch) / "exported"
        names = export(base, bundle, folder, domain=domain)
        with quiet():
            write_gguf(folder, file, dtype)
    return names


def write_gguf(folder: Path, file: Path, dtype: str) -> None:
    """Write the model of a folder.

    :param dtype: a key of ``DTYPES``.
    :raises InvalidArgument: the format cannot describe it.
    """
    source = ModelSource(ModelFiles(folder))
    _check(source.config)
    matrices, kind = DTYPES[dtype]
    model = source.whole(str(folder), torch.bfloat16)
    writer = gguf.GGUFWriter(file, ARCHITECTURE)
    writer.add_name(file.stem)
    writer.add_file_type(kind)
    _add_card(writer, folder)
    _add_config(writer, model.config)
    add_tokenizer(writer, source.tokenizer, model.config.vocab_size)
    tensors = {
        name: matrices if weight.ndim > 1 and "ffn_gate_inp" not in name else Type.F32
        for name, weight in _tensors(model)
    }
    for name, weight in _tensors(model):
        size = weight.numel() * (4 if tensors[name] is Type.F32 else 2)
        writer.add_tensor_info(name, weight.shape, np.dtype(np.float32), size, tensors[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, weight in _tensors(model):  # a second pass: only one at a time is in float32
        values = weight.float().contiguous().numpy()
        writer.write_tensor_data(gguf.quants.quantize(values, tensors[name]))
    writer.close()


def _check(config: Any) -> None:
    """Check that a file of Llama's kind can describe a model, as far as we write it.

    :raises InvalidArgument: it cannot.
    """
    if config.model_type not in (*DENSE_TYPES, "mixtral"):
        raise InvalidArgument(
            f"a model of type {config.model_type} cannot be written into a GGUF file; name a "
            "folder to write instead"
        )
    positions = config.rope_parameters["rope_type"]
    for actual, known in ((positions, "default"), (config.hidden_act, "silu")):
        if actual != known:
            raise InvalidArgument(
                f"a model with {actual!r} instead of {known!r} cannot be written into a GGUF file; "
                "name a folder to write instead"
            )


def _add_card(writer: gguf.GGUFWriter, folder: Path) -> None:
    licence, base = (card_value(folder, key) for key in ("license", "base_model"))
    if licence:
        writer.add_license(licence)
    if base:
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, base)


def _add_config(writer: gguf.GGUFWriter, config: Any) -> None:
    # the file cannot store a sliding window; within that many tokens it has no effect
    window = getattr(config, "sliding_window", None) or config.max_position_embeddings
    width = head_dim(config)
    writer.add_context_length(min(window, config.max_position_embeddings))
    writer.add_vocab_size(config.vocab_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    experts = getattr(config, "num_local_experts", None)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    for name, key in OWN_KEYS.items():
        value = getattr(config, name, None)
        if isinstance(value, str):
            writer.add_string(key, value)
        elif value:
            writer.add_array(key, value)


def _tensors(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors by name, in the file's layout and the model's dtype."""
    config = model.config
    state = model.state_dict()
    for name, parameter in parameter_names(ARCHITECTURE, config.num_hidden_layers, model).items():
        if parameter == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if parameter in state:
            weight = state[parameter]
            heads = count_turned_heads(ARCHITECTURE, name, config)
            yield name, interleave(weight, heads) if heads else weight
        else:  # half of a matrix that transformers merges
            stem, _, half = parameter.rpartition(".")
            gate, up = state[f"{stem}.gate_up_proj"].chunk(2, dim=1)  # [E, I, H] each
            yield name, gate if half == "gate_proj" else up
