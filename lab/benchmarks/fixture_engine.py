"""The mixtures of ``fixture_moe.py`` on our engine: logits, losses and speed by routing policy."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fixture_moe import CARD_FILE
from transformers import AutoTokenizer

from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import never_stop
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.engine.sequences import PrefillOutput, SequenceState
from expertrag.llm.sampling import Sampler
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_index.types import Progress
from expertrag_kernels import Routing
from expertrag_kernels.routing import AS_THE_MODEL
from expertrag_lab.metrics.types import Estimate

ROUNDS, TEXTS, DECODED = 7, 8, 48
_STEP = 128  # rows whose logits the engine returns at a time; a step has 256 at most


@dataclass(frozen=True, slots=True)
class Model:
    """A trained mixture: its card, its tokenizer, and the engine with it."""

    name: str
    card: Mapping[str, Any]
    tokenizer: Any
    network: NativeNetwork

    @classmethod
    def load(cls, name: str, folder: Path, dtype: str) -> Model:
        """Load a folder that ``fixture_moe.py`` has written."""
        network = TransformersGenerator.load(str(folder), dtype=dtype)._network
        assert isinstance(network, NativeNetwork), "our engine runs it"
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        return cls(name, card, AutoTokenizer.from_pretrained(folder), network)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What its figures depend on, how it was trained, and what its card says of it."""
        named = ("command", "code", "shape", "seed", "steps", "tokens", "seconds", "parameters")
        held = {
            rows: {name: value for name, value in item.items() if name != "usage"}
            for rows, item in self.card["held_out"].items()
        }
        told = {"held_out": held, "routing": self.card["routing"]}
        return {**{name: self.card[name] for name in named}, **told}

    @property
    def routed(self) -> tuple[int, int]:
        """Experts that tokens have used, and tokens, both counted in every layer."""
        counted = self.network.counters()
        return counted["routed_experts"], counted["routed_tokens"]

    def logits(
        self, tokens: Sequence[int], rows: int, routing: Routing = AS_THE_MODEL
    ) -> torch.Tensor:
        """Return the logits (rows, V) of the last rows of a text."""
        sequence = SequenceState([], policy=SequencePolicy(routing=routing))
        parts = [tokens[: len(tokens) - rows]] if rows < len(tokens) else []
        parts += [
            tokens[start : start + _STEP] for start in range(len(tokens) - rows, len(tokens), _STEP)
        ]
        found = []
        self.network.engine.submit(sequence)
        try:
            for place, part in enumerate(parts):
                wanted = len(part) if place or rows == len(tokens) else 1
                self.network.engine.prefill(sequence, part, wanted, return_states=False)
                output = self.network.engine.next_output(sequence, never_stop)
                assert isinstance(output, PrefillOutput), "prefill returns one"
                found.append(output.logits)
            return torch.cat(found)[-rows:]
        finally:
            self.network.free(sequence)

    def losses(self, tokens: torch.Tensor, routing: Routing) -> torch.Tensor:
        """Return the losses (R, L - 1) of rows of tokens (R, L), each token but the first."""
        found = [
            torch.nn.functional.cross_entropy(
                self.logits(row.tolist(), len(row), routing)[:-1], row[1:], reduction="none"
            )
            for row in tokens
        ]
        self.network.reset_prefix_cache()
        return torch.stack(found)

    def seconds(self, texts: Sequence[Sequence[int]], decoded: int, routing: Routing) -> float:
        """Return the seconds that texts take with so many tokens decoded after each, together."""
        self.network.reset_prefix_cache()
        started = time.perf_counter()
        sequences = [
            SequenceState(
                list(text),
                Sampler(0.0, 0, torch.device("cpu")),
                policy=SequencePolicy(routing=routing),
                token_budget=decoded,
            )
            for text in texts
        ]
        for sequence in sequences:
            self.network.engine.submit(sequence)
        for sequence in sequences:
            for _ in range(decoded):
                self.network.engine.next_output(sequence, never_stop)
            self.network.free(sequence)
        return time.perf_counter() - started


Contestant = tuple[Model, Routing]


def speeds(
    contestants: Mapping[str, Contestant], texts: Sequence[Sequence[int]], report: Progress
) -> dict[str, dict[str, Estimate]]:
    """Measure tokens per second in turns: of prompts, and decoded after one and several prompts.

    :returns: median, minimum and maximum of the rounds.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in contestants}
    length = sum(map(len, texts))
    for done in range(ROUNDS + 1):
        report("speed", done, ROUNDS + 1)
        for name in random.sample(list(contestants), len(contestants)):
            model, routing = contestants[name]
            one, short = texts[0][:32], [text[:32] for text in texts]
            took = {
                "prompt": length / model.seconds(texts, 1, routing),
                "decode, 1": DECODED / model.seconds([one], DECODED, routing),
                f"decode, {len(texts)}": len(texts) * DECODED
                / model.seconds(short, DECODED, routing),
            }  # fmt: skip
            for task, value in took.items():
                found[name].setdefault(task, []).append(value)
    report("speed", ROUNDS + 1, ROUNDS + 1)
    return {
        name: {task: _middle(values[1:]) for task, values in tasks.items()}  # the first warms up
        for name, tasks in found.items()
    }


def _middle(values: Sequence[float]) -> Estimate:
    return Estimate(statistics.median(values), min(values), max(values), len(values))
