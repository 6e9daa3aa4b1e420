"""Fit low-rank experts to a layer: bases that its experts share, and the neurons that stay whole.

Bases are taken from what passes through the matrices, by the second moments of calibration tokens
(as in SVD-LLM, Wang et al. 2025, arXiv 2403.07378): they minimise the mean squared error of gate
and up, and of the output. Each neuron weighted by how much of the output it makes.

E experts, H hidden, I neurons of an expert, r rank, N whole neurons
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from expertrag.api.errors import InvalidArgument
from expertrag.llm.engine.low_rank_experts import LowRankLayer
from expertrag_kernels import Activation
from expertrag_kernels.reference import apply_gate
from expertrag_kernels.transformers import plain_experts
from expertrag_lab.surgery.changes.neurons import NeuronLayout
from expertrag_lab.surgery.mixture import Mixture, MixtureLayer

_MOST_ROWS = 512  # of a layer, on which errors are measured
_TINY = 1e-30
_LEAST = 1e-6  # of the largest eigenvalue of second moments, added to all


class Neurons(NamedTuple):
    """Rows of gate and up, and columns of down, of neurons: (..., I, H) float32."""

    gate: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor


@dataclass(slots=True)
class LayerMoments:
    """What calibration tokens give to the experts of a layer, and what these make of it.

    :param experts: number of experts but null ones.
    :param inputs: (H, H) sum over tokens of x x^T.
    :param inner: (E, I) sum over tokens of the squares of weight times neuron.
    :param rows: (R, H) some of the tokens, with their experts (R, K) and weights (R, K).
    """

    layer: MixtureLayer
    experts: int
    activation: Activation
    inputs: torch.Tensor
    inner: torch.Tensor
    rows: torch.Tensor
    index: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, layer: MixtureLayer, experts: int, chosen: int) -> LayerMoments:
        """Return the moments of no token.

        :param chosen: experts of a token.
        """
        plain = plain_experts(layer.experts)
        hidden = plain.hidden_size
        return cls(
            layer,
            experts,
            plain.activation,
            torch.zeros(hidden, hidden, dtype=torch.float64),
            torch.zeros(experts, plain.inner_size, dtype=torch.float64),
            torch.empty(0, hidden),
            torch.empty(0, chosen, dtype=torch.long),
            torch.empty(0, chosen),
        )

    def neurons(self, expert: int) -> Neurons:
        """Return gate, up and down of an expert's neurons, (I, H) float32 each."""
        weights = NeuronLayout.of(self.layer.experts).read(self.layer.weights, expert)
        return Neurons(*weights.chunk(3, dim=1))

    def all_neurons(self) -> Neurons:
        """Return the weights of all experts, (E, I, H) each."""
        every = [self.neurons(expert) for expert in range(self.experts)]
        return Neurons(*(torch.stack(part) for part in zip(*every, strict=True)))

    def add(self, _module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        """Add the tokens that the experts are called with, as a hook before their forward."""
        rows, index, weights = given[0].float(), given[1], given[2].float()
        wide = rows.double()
        self.inputs += wide.T @ wide
        for expert in index.unique().tolist():
            if expert >= self.experts:  # a null expert
                continue
            token, place = (index == expert).nonzero(as_tuple=True)
            own, some = self.neurons(expert), rows[token]
            inner = apply_gate(some @ own.gate.T, some @ own.up.T, self.activation)
            inner = inner * weights[token, place, None]
            self.inner[expert] += inner.double().square().sum(dim=0)
        room = _MOST_ROWS - len(self.rows)
        self.rows = torch.cat([self.rows, rows[:room]])
        self.index = torch.cat([self.index, index[:room]])
        self.weights = torch.cat([self.weights, weights[:room]])

    def output(self, gate_up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
        """Return what experts (E, 2I, H), (E, H, I) make of ``rows`` (R, H)."""
        result = torch.zeros_like(self.rows)
        for expert in range(self.experts):
            token, place = (self.index == expert).nonzero(as_tuple=True)
            gate, up = (self.rows[token] @ gate_up[expert].T).chunk(2, dim=1)
            own = apply_gate(gate, up, self.activation) @ down[expert].T
            result.index_add_(0, token, own * self.weights[token, place, None])
        return result


def fit(moments: LayerMoments, rank: int, whole: int) -> LowRankLayer:
    """Return the low-rank experts of a layer with the least squared errors; see the module.

    :param rank: of both bases, at most H.
    :param whole: neurons of each expert that stay as they are: those whose low-rank form would
        change the output most.
    """
    neurons = moments.all_neurons()
    narrow = torch.ones(moments.inner.shape, dtype=torch.bool)
    if whole:
        lost = _loss(moments, neurons, _bases(moments, neurons, narrow, rank))
        narrow.scatter_(1, lost.topk(whole, dim=1).indices, False)
    bases = _bases(moments, neurons, narrow, rank)

    def those(part: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return part[chosen].view(len(part), -1, part.shape[2])

    few = torch.cat([those(part, narrow) for part in neurons[:2]], dim=1)
    kept = torch.cat([those(part, ~narrow) for part in neurons[:2]], dim=1)
    return LowRankLayer(
        bases.read,
        few @ bases.inverse,
        (those(neurons.down, narrow) @ bases.write).mT.contiguous(),
        bases.write,
        kept,
        those(neurons.down, ~narrow).mT.contiguous(),
    )


class _Bases(NamedTuple):
    """Bases (r, H), (H, r), (H, r).

    A matrix A (N, H) of gate or up becomes A @ inverse @ read, one B (H, N) of down
    write @ write^T @ B.
    """

    read: torch.Tensor
    inverse: torch.Tensor
    write: torch.Tensor


def _bases(moments: LayerMoments, neurons: Neurons, chosen: torch.Tensor, rank: int) -> _Bases:
    """Return the bases with the least errors of the chosen neurons (E, I).

    With C the second moments of the inputs, A loses |(A - A inverse read) C^(1/2)|^2. It is least
    for inverse = C^(1/2) W and read = W^T C^(-1/2), with W the first eigenvectors of C^(1/2) A^T A
    C^(1/2).
    """
    values, vectors = torch.linalg.eigh(moments.inputs)
    values = values.clamp(min=0.0) + _LEAST * values[-1].clamp(min=_TINY)
    root = (vectors * values.sqrt()) @ vectors.T
    inverse = (vectors / values.sqrt()) @ vectors.T
    share = _shares(moments, neurons)[chosen]
    total = torch.zeros_like(root)
    for part in neurons[:2]:
        rows = part[chosen].double() @ root
        scale = share / rows.square().sum(dim=1).clamp(min=_TINY)
        total += (rows * scale[:, None]).T @ rows
    basis = torch.linalg.eigh(total).eigenvectors[:, -rank:]
    columns = neurons.down[chosen].double()
    written = torch.linalg.eigh((columns * moments.inner[chosen][:, None]).T @ columns)
    write = written.eigenvectors[:, -rank:]
    return _Bases((basis.T @ inverse).float(), (root @ basis).float(), write.float())


def _loss(moments: LayerMoments, neurons: Neurons, bases: _Bases) -> torch.Tensor:
    """Return (E, I) how much each neuron would change the output in its low-rank form."""
    share = _shares(moments, neurons)
    lost = torch.zeros_like(share)
    for part in neurons[:2]:
        rest = (part - part @ bases.inverse @ bases.read).double()
        whole = part.double()
        before = ((whole @ moments.inputs) * whole).sum(dim=2)
        lost += share * ((rest @ moments.inputs) * rest).sum(dim=2) / before.clamp(min=_TINY)
    rest = (neurons.down - neurons.down @ bases.write @ bases.write.T).double()
    return lost + moments.inner * rest.square().sum(dim=2)


def _shares(moments: LayerMoments, neurons: Neurons) -> torch.Tensor:
    """Return (E, I) how much of the output each neuron makes: the sum of its squares."""
    return moments.inner * neurons.down.double().square().sum(dim=2)


def observe(mixture: Mixture, sequences: Iterable[Sequence[int]]) -> list[LayerMoments]:
    """Run the sequences, and return the moments of every layer.

    :raises InvalidArgument: there is none.
    """
    experts = mixture.num_experts - mixture.null_experts
    moments = [LayerMoments.of(layer, experts, mixture.top_k) for layer in mixture.layers]
    hooks = [
        layer.experts.register_forward_pre_hook(own.add)
        for layer, own in zip(mixture.layers, moments, strict=True)
    ]
    try:
        with torch.inference_mode():
            for tokens in sequences:
                mixture.model.model(input_ids=torch.tensor([list(tokens)]), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    if not len(moments[0].rows):
        raise InvalidArgument("no prompt to calibrate with: give rows or a store that has some")
    return moments


def error_of(moments: LayerMoments, experts: LowRankLayer) -> float:
    """Return the squared error of a layer's output on ``rows``, relative to the output's square."""
    neurons = moments.all_neurons()
    gate_up = torch.cat([neurons.gate, neurons.up], dim=1)
    exact = moments.output(gate_up, neurons.down.mT)
    output = moments.output(*experts.multiply_out())
    return float((output - exact).square().sum() / exact.square().sum().clamp(min=_TINY))
