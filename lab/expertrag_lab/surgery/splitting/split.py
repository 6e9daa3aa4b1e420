"""Split a dense model into a mixture of experts, on prompts as they are served.

What takes long is kept in a work folder. These are the tokens of the prompts, the inputs of the
feed-forward networks, the split of every layer, and the epochs of the pre-gate. A killed run
continues there, to the same model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from expertrag.api.errors import Conflict
from expertrag.llm.convert.checkpoint import new_folder
from expertrag.llm.convert.dense import Dense, weights_of
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.low_rank_file import SURGERY_KEY
from expertrag_index.types import Progress
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.served_model import ServedModel
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt
from expertrag_lab.surgery.splitting.assembly import assemble
from expertrag_lab.surgery.splitting.dense_inputs import dense_inputs
from expertrag_lab.surgery.splitting.layer_split import LayerSplit, split_layer
from expertrag_lab.surgery.splitting.pre_gate import PreGate, save_pre_gate
from expertrag_lab.surgery.splitting.pre_gate_training import (
    PreGateRecipe,
    RoutedTexts,
    recall,
    recall_of_frequent,
    train_pre_gate,
)
from expertrag_lab.surgery.splitting.split_card import split_card
from expertrag_lab.surgery.splitting.split_report import PreGateRecall, SplitLoss, SplitReport
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes
from expertrag_lab.surgery.splitting.split_texts import SplitTexts, next_token_loss
from expertrag_lab.surgery.splitting.splittable import load_splittable
from expertrag_lab.surgery.verification.router_agreement import choices
from expertrag_lab.work_folder import work_folder

MOST_INPUTS = 8192
"""Tokens whose activations neurons are clustered by: they are in memory, for all layers."""
_VERSION = 2  # of what is kept: files of another version are not continued


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How a model is split.

    :param most_tokens: of an answer.
    :param pre_gate: how one is trained; None for none.
    """

    sizes: SplitSizes
    most_tokens: int = 64
    seed: int = 0
    pre_gate: PreGateRecipe | None = None


def split_model(
    name: str,
    traffic: Sequence[TrafficPrompt],
    settings: SplitSettings,
    out: Path,
    progress: Progress,
) -> SplitReport:
    """Write a dense model as a mixture of experts into ``out``, which appears whole or not at all.

    :param name: as in :func:`load_splittable`.
    :raises InvalidArgument: the model cannot be split, or not into these experts, or prompts are
        too few or too long.
    :raises Conflict: ``out`` exists.
    :raises OutputTakenError: another run for ``out`` is under way.
    """
    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another folder")
    progress("split: load model", 0, None)
    dense, files = load_splittable(name), weights_of(name)
    model: Any = dense.model
    settings.sizes.width(model.config.intermediate_size)
    identity = fingerprint(files.folder, files.gguf)
    with work_folder(out) as work:
        known = work / f"split-{_key(identity, traffic, settings)}"
        known.mkdir(exist_ok=True)
        run = _Run(dense, identity, settings, known, progress)
        texts = run.texts(traffic)
        before = next_token_loss(model, texts.held)
        layers = run.layers(texts)
        step = {"kind": "split", "source": identity, "sizes": asdict(settings.sizes), "experts": []}
        mixture = assemble(dense, layers, settings.sizes, {SURGERY_KEY: [step]})
        loss = _loss(mixture, before, texts.held)
        gate, recall = run.pre_gate(mixture, texts)
        report = SplitReport.of(mixture, identity, settings.sizes, layers, texts, loss, recall)
        with new_folder(out) as scratch:
            progress("write model", 0, 1)
            mixture.save(scratch, split_card(report, mixture))
            if gate is not None:
                save_pre_gate(gate, scratch)
            progress("write model", 1, 1)
    return report


