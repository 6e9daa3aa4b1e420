"""The experts of a layer as llama.cpp computes them: its own graph, built with ggml's C functions.

This allows any routing and weights, which a model file would not. The libraries are taken from a
folder: the wheel xllamacpp (built for AVX2), or a build for this machine:

    cmake -S llama.cpp -B build -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=ON
    cmake --build build --target ggml
    cp build/bin/libggml*.so* FOLDER
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator, Sequence
from ctypes import c_bool, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import torch

from expertrag_kernels import PlainExperts

TYPES = {
    "BF16": ("bf16", 30, 1, 2),
    "Q8_0": ("int8", 8, 32, 34),
    "Q4_0": ("int4", 2, 32, 18),
    "Q4_1": ("int4", 3, 32, 20),
}
"""The comparable format of ours, number in ggml, values and bytes per block. Q4_1 has a scale and a
minimum like our int4; Q4_0 has only a scale, and an order of the weights that is made for AVX2."""
F32, I32 = 0, 26
NODES = 64  # capacity of a graph, which has 7 + 2 K nodes


class _Memory(ctypes.Structure):
    _fields_ = (("bytes", c_size_t), ("buffer", c_void_p), ("no_alloc", c_bool))


SIGNATURES: dict[str, tuple[Any, ...]] = {
    "init": (c_void_p, _Memory),
    "free": (None, c_void_p),
    "tensor_overhead": (c_size_t,),
    "graph_overhead": (c_size_t,),
    "log_set": (None, c_void_p, c_void_p),
    "new_tensor_2d": (c_void_p, c_void_p, c_int, c_int64, c_int64),
    "new_tensor_3d": (c_void_p, c_void_p, c_int, c_int64, c_int64, c_int64),
    "mul_mat_id": (c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "swiglu_split": (c_void_p, c_void_p, c_void_p, c_void_p),
    "mul": (c_void_p, c_void_p, c_void_p, c_void_p),
    "add": (c_void_p, c_void_p, c_void_p, c_void_p),
    "view_2d": (c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_size_t, c_size_t),
    "set_input": (None, c_void_p),
    "set_output": (None, c_void_p),
    "new_graph": (c_void_p, c_void_p),
    "build_forward_expand": (None, c_void_p, c_void_p),
    "gallocr_new": (c_void_p, c_void_p),
    "gallocr_alloc_graph": (c_bool, c_void_p, c_void_p),
    "gallocr_free": (None, c_void_p),
    "quantize_chunk": (
        *(c_size_t, c_int, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p),
    ),
    "backend_cpu_init": (c_void_p,),
    "backend_cpu_reg": (c_void_p,),
    "backend_cpu_buffer_type": (c_void_p,),
    "backend_cpu_set_n_threads": (None, c_void_p, c_int),
    "backend_reg_dev_get": (c_void_p, c_void_p, c_size_t),
    "backend_reg_get_proc_address": (c_void_p, c_void_p, c_char_p),
    "backend_alloc_ctx_tensors_from_buft": (c_void_p, c_void_p, c_void_p),
    "backend_buffer_free": (None, c_void_p),
    "backend_tensor_set": (None, c_void_p, c_void_p, c_size_t, c_size_t),
    "backend_tensor_get": (None, c_void_p, c_void_p, c_size_t, c_size_t),
    "backend_graph_compute": (c_int, c_void_p, c_void_p),
}
"""Return and argument types of each function of ggml."""


class Ggml:
    """The functions of a ggml library, and its CPU backend with as many threads as torch."""

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        for name, (returned, *given) in SIGNATURES.items():
            function = getattr(loaded, f"ggml_{name}")
            function.restype, function.argtypes = returned, given
            setattr(self, name, function)
        self.silence = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)(lambda *_: None)
        self.log_set(self.silence, None)
        self.backend = self.backend_cpu_init()
        self.backend_cpu_set_n_threads(self.backend, torch.get_num_threads())
        self.plain = self.backend_cpu_buffer_type()
        self.repacked = self._repacked()

    def __getattr__(self, name: str) -> Any:  # set from SIGNATURES
        raise AttributeError(name)

    def context(self, tensors: int) -> c_void_p:
        """Return a context for the metadata of tensors and of a graph."""
        size = tensors * self.tensor_overhead() + self.graph_overhead()
        return c_void_p(self.init(_Memory(size, None, True)))

    def _repacked(self) -> Any:
        """Return the buffer type that repacks weights as they are written."""
        reg = self.backend_cpu_reg()
        found = self.backend_reg_get_proc_address(reg, b"ggml_backend_dev_get_extra_bufts")
        kinds = ctypes.CFUNCTYPE(ctypes.POINTER(c_void_p), c_void_p)(found)
        return kinds(self.backend_reg_dev_get(reg, 0))[0]


class LlamaCppExperts:
    """One layer's experts in a format; a graph is built once per number of tokens."""

    def __init__(self, ggml: Ggml, layer: PlainExperts, type: str) -> None:
        self.ggml, self.layer_shape = ggml, (layer.hidden_size, layer.inner_size)
        self.context = ggml.context(3)
        gate, up = layer.gate_up.chunk(2, dim=1)
        weights = (gate, up, layer.down)
        _, kind, values, size = TYPES[type]
        self.tensors = [
            ggml.new_tensor_3d(self.context, kind, w.shape[2], w.shape[1], w.shape[0])
            for w in weights
        ]
        place = ggml.repacked if type == "Q4_0" else ggml.plain
        buffer = ggml.backend_alloc_ctx_tensors_from_buft(self.context, place)
        weakref.finalize(self, ggml.backend_buffer_free, buffer)
        for tensor, weight in zip(self.tensors, weights, strict=True):
            data = torch.empty(weight.numel() // values * size, dtype=torch.uint8)
            part = len(data) // len(weight)
            for number, rows in enumerate(weight):
                exact = rows.float().contiguous()
                to = data.data_ptr() + number * part
                ggml.quantize_chunk(kind, exact.data_ptr(), to, 0, *exact.shape, None)
            ggml.backend_tensor_set(tensor, data.data_ptr(), 0, len(data))
        self.graphs: dict[tuple[int, int], tuple[Any, ...]] = {}

    def __call__(self, x: torch.Tensor, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Map x (T, H), index (T, K) and weights (T, K) to (T, H) float32."""
        tokens, top_k = index.shape
        if (tokens, top_k) not in self.graphs:
            self.graphs[tokens, top_k] = self._build(tokens, top_k)
        graph, out, *inputs = self.graphs[tokens, top_k]
        for tensor, value in zip(inputs, (x.float(), index.int(), weights.float()), strict=True):
            self.ggml.backend_tensor_set(tensor, value.data_ptr(), 0, value.nbytes)
        if self.ggml.backend_graph_compute(self.ggml.backend, graph):
            raise RuntimeError("ggml could not compute the graph")
        found = torch.empty(tokens, self.layer_shape[0])
        self.ggml.backend_tensor_get(out, found.data_ptr(), 0, found.nbytes)
        return found

    def _build(self, tokens: int, top_k: int) -> tuple[Any, ...]:
        """Build the graph of llama.cpp's ``build_moe_ffn``, after the router."""
        ggml, hidden = self.ggml, self.layer_shape[0]
        context = ggml.context(NODES)
        x = ggml.new_tensor_3d(context, F32, hidden, 1, tokens)
        index = ggml.new_tensor_2d(context, I32, top_k, tokens)
        weights = ggml.new_tensor_3d(context, F32, 1, top_k, tokens)
        for tensor in (x, index, weights):
            ggml.set_input(tensor)
        gate_w, up_w, down_w = self.tensors
        up = ggml.mul_mat_id(context, up_w, x, index)
        gate = ggml.mul_mat_id(context, gate_w, x, index)
        inner = ggml.swiglu_split(context, gate, up)
        experts = ggml.mul(context, ggml.mul_mat_id(context, down_w, inner, index), weights)
        stride = hidden * 4
        parts = [
            ggml.view_2d(context, experts, hidden, tokens, top_k * stride, number * stride)
            for number in range(top_k)
        ]
        out = parts[0]
        for part in parts[1:]:
            out = ggml.add(context, out, part)
        ggml.set_output(out if top_k > 1 else experts)
        graph = ggml.new_graph(context)
        ggml.build_forward_expand(graph, out)
        memory = ggml.gallocr_new(ggml.plain)
        weakref.finalize(self, ggml.free, context)
        weakref.finalize(self, ggml.gallocr_free, memory)
        if not ggml.gallocr_alloc_graph(memory, graph):
            raise MemoryError(f"ggml has no memory for {tokens} tokens")
        return graph, out, x, index, weights


def llamacpp_layers(
    library: Path, layers: Sequence[PlainExperts]
) -> Iterator[tuple[str, str, list[LlamaCppExperts]]]:
    """Yield the name of each llama.cpp type, that of our format, and the layers in it."""
    ggml = Ggml(library)
    for type, (format, *_) in TYPES.items():
        yield type, format, [LlamaCppExperts(ggml, layer, type) for layer in layers]
