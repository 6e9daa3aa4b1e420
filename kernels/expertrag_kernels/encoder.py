"""Runs BERT encoders with low-rank experts on the CPU in one call: compiled code, in bfloat16.

See ``cpu/encoder.h`` for what is computed. Texts are not padded, and a text's states are
bit-identical alone and in any batch.

    N texts, T tokens of all of them, H hidden, I inner, E experts, R rank, K experts of a text
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from expertrag_kernels import cpu_experts, layout
from expertrag_kernels.linear import LowRankExperts

FloatArray = NDArray[np.float32]

ISAS = cpu_experts.ENCODER_ISAS
"""Usable instruction sets, best first; empty on processors without bfloat16."""

_WIDTH = 32  # inputs and outputs are padded to its multiples
_PANEL = 16
_AREA_BYTES = 64 << 20
_NO_EXPERTS: NDArray[np.int64] = np.empty((0, 0), np.int64)
_NO_WEIGHTS: FloatArray = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Sizes of an encoder: H, I, the heads of attention, and the epsilon of layer norms."""

    hidden: int
    inner: int
    heads: int
    epsilon: float

    @property
    def is_supported(self) -> bool:
        """Whether the compiled encoder computes these sizes."""
        widths = (self.hidden, self.inner, self.hidden // self.heads)
        return self.hidden % self.heads == 0 and not any(width % _WIDTH for width in widths)


@dataclass(frozen=True, slots=True)
class DenseWeights:
    """A linear layer: weight (O, I), bias (O,), and its experts."""

    weight: torch.Tensor
    bias: torch.Tensor
    experts: LowRankExperts | None = None


@dataclass(frozen=True, slots=True)
class NormWeights:
    """A layer norm: weight (H,) and bias (H,)."""

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True, slots=True)
class ChosenExperts:
    """Experts of each text.

    index: (N, K), >= E for none
    weights: (N, K)
    """

    index: NDArray[np.int64]
    weights: FloatArray


