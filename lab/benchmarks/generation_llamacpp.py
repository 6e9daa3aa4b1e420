"""Run models with llama.cpp and ik_llama.cpp, next to our engine.

A Mixtral-type checkpoint is written as GGUF in llama.cpp's own types, as a mixture, or with one
expert of each layer as a dense model, which llama.cpp computes faster. The library is that of
llama-cpp-python in a folder, built for the machine:

    pip install --target FOLDER llama-cpp-python diskcache

That of ik-llama-cpp-python on PyPI is built for AVX2; built from source, it uses the machine's
instruction set:

    pip install --no-deps --target FOLDER ik-llama-cpp-python
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from generation_runs import Run
from gguf import GGMLQuantizationType as Type
from gguf.quants import quantize

TYPES = {"bf16": Type.BF16, "int8": Type.Q8_0, "int4": Type.Q4_1, "int4 without minima": Type.Q4_0}
_kept: list[Any] = []  # what must live as long as the library


def write_gguf(model: Any, path: Path, type: Type, *, dense: bool) -> None:
    """Write a Mixtral-type transformers model as GGUF; norms and routers stay in float32."""
    writer = gguf.GGUFWriter(path, "llama")
    _add_metadata(writer, model.config, dense=dense)
    heads, groups = model.config.num_attention_heads, model.config.num_key_value_heads

    def add(name: str, weight: torch.Tensor) -> None:
        values = weight.detach().float().numpy()
        exact = values.ndim == 1 or "ffn_gate_inp" in name
        kind = Type.F32 if exact else type
        writer.add_tensor(f"{name}.weight", quantize(values, kind), raw_dtype=kind)

    base = model.model
    add("token_embd", base.embed_tokens.weight)
    add("output_norm", base.norm.weight)
    for number, layer in enumerate(base.layers):
        at, attention, moe = f"blk.{number}", layer.self_attn, layer.mlp
        add(f"{at}.attn_norm", layer.input_layernorm.weight)
        add(f"{at}.attn_q", _paired(attention.q_proj.weight, heads))
        add(f"{at}.attn_k", _paired(attention.k_proj.weight, groups))
        add(f"{at}.attn_v", attention.v_proj.weight)
        add(f"{at}.attn_output", attention.o_proj.weight)
        add(f"{at}.ffn_norm", layer.post_attention_layernorm.weight)
        gate, up = moe.experts.gate_up_proj.chunk(2, dim=1)
        parts = {"ffn_gate": gate, "ffn_up": up, "ffn_down": moe.experts.down_proj}
        for name, weight in parts.items():
            add(f"{at}.{name}" if dense else f"{at}.{name}_exps", weight[0] if dense else weight)
        if not dense:
            add(f"{at}.ffn_gate_inp", moe.gate.weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_metadata(writer: Any, config: Any, *, dense: bool) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    if not dense:
        writer.add_expert_count(config.num_local_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)


def _paired(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Interleave the two halves of each head's outputs, because llama.cpp rotates neighbours."""
    paired: torch.Tensor = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2)
    return paired.flatten(0, 2)


def library(folder: Path) -> Any:
    """Import llama_cpp from the folder of llama-cpp-python."""
    sys.path.append(str(folder))
    if list(folder.glob("libllama.so")):
        os.environ.setdefault("LLAMA_CPP_LIB_PATH", str(folder))
    llama_cpp: Any = importlib.import_module("llama_cpp")
    _kept.append(silent := llama_cpp.llama_log_callback(lambda *_: None))
    llama_cpp.llama_log_set(silent, None)
    return llama_cpp


