"""Compress the experts of a mixture to a low-rank part and the neurons that it fits worst.

MC-SMoE (Li et al. 2024, "Merge, Then Compress", ICLR, arXiv 2310.01334) writes the matrices of
merged experts as UV + S, as LoSparse does (Li et al. 2023, arXiv 2306.11222): S is zero but in a
few neurons. Two things are different here, so that our engine is faster with fewer weights:

- A neuron in S is not the rest of a low-rank one, but the neuron itself.
- The experts of a layer share their bases (r, H) and (H, r). A token is multiplied by them once,
  not once for each of its experts, and the experts between them have width r.

H hidden, r rank
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.llm.engine.low_rank_experts import LowRankLayer
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.loading import model_files
from expertrag_index.types import Progress, silent
from expertrag_kernels.layout import PAD
from expertrag_lab.surgery.changes.denominators import Denominators
from expertrag_lab.surgery.changes.low_rank_fit import LayerMoments, error_of, fit, observe
from expertrag_lab.surgery.changes.neurons import NeuronLayout
from expertrag_lab.surgery.changes.record import (
    ChangedMixture,
    SurgeryStep,
    record_of,
    write_changed,
)
from expertrag_lab.surgery.changes.selection import check_names
from expertrag_lab.surgery.mixture import Mixture, MixtureLayer, load_mixture
from expertrag_lab.surgery.profiling.kept_sequences import load_sequences
from expertrag_lab.surgery.profiling.served_model import ServedModel
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt
from expertrag_lab.work_folder import work_folder

KIND = "low-rank"
WHOLE_SHARES = (0.0, 0.125, 0.25, 0.375, 0.5)
"""Shares of an expert's neurons that may stay whole: the one with the least error is used."""


@dataclass(frozen=True, slots=True)
class LowRankMixture:
    """A mixture with low-rank experts that was written.

    :param shape: the rank, and how many neurons stay whole, in words.
    :param prompts: that were calibrated with; ``skipped``: those that do not fit the context.
    """

    changed: ChangedMixture
    shape: str
    prompts: int
    skipped: int


def compress_low_rank(
    name: str,
    traffic: Sequence[TrafficPrompt],
    out: Path,
    progress: Progress,
    *,
    size: float,
    most_tokens: int,
) -> LowRankMixture:
    """Write a mixture with low-rank experts into ``out``, which appears whole or not at all.

    A killed run has the tokens of its prompts, and fits again.

    :param name: folder or hub id of a checkpoint of transformers.
    :param most_tokens: of an answer.
    :raises InvalidArgument: as :func:`compress`, or no prompt fits the context.
    :raises Conflict: ``out`` exists.
    :raises OutputTakenError: another run for ``out`` is under way.
    """
    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another folder")
    progress("compress: loading the model", 0, None)
    files, mixture = model_files(name), load_mixture(name)
    _check(mixture, size)  # before the prompts, which may take long
    identity = fingerprint(files.folder, files.gguf)
    with work_folder(out) as work:
        kept = work / f"tokens-{_key(identity, traffic, most_tokens)}.json"
        served = ServedModel(mixture, identity, most_tokens)
        sequences = load_sequences(served, traffic, kept, 1, progress)
        domains = tuple(dict.fromkeys(item.domain for item in traffic))
        changed = compress(
            mixture, sequences, source=identity, size=size, domains=domains, progress=progress
        )
        made = write_changed(changed, mixture, out, progress)
    return LowRankMixture(made, made.step.method, len(sequences), len(traffic) - len(sequences))


