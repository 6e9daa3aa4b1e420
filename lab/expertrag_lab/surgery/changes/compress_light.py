"""Compress a mixture to one with light experts, for prompts as they are served.

A router chooses K experts for a token. The experts of the least weights become vectors and a few
neurons (after Compressed Experts, He et al. 2025; :mod:`expertrag_kernels.light`). A killed run
continues from the last evaluation of its training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.loading import model_files
from expertrag_index.types import Progress
from expertrag_lab.surgery.changes.denominators import Denominators
from expertrag_lab.surgery.changes.light_training import LightRecipe, LightTrainer
from expertrag_lab.surgery.changes.record import (
    ChangedMixture,
    SurgeryStep,
    record_of,
    write_changed,
)
from expertrag_lab.surgery.mixture import Mixture, load_mixture
from expertrag_lab.surgery.profiling.kept_sequences import load_sequences
from expertrag_lab.surgery.profiling.served_model import ServedModel
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt
from expertrag_lab.work_folder import work_folder

METHOD = "distillation"


@dataclass(frozen=True, slots=True)
class LightMixture:
    """A mixture with light experts that was written.

    :param light_experts: of a token.
    :param dropped: held-out divergence from the whole mixture if the same experts are dropped,
        nats a token; ``divergence``: with light experts in their place.
    :param prompts: that were trained on or held out; ``skipped``: those that do not fit the model's
        context.
    """

    changed: ChangedMixture
    light_experts: int
    dropped: float
    divergence: float
    prompts: int
    skipped: int
    seconds: float


def compress_light(
    name: str,
    traffic: Sequence[TrafficPrompt],
    out: Path,
    progress: Progress,
    *,
    per_token: int,
    most_tokens: int,
    recipe: LightRecipe,
) -> LightMixture:
    """Write a mixture with light experts into ``out``, which appears whole or not at all.

    :param name: folder or hub id of a checkpoint of transformers.
    :param per_token: experts of a token that compute; the others that its router chooses are light.
    :param most_tokens: of an answer.
    :raises InvalidArgument: the model is not such a mixture, or has light experts already; the
        number is not possible; or fewer than two prompts fit its context.
    :raises Conflict: ``out`` exists.
    :raises OutputTakenError: another run for ``out`` is under way.
    """
    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another folder")
    progress("light experts: loading the model", 0, None)
    files, mixture = model_files(name), load_mixture(name, torch.float32)
    light = light_experts_of(mixture, per_token)
    identity = fingerprint(files.folder, files.gguf)
    served = ServedModel(mixture, identity, most_tokens)
    with work_folder(out) as work:
        key = _key(identity, traffic, light, most_tokens, recipe)
        kept = work / f"tokens-{key}.json"
        sequences = load_sequences(served, traffic, kept, 2, progress)
        trainer = LightTrainer(mixture, light, recipe)
        trained = trainer.train(sequences, work / f"training-{key}", progress)
        del served, trainer, mixture  # before the model is loaded as it is stored
        before = load_mixture(name)
        domains = tuple(dict.fromkeys(item.domain for item in traffic))
        changed = lit(before, list(trained.weights.values()), light, identity, domains)
        made = write_changed(changed, before, out, progress)
    return LightMixture(
        made,
        light,
        trained.before.held,
        trained.after.held,
        len(sequences),
        len(traffic) - len(sequences),
        trained.seconds,
    )


def light_experts_of(mixture: Mixture, per_token: int) -> int:
    """Return how many of a token's experts are light, if so many compute.

    :raises InvalidArgument: the number is not possible, or the mixture cannot have light experts.
    """
    if mixture.light_experts:
        raise InvalidArgument(
            f"{mixture.name} has light experts already: compress the model that it was made from"
        )
    if getattr(mixture.model.config, "expert_names", None):
        raise InvalidArgument(
            f"{mixture.name} has an expert for each domain, and a text uses one of them: there is "
            "no other to replace"
        )
    if not 1 <= per_token < mixture.top_k:
        raise InvalidArgument(
            f"experts per token must be fewer than the {mixture.top_k} that the router of "
            f"{mixture.name} chooses, at least 1; got {per_token}"
        )
    return mixture.top_k - per_token


def lit(
    mixture: Mixture,
    vectors: Sequence[torch.Tensor],
    light: int,
    identity: str,
    domains: Sequence[str],
) -> Mixture:
    """Return a mixture with light experts that records how they were made.

    :param vectors: (E, 3 + 3 N, H) of each layer.
    :param identity: fingerprint of the mixture's files.
    :param domains: of the prompts.
    """
    every = [list(range(mixture.num_experts))] * len(mixture.layers)
    step = SurgeryStep("light", identity, METHOD, tuple(domains), Denominators.KEEP, every)
    return mixture.with_light(vectors, light, **record_of(mixture, step))


def _key(
    identity: str,
    traffic: Sequence[TrafficPrompt],
    light: int,
    most_tokens: int,
    recipe: LightRecipe,
) -> str:
    """Hash everything that the training depends on."""
    items = [asdict(item) for item in traffic]
    parts = [identity, light, most_tokens, asdict(recipe), items]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
