"""Read a GGUF file: configuration and tokenizer by transformers, tensors one by one.

Transformers does not read all of the header. This module adds the rest: mixtures of Llama's kind,
the widths of experts, scaled positions, and our own keys of a reader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer, MixtralConfig

from expertrag.llm.load.gguf_layout import OWN_KEYS, count_turned_heads, parameter_names, part
from expertrag.llm.load.gguf_parts import GGUFParts, floats

_WIDTHS = {  # by the end of their keys
    "attention.key_length": "head_dim",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
}
_WORDS = ("token_embd.weight", "output.weight")
_SAMPLED_ROWS = 256
_ROUNDING = 0.2  # of the norm; 2 bits per weight lose about that much
_SCALED = ("linear", "yarn")
_ANGLES = "rope_freqs.weight"
_ROUTED = re.compile(r"_exps\.weight$")


class GGUFFile:
    """The header of a file, and the model that it describes.

    Of a file in several parts, the first has the header, and is all that transformers reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reader = GGUFParts(path)
        self.architecture = str(self.reader.value("general.architecture"))

    def config(self) -> Any:
        """Return the model's configuration in transformers' form."""
        from_pretrained: Any = AutoConfig.from_pretrained
        config = from_pretrained(self.path.parent, gguf_file=self.path.name)
        for end, name in _WIDTHS.items():
            width = self._of_model(end)
            if width is not None and hasattr(config, name):
                setattr(config, name, width)
        if self._of_model("rope.scaling.type") in _SCALED:
            config.rope_parameters |= {
                "rope_type": self._of_model("rope.scaling.type"),
                "factor": self._of_model("rope.scaling.factor"),
                "original_max_position_embeddings": self._of_model(
                    "rope.scaling.original_context_length"
                ),
            }
        experts = self._of_model("expert_count")
        if config.model_type == "llama" and experts:
            config = MixtralConfig.from_dict(
                {
                    **config.to_dict(),
                    "model_type": "mixtral",
                    "num_local_experts": experts,
                    "num_experts_per_tok": self._of_model("expert_used_count"),
                }
            )
        if self._one_matrix():
            config.tie_word_embeddings = True
        own = {name: self.reader.value(key) for name, key in OWN_KEYS.items()}
        config.update({name: value for name, value in own.items() if value is not None})
        return config

    def tokenizer(self) -> Any:
        """Return the tokenizer in transformers' form."""
        from_pretrained: Any = AutoTokenizer.from_pretrained
        tokenizer = from_pretrained(self.path.parent, gguf_file=self.path.name)
        if self.reader.value("tokenizer.ggml.pre") == "smollm":
            _split_digits(tokenizer)
        return tokenizer

    def licence(self) -> str | None:
        """Return the licence that the file names, if any."""
        licence = self.reader.value("general.license")
        return None if licence is None else str(licence)

    @property
    def mxfp4(self) -> bool:
        """Whether the routed experts are in MXFP4, all of them."""
        kinds = {t.tensor_type for t in self.reader.tensors if _ROUTED.search(t.name)}
        return kinds == {gguf.GGMLQuantizationType.MXFP4}

    def checkpoint(self, model: nn.Module) -> GGUFCheckpoint:
        """Find a model's weights.

        :raises NotStreamed: the tensor names of the architecture are unknown.
        """
        return GGUFCheckpoint(self, model)

    def scale_angles(self, rotary: Any) -> None:
        """Divide the rotary frequencies by the file's factors (Llama 3.1 and later)."""
        for tensor in self.reader.tensors:
            if tensor.name == _ANGLES:
                rotary.inv_freq = rotary.inv_freq / torch.from_numpy(self.reader.read(tensor))

    def _one_matrix(self) -> bool:
        """Whether the file has two roundings of one matrix as input and output embeddings.

        Two roundings differ by a few percent, different matrices by more than the norm of either.
        """
        words = [tensor for tensor in self.reader.tensors if tensor.name in _WORDS]
        if len(words) < len(_WORDS) or words[0].data.shape[0] != words[1].data.shape[0]:
            return False
        rows = slice(None, None, max(1, words[0].data.shape[0] // _SAMPLED_ROWS))
        one, other = (floats(tensor.data[rows], tensor.tensor_type) for tensor in words)
        return bool(np.linalg.norm(one - other) < _ROUNDING * np.linalg.norm(other))

    def _of_model(self, name: str) -> Any:
        return self.reader.value(f"{self.architecture}.{name}")


class GGUFCheckpoint:
    """The tensors of a GGUF file in float32, under the names of a model's parameters."""

    def __init__(self, file: GGUFFile, model: nn.Module) -> None:
        """Find the names.

        :raises NotStreamed: the tensor names of the architecture are unknown.
        """
        config: Any = model.config
        self._reader = file.reader
        names = dict(parameter_names(file.architecture, config.num_hidden_layers, model))
        if config.tie_word_embeddings:
            _leave_coarser(names, file.reader.tensors)
        self._tensors = {
            names[tensor.name]: tensor for tensor in file.reader.tensors if tensor.name in names
        }
        self._heads = {
            name: count_turned_heads(file.architecture, tensor.name, config)
            for name, tensor in self._tensors.items()
        }
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: _shape(tensor) for name, tensor in self._tensors.items()
        }

    def read(self, name: str) -> torch.Tensor:
        """See :meth:`Checkpoint.read`."""
        tensor = self._tensors[name]
        values = torch.from_numpy(self._reader.read(tensor)).view(self.shapes[name])
        heads = self._heads[name]
        return part(values, heads) if heads else values


def _leave_coarser(names: dict[str, str], tensors: Sequence[Any]) -> None:
    """Drop the coarser of two roundings of the embeddings."""
    words = sorted((t for t in tensors if t.name in _WORDS), key=lambda tensor: tensor.n_bytes)
    for tensor in words[:-1]:
        del names[tensor.name]


def _shape(tensor: Any) -> tuple[int, ...]:
    shape = tuple(int(size) for size in reversed(tensor.shape))
    # a matrix of one row is a vector in the file
    return (1, *shape) if tensor.name.endswith("ffn_gate_inp_shexp.weight") else shape


def _split_digits(tokenizer: Any) -> None:
    """Restore a step that transformers' GGUF conversion loses.

    SmolLM splits digits one by one *before* the byte-level regular expression. Without this step, a
    run of spaces before a number is split differently than in training.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import pre_tokenizers

    backend: Backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
    )