class Encoder:
    """A BERT encoder, built layer by layer. Thread-safe once it is; a call uses one core."""

    def __init__(
        self, shape: EncoderShape, words: torch.Tensor, positions: torch.Tensor, norm: NormWeights
    ) -> None:
        """Start an encoder without layers.

        :param words: (vocabulary, H) embeddings.
        :param positions: (positions, H), with what is added to every token.
        :raises ValueError: this processor or the sizes are not supported.
        """
        if not ISAS or not shape.is_supported:
            raise ValueError(
                "an encoder needs bfloat16 instructions, and widths in multiples of 32"
            )
        self.shape = shape
        self._weights = _Weights()
        self._vocabulary, self._positions = words.shape[0], positions.shape[0]
        self._layers = 0
        self._encoder = cpu_experts.new_encoder(
            shape.hidden,
            shape.inner,
            shape.heads,
            shape.epsilon,
            self._weights.keep(words.detach().bfloat16()),
            self._weights.keep(positions.detach().float()),
            self._norm(norm),
        )

    def add_layer(
        self,
        query_key_value: DenseWeights,
        attention_output: DenseWeights,
        after_attention: NormWeights,
        up: DenseWeights,
        down: DenseWeights,
        after_down: NormWeights,
    ) -> None:
        """Add a layer.

        :param query_key_value: one below the other (3H, H).
        :param attention_output: the projection after attention (H, H).
        :param up: the feed-forward layer before the GELU (I, H), ``down`` the one after it (H, I).
        """
        self._encoder.layer(
            self._dense(query_key_value),
            self._dense(attention_output),
            self._norm(after_attention),
            self._dense(up),
            self._dense(down),
            self._norm(after_down),
        )
        self._layers += 1

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self._layers

    def run(
        self,
        texts: Sequence[Sequence[int]],
        experts: ChosenExperts | None = None,
        *,
        states: FloatArray | None = None,
        first: int = 0,
        last: int | None = None,
        isa: str | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Run layers ``first`` to ``last`` (exclusive) on the token ids of texts.

        Returns the states (T, H), text by text, and the mean of each text's states (N, H).

        :param states: those that reach layer ``first``, which are overwritten; None for layer 0.
        :param isa: one of ``ISAS``; None for the best.
        :raises ValueError: a text has no token or too many, an id is not in the vocabulary, or the
            experts do not match the texts.
        """
        lengths = [len(text) for text in texts]
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(lengths, out=starts[1:])
        tokens = np.fromiter(chain.from_iterable(texts), np.int64, starts[-1])
        self._check(lengths, tokens)
        if states is None:
            states = np.empty((len(tokens), self.shape.hidden), np.float32)
        means = np.empty((len(texts), self.shape.hidden), np.float32)
        index, weights = _NO_EXPERTS, _NO_WEIGHTS
        if experts is not None:
            index = np.ascontiguousarray(experts.index, np.int64)
            weights = np.ascontiguousarray(experts.weights, np.float32)
            if index.min(initial=0) < 0 or len(index) != len(texts) or weights.shape != index.shape:
                raise ValueError("experts must be (N, K), for each text, and not negative")
        cpu_experts.encode(
            isa or ISAS[0],
            self._encoder,
            len(texts),
            starts.ctypes.data,
            tokens.ctypes.data,
            index.shape[1],
            index.ctypes.data,
            weights.ctypes.data,
            first,
            self._layers if last is None else last,
            states.ctypes.data,
            means.ctypes.data,
        )
        return states, means

    def _check(self, lengths: Sequence[int], tokens: NDArray[np.int64]) -> None:
        if min(lengths, default=1) < 1 or max(lengths, default=1) > self._positions:
            raise ValueError(f"texts must have 1 to {self._positions} tokens")
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < self._vocabulary:
            raise ValueError(f"token ids must be in 0 to {self._vocabulary - 1}")

    def _norm(self, norm: NormWeights) -> tuple[int, int]:
        return self._weights.keep(norm.weight.detach().float()), self._weights.keep(
            norm.bias.detach().float()
        )

    def _dense(
        self, dense: DenseWeights
    ) -> tuple[tuple[int, int, int], int, list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        lora_a, lora_b = [], []
        if dense.experts is not None:
            lora_a = [self._panels(each) for each in dense.experts.down]
            lora_b = [self._panels(each) for each in dense.experts.up]
        return (
            self._panels(dense.weight),
            self._weights.keep(dense.bias.detach().float()),
            lora_a,
            lora_b,
        )

    def _panels(self, weight: torch.Tensor) -> tuple[int, int, int]:
        """Pack weights (O, I) as ``cpu/encoder.h`` has it."""
        packed = panels(weight)
        return packed.shape[0] * _PANEL, packed.shape[1] * 2, self._weights.keep(packed)


class _Weights:
    """Memory for all weights: in small pages, finding them takes as long as reading them."""

    def __init__(self) -> None:
        self._areas: list[torch.Tensor] = []
        self._used = _AREA_BYTES

    def keep(self, values: torch.Tensor) -> int:
        """Copy values; return their address."""
        size = values.numel() * values.element_size()
        if self._used + size > _AREA_BYTES:
            self._areas.append(layout.zeros(max(size, _AREA_BYTES)))
            self._used = 0
        kept = self._areas[-1][self._used : self._used + size]
        kept.copy_(values.contiguous().flatten().view(torch.uint8))
        self._used += size + -size % 64
        return kept.data_ptr()


def panels(weight: torch.Tensor) -> torch.Tensor:
    """Pack weights (O, I), padded with zeros to multiples of 32, as [O/16, I/2, 16, 2] bfloat16."""
    outputs, inputs = weight.shape
    padding = (0, -inputs % _WIDTH, 0, -outputs % _WIDTH)
    padded = torch.nn.functional.pad(weight.detach().bfloat16(), padding)
    packed: torch.Tensor = padded.unflatten(0, (-1, _PANEL)).unflatten(2, (-1, 2))
    return packed.transpose(1, 2).contiguous()
