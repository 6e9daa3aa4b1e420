"""Parameters and tokens a second of pruned, merged and compressed mixtures on our engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fixture_engine import TEXTS, Model, speeds
from surgery_texts import Traffic
from surgery_variants import MIX, SHARES, SurgeryBench
from transformers import AutoTokenizer

from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag_index.types import Progress
from expertrag_kernels import Routing
from expertrag_lab.surgery.changes.record import MixtureSize
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import Method

PRUNED = Method.EASY_EP
"""Method of the pruned mixtures that merged ones are compared with."""
PROMPT_TOKENS = 256


def sizes_and_speeds(
    bench: SurgeryBench, traffic: Mapping[str, Traffic], folder: Path, report: Progress
) -> dict[str, Any]:
    """Write mixtures of every share to a folder, and measure them in turns on our engine."""
    mixtures = {"full": bench.mixture}
    for share in SHARES:
        mixtures[f"pruned {share:g}"] = bench.pruned(share, PRUNED, MIX)
    mixtures.update({name: make() for name, make in bench.smaller().items()})
    models = {name: on_engine(name, item, folder) for name, item in mixtures.items()}
    prompts = [tokens[:PROMPT_TOKENS] for item in traffic.values() for tokens in item.tokens[:2]]
    found = speeds(
        {name: (model, Routing()) for name, model in models.items()}, prompts[:TEXTS], report
    )
    return {
        name: {
            "parameters": MixtureSize.of(mixtures[name]).parameters,
            "speed": {task: asdict(value) for task, value in found[name].items()},
        }
        for name in mixtures
    }


def on_engine(name: str, mixture: Mixture, folder: Path) -> Model:
    """Write a mixture in bfloat16 into a folder of its own in ``folder``, and load it."""
    place = folder / _file(name)
    place.mkdir(parents=True)
    Mixture(mixture.model.bfloat16(), mixture.tokenizer, name, "").save(place, "")
    network = TransformersGenerator.load(str(place), dtype="bfloat16")._network
    assert isinstance(network, NativeNetwork), "our engine runs it"
    return Model(name, {}, AutoTokenizer.from_pretrained(place), network)


def _file(name: str) -> str:
    return name.replace(" ", "-")