class LlamaCpp:
    """A loaded GGUF file, with room for several sequences."""

    def __init__(self, folder: Path, path: Path, *, texts: int, context_tokens: int) -> None:
        llama_cpp = library(folder)
        self._lib = llama_cpp
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(
            str(path).encode(), llama_cpp.llama_model_default_params()
        )
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = texts * context_tokens
        params.n_batch = 2048
        params.n_ubatch = 512
        params.n_seq_max = texts
        params.kv_unified = False
        params.n_threads = params.n_threads_batch = torch.get_num_threads()
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError(f"llama.cpp cannot load {path}")
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self._model)
        )
        self._batch = llama_cpp.llama_batch_init(2048, 0, 1)

    def run(self, prompts: Sequence[list[int]], tokens: int) -> Run:
        """Generate greedily after all prompts at once.

        Prompts are prefilled in sequence, then every step has one row per sequence.
        """
        memory = self._lib.llama_get_memory(self._context)
        self._lib.llama_memory_clear(memory, True)
        drawn: list[list[int]] = [[] for _ in prompts]
        first: list[float] = []
        started = time.perf_counter()
        for text, prompt in enumerate(prompts):
            rows = [(token, place, text) for place, token in enumerate(prompt)]
            self._decode(rows, [len(rows) - 1])
            drawn[text].append(self._best(len(rows) - 1))
            first.append(time.perf_counter() - started)
        for step in range(tokens - 1):
            rows = [
                (drawn[text][-1], len(prompt) + step, text) for text, prompt in enumerate(prompts)
            ]
            self._decode(rows, range(len(rows)))
            for text in range(len(prompts)):
                drawn[text].append(self._best(text))
        return Run(drawn, time.perf_counter() - started, first)

    def logits(self, tokens: Sequence[int]) -> list[Any]:
        """Return the logits after each token of a text, vectors of the vocabulary."""
        memory = self._lib.llama_get_memory(self._context)
        self._lib.llama_memory_clear(memory, True)
        rows = [(token, place, 0) for place, token in enumerate(tokens)]
        self._decode(rows, range(len(rows)))
        return [self._logits(place).copy() for place in range(len(rows))]

    def _decode(self, rows: Sequence[tuple[int, int, int]], wanted: Sequence[int]) -> None:
        batch = self._batch
        batch.n_tokens = len(rows)
        for place, (token, position, text) in enumerate(rows):
            batch.token[place] = token
            batch.pos[place] = position
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = text
            batch.logits[place] = 0
        for place in wanted:
            batch.logits[place] = 1
        if self._lib.llama_decode(self._context, batch):
            raise RuntimeError("llama.cpp cannot decode")

    def _best(self, place: int) -> int:
        return int(self._logits(place).argmax())

    def _logits(self, place: int) -> Any:
        logits = self._lib.llama_get_logits_ith(self._context, place)
        return np.ctypeslib.as_array(logits, (self._vocabulary,))

    def stop(self) -> None:
        """Free the memory."""
        self._lib.llama_batch_free(self._batch)
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)


class IkLlamaCpp:
    """A GGUF file loaded by ik_llama.cpp."""

    def __init__(self, folder: Path, path: Path, *, context_tokens: int) -> None:
        sys.path.append(str(folder))
        logging.getLogger("ik_llama_cpp").setLevel(logging.ERROR)
        library: Any = importlib.import_module("ik_llama_cpp")
        self._model: Any = library.IkLlama(
            str(path), n_ctx=context_tokens, n_threads=torch.get_num_threads(), verbose=False
        )

    def run(self, prompts: Sequence[list[int]], tokens: int) -> Run:
        """Generate greedily after one prompt; see :meth:`LlamaCpp.run`.

        The prompt is read twice, because the library does not report the time of the first token.
        """
        (prompt,) = prompts
        started = time.perf_counter()
        self._model.generate(list(prompt), max_tokens=0)
        first = time.perf_counter() - started
        started = time.perf_counter()
        drawn = self._model.generate(list(prompt), max_tokens=tokens - 1)
        return Run([drawn], time.perf_counter() - started, [first])

    def stop(self) -> None:
        """Free the memory."""
        self._model.close()