@dataclass(frozen=True, slots=True)
class _Run:
    """The steps of a run, whose results are kept in the folder ``known``."""

    dense: Dense
    identity: str
    settings: SplitSettings
    known: Path
    progress: Progress

    def texts(self, traffic: Sequence[TrafficPrompt]) -> SplitTexts:
        served = ServedModel(self.dense, self.identity, self.settings.most_tokens)

        def make() -> dict[str, torch.Tensor]:
            sequences = served.fitting(traffic, self.progress)
            return {str(place): torch.tensor(text) for place, text in sequences}

        kept = _load_or_make(self.known / "texts.safetensors", make)
        tokens = {int(place): text.tolist() for place, text in kept.items()}
        return SplitTexts.of(traffic, dict(sorted(tokens.items())))

    def layers(self, texts: SplitTexts) -> list[LayerSplit]:
        model: Any = self.dense.model
        networks = [layer.mlp for layer in model.model.layers]
        paths = [self.known / f"layer-{number}.safetensors" for number in range(len(networks))]
        inputs = {} if all(path.is_file() for path in paths) else self._inputs(texts)
        splits = []
        for number, (network, path) in enumerate(zip(networks, paths, strict=True)):
            self.progress("split: layers", number, len(networks))
            make = partial(_layer, network, inputs.get(str(number)), self.settings.sizes)
            splits.append(LayerSplit.of(_load_or_make(path, make)))
        self.progress("split: layers", len(networks), len(networks))
        return splits

    def _inputs(self, texts: SplitTexts) -> dict[str, torch.Tensor]:
        def make() -> dict[str, torch.Tensor]:
            seed = self.settings.seed
            inputs = dense_inputs(self.dense.model, texts.seen, MOST_INPUTS, seed, self.progress)
            return {str(number): own for number, own in enumerate(inputs)}

        return _load_or_make(self.known / "inputs.safetensors", make)

    def pre_gate(
        self, mixture: Mixture, texts: SplitTexts
    ) -> tuple[PreGate | None, PreGateRecall | None]:
        recipe, count = self.settings.pre_gate, mixture.top_k
        if recipe is None:
            return None, None
        seen, held = (
            RoutedTexts(own, choices(mixture, own, self.progress), mixture.num_experts)
            for own in (texts.seen, texts.held)
        )
        embeddings = mixture.model.get_input_embeddings().weight.float()
        gate = train_pre_gate(embeddings, seen, recipe, self.known / "pre_gate", self.progress)
        size = sum(weight.numel() for weight in gate.parameters())
        own = recall(gate, embeddings, held, count)
        return gate, PreGateRecall(size, own, recall_of_frequent(seen, held, count))


def _layer(network: Any, inputs: torch.Tensor | None, sizes: SplitSizes) -> dict[str, torch.Tensor]:
    assert inputs is not None, "they are there unless all layers are"
    return split_layer(network, inputs, sizes).tensors()


def _loss(mixture: Mixture, before: float, held: Sequence[Sequence[int]]) -> SplitLoss:
    """Measure a mixture with the experts that a token uses, and with all of them."""
    routers: list[Any] = [layer.router for layer in mixture.layers]
    after = next_token_loss(mixture.model, held)
    for router in routers:
        router.top_k = mixture.num_experts
    whole = next_token_loss(mixture.model, held)
    for router in routers:
        router.top_k = mixture.top_k
    tokens = sum(len(text) - 1 for text in held)
    return SplitLoss(before, whole, after, len(held), tokens)


def _load_or_make(
    path: Path, make: Callable[[], Mapping[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, which is made if it is not there yet."""
    from safetensors.torch import load_file, save_file

    if not path.is_file():
        begun = path.with_suffix(".begun")
        tensors = {name: value.contiguous() for name, value in make().items()}
        save_file(tensors, begun)
        os.replace(begun, path)  # a killed run leaves no half file
    result: dict[str, torch.Tensor] = load_file(path)
    return result


def _key(identity: str, traffic: Sequence[TrafficPrompt], settings: SplitSettings) -> str:
    """Hash everything that the kept files depend on."""
    asked = [asdict(item) for item in traffic]
    own = asdict(settings.pre_gate) if settings.pre_gate else None
    given = [asdict(settings.sizes), settings.most_tokens, settings.seed, MOST_INPUTS, own]
    parts = [_VERSION, identity, given, asked]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