def compress(
    mixture: Mixture,
    sequences: Iterable[Sequence[int]],
    *,
    source: str,
    size: float,
    domains: Sequence[str] = (),
    progress: Progress = silent,
) -> Mixture:
    """Return a mixture whose experts have a share of the weights.

    Its plain weights are the factors multiplied out, for transformers; our engine uses the factors.

    :param sequences: tokens of prompts as they are served, to calibrate with.
    :param source: fingerprint of the mixture's files, for the record.
    :param size: share of the experts' weights, in (0, 1).
    :param domains: of the prompts, for the record.
    :raises InvalidArgument: the size is not possible, there is no prompt, or the experts have names
        or biases.
    """
    _check(mixture, size)
    moments = observe(mixture, sequences)
    rank, whole = _best_shape(moments, _shapes(moments[0], size), progress)
    plain, low_rank = [], []
    for done, own in enumerate(moments):
        progress("compress layers", done, len(moments))
        made = fit(own, rank, whole).to(mixture.model.dtype)
        plain.append(_multiply_out(own.layer, made))
        low_rank.append(made)
    progress("compress layers", len(moments), len(moments))
    shape = f"rank {rank}, {whole} of {moments[0].inner.shape[1]} neurons of an expert whole"
    every = [list(range(mixture.num_experts))] * len(moments)
    step = SurgeryStep(KIND, source, shape, tuple(domains), Denominators.KEEP, every)
    return mixture.with_low_rank(plain, low_rank, **record_of(mixture, step))


def _check(mixture: Mixture, size: float) -> None:
    """Check that a mixture can be compressed.

    :raises InvalidArgument: it cannot, or ``size`` is not a share.
    """
    if not 0.0 < size < 1.0:
        raise InvalidArgument(f"size must be a share between 0 and 1; got {size:g}")
    check_names(mixture)
    if mixture.low_rank or mixture.light_experts:
        raise InvalidArgument(
            f"{mixture.name} is compressed already: compress the model that it was made from"
        )
    if any("bias" in name for layer in mixture.layers for name in layer.experts.state_dict()):
        raise InvalidArgument(
            f"the experts of {mixture.name} have biases, and cannot be compressed"
        )


def _best_shape(
    moments: Sequence[LayerMoments], shapes: Sequence[tuple[int, int]], progress: Progress
) -> tuple[int, int]:
    """Return the rank and the number of whole neurons with the least error, mean of the layers."""
    errors = [0.0] * len(shapes)
    for done, own in enumerate(moments):
        progress("compress: try ranks", done, len(moments))
        for place, shape in enumerate(shapes):
            errors[place] += error_of(own, fit(own, *shape))
    progress("compress: try ranks", len(moments), len(moments))
    return shapes[min(range(len(shapes)), key=errors.__getitem__)]


def _shapes(moments: LayerMoments, size: float) -> list[tuple[int, int]]:
    """Return the pairs of a rank and a number of whole neurons that have the size.

    :raises InvalidArgument: there is none.
    """
    experts, inner = moments.inner.shape
    hidden = len(moments.inputs)
    shapes: dict[tuple[int, int], None] = {}
    for share in WHOLE_SHARES:
        whole = _whole_blocks(round(share * inner))
        budget = 3 * experts * hidden * (size * inner - whole)
        rank = int(budget // (3 * experts * (inner - whole) + 2 * hidden))
        if rank >= 1:
            shapes[_whole_blocks(min(rank, hidden)), whole] = None
    if not shapes:
        raise InvalidArgument(
            f"a size of {size:g} leaves less than a rank of 1 for the experts: give a larger one"
        )
    return list(shapes)


def _whole_blocks(width: int) -> int:
    """Round a width down to whole blocks, as kernels pad it up to these."""
    return width - width % PAD if width > PAD else width


def _multiply_out(layer: MixtureLayer, experts: LowRankLayer) -> dict[str, torch.Tensor]:
    """Return a layer's weights with the factors multiplied out; null experts stay."""
    layout = NeuronLayout.of(layer.experts)
    after = {name: tensor.detach().clone() for name, tensor in layer.weights.items()}
    gate_up, down = experts.multiply_out()
    for expert in range(len(down)):
        gate, up = gate_up[expert].chunk(2)
        layout.write(after, expert, torch.cat([gate, up, down[expert].T], dim=1))
    return after


def _key(identity: str, traffic: Sequence[TrafficPrompt], most_tokens: int) -> str:
    """Hash everything that the tokens of the prompts depend on."""
    parts = [identity, most_tokens, [asdict(item) for item in traffic]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
