"""Train a small token-routed mixture, for work on routing: its experts differ by domain.

    OMP_WAIT_POLICY=passive python lab/benchmarks/fixture_moe.py --data DATA --out FOLDER

The mixtures that are shipped route by sequence, or have equal experts, so nothing about routing by
token can be seen on them. This one is a checkpoint of transformers (Qwen2-MoE) in bfloat16 with a
tokenizer of its own, trained from random weights on texts and prompts of six domains; see
``fixture_texts.py``. FOLDER/README.md has its losses and its usage of experts, FOLDER/fixture.json
the same in full. A killed training continues from its last evaluation when the command is repeated.

With ``--null-experts`` it is trained with null experts (AdaMoE, Zeng et al. 2024), of which a token
may choose some instead of true ones.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import results_file
import torch
from fixture_card import Held, body_of, card, measured, routing_use
from fixture_network import Shape, balance_loss, new_model, run
from fixture_texts import (
    ROW_TOKENS,
    TEXTS,
    Rows,
    RowSets,
    new_tokenizer,
    rows_of,
    test_prompts,
    texts_of,
    train_prompts,
)
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from expertrag.cli.progress import progress
from expertrag.llm.load.loading import quiet
from expertrag.runtime.threads import all_cores
from expertrag_index.types import Progress
from expertrag_lab.data.named_sets import TRAIN
from expertrag_lab.embedder.loop import Schedule, TrainingLoop, TrainingResult
from expertrag_lab.work_folder import work_folder
from expertrag_retriever.publish import publish

BALANCE = 0.01
"""Weight of the load balancing loss."""
SCHEDULE = Schedule(learning_rate=4e-3, warm_up=0.03, evaluations=8, weight_decay=0.1)
CARD_FILE = "fixture.json"
CODE = (
    "lab/benchmarks/fixture_moe.py",
    "lab/benchmarks/fixture_network.py",
    "lab/benchmarks/fixture_texts.py",
)
_WATCHED = 4  # held-out rows of each kind, in evaluations during the training


@dataclass(frozen=True, slots=True)
class Profile:
    """Length of a training: its steps, texts of a domain and prompts of a data set at most.

    ``held``: test texts of a domain, and test prompts of a data set, in the card.
    """

    steps: int
    texts: int
    prompts: int
    held: int


PROFILES = {
    "tiny": Profile(4, 60, 30, 20),
    "small": Profile(250, 3000, 1000, 60),
    "full": Profile(1200, 8000, 4000, 200),
}
"""tiny: for tests. small, full: 3 and 15 minutes on 2 cores that nothing else uses."""


@dataclass(frozen=True, slots=True)
class Point:
    """An evaluation: mean training loss since the last one, and held-out losses by rows."""

    step: int
    loss: float | None
    held: Mapping[str, float]
    answers: float
    experts: float

    @property
    def mean(self) -> float:
        """Mean held-out loss over the kinds of rows."""
        return sum(self.held.values()) / len(self.held)

    def __str__(self) -> str:
        loss = "" if self.loss is None else f"loss {self.loss:.3f}, "
        return (
            f"{loss}held-out {self.mean:.3f}, answers {self.answers:.3f}, "
            f"{self.experts:.2f} experts a token"
        )


@dataclass(frozen=True, slots=True)
class Material:
    """The tokenizer, and the rows to train on and to measure on."""

    tokenizer: Any
    train: RowSets
    held: RowSets


def main() -> None:
    """Train a mixture and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--profile", choices=PROFILES, default="full")
    parser.add_argument("--steps", type=int, help="steps of the training, if not the profile's")
    parser.add_argument("--experts", type=int, default=Shape().experts, help="true ones of a layer")
    parser.add_argument("--null-experts", type=int, default=0, help="null ones of a layer")
    parser.add_argument("--top-k", type=int, default=Shape().top_k, help="experts of a token")
    parser.add_argument("--normalise", action="store_true", help="weights that sum to 1")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.out.exists():
        parser.error(f"{given.out} exists already")
    shape = Shape(
        experts=given.experts,
        null_experts=given.null_experts,
        top_k=given.top_k,
        normalise=given.normalise,
    )
    profile = PROFILES[given.profile]
    with progress() as report, quiet():
        train(
            given.data, given.out, shape, profile, given.steps or profile.steps, given.seed, report
        )
    print((given.out / "README.md").read_text(encoding="utf-8"))


def train(
    data: Path, out: Path, shape: Shape, profile: Profile, steps: int, seed: int, report: Progress
) -> None:
    """Train a mixture; the state is in ``OUT.partial`` until the folder appears as a whole."""
    with work_folder(out) as partial, all_cores():
        material = prepared(data, profile, shape.words, partial, report)
        model = new_model(shape, material.tokenizer.eos_token_id, seed)
        key = f"{shape}{profile}{steps}{seed}"
        work = partial / f"training-{results_file.hash_of({'key': key.encode()})}"
        found = trained(model, material, shape, steps, seed, work, report)
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(found.weights[name].bfloat16())  # the card is of what is written
        held = measured(model, material.held, shape.top_k)
        body = {
            "command": results_file.command(sys.argv),
            "code": {path: results_file.code_hash(path) for path in CODE},
            "shape": asdict(shape),
            "seed": seed,
            "steps": steps,
            "tokens": steps * len(TEXTS) * ROW_TOKENS,
            "seconds": round(found.seconds, 1),
            "parameters": sum(value.numel() for value in model.parameters()),
            **body_of(held, shape),
            "points": [asdict(point) for point in found.points],
        }
        with publish(out) as scratch:
            model.bfloat16().save_pretrained(scratch)
            material.tokenizer.save_pretrained(scratch)
            (scratch / CARD_FILE).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
            (scratch / "README.md").write_text(card(body), encoding="utf-8")


def prepared(data: Path, profile: Profile, words: int, folder: Path, report: Progress) -> Material:
    """Read the data sets; a training that continues finds tokenizer and rows in ``folder``."""
    kept = folder / f"material-{results_file.hash_of({'key': f'{profile}{words}'.encode()})}"
    if not kept.is_dir():
        report("fixture: reading texts", 0, 1)
        texts = texts_of(data, TRAIN, profile.texts)
        tokenizer = new_tokenizer((text for some in texts.values() for text in some), words)
        prompts = train_prompts(data, profile.prompts, report)
        tests = texts_of(data, "test", profile.held)
        asked = test_prompts(data, profile.held, report)
        report("fixture: reading texts", 1, 1)
        with publish(kept) as scratch:
            tokenizer.save_pretrained(scratch)
            for name, rows in (
                ("train", rows_of(texts, prompts, tokenizer)),
                ("held", rows_of(tests, asked, tokenizer)),
            ):
                save_file(_flat(rows), scratch / f"{name}.safetensors")
    train, held = (_rows(load_file(kept / f"{name}.safetensors")) for name in ("train", "held"))
    return Material(AutoTokenizer.from_pretrained(kept), train, held)


def _flat(sets: RowSets) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{field}": getattr(rows, field).contiguous()
        for name, rows in sets.items()
        for field in ("tokens", "weights")
    }


def _rows(flat: Mapping[str, torch.Tensor]) -> RowSets:
    names = sorted({name.partition("/")[0] for name in flat})
    return {name: Rows(flat[f"{name}/tokens"], flat[f"{name}/weights"]) for name in names}


def trained(
    model: Any,
    material: Material,
    shape: Shape,
    steps: int,
    seed: int,
    work: Path,
    report: Progress,
) -> TrainingResult[Point]:
    """Train to the end; continue from the last evaluation if there is one."""
    plan = planned(material.train, steps, seed)
    watched = {
        name: Rows(rows.tokens[:_WATCHED], rows.weights[:_WATCHED])
        for name, rows in material.held.items()
    }
    loop = TrainingLoop[Point](dict(model.named_parameters()), SCHEDULE, work, report)
    return loop.run(
        steps,
        lambda step: _backward(model, shape, material.train, plan[step]),
        lambda step, loss: _evaluated(step, loss, measured(model, watched, shape.top_k), shape),
        restore=Point,
        best=lambda points: min(range(len(points)), key=lambda place: points[place].mean),
        stage="fixture",
    )


Batch = Sequence[tuple[str, int]]
"""Names and numbers of rows."""


def planned(sets: RowSets, steps: int, seed: int) -> list[Batch]:
    """Plan one row of each domain for every step: a text and, if there are any, prompts in turn.

    All rows of a kind are used before one is used again.
    """
    rng = random.Random(seed)
    waiting: dict[str, list[int]] = {}
    plan: list[Batch] = []
    for step in range(steps):
        batch = []
        for domain in TEXTS:
            asked = f"{domain} prompts"
            name = asked if step % 2 and asked in sets else f"{domain} text"
            if not waiting.get(name):
                count = len(sets[name].tokens)
                waiting[name] = rng.sample(range(count), count)
            batch.append((name, waiting[name].pop()))
        plan.append(batch)
    return plan


def _backward(model: Any, shape: Shape, sets: RowSets, batch: Batch) -> float:
    tokens = torch.stack([sets[name].tokens[row] for name, row in batch])
    weights = torch.stack([sets[name].weights[row] for name, row in batch])[:, 1:].float()
    found = run(model, tokens)
    loss = (found.losses * weights).sum() / weights.sum()
    balance = balance_loss(found.routers, shape.top_k, shape.null_experts)
    torch.autograd.backward(loss + BALANCE * balance)
    return float(loss.detach())


def _evaluated(step: int, loss: float | None, held: Mapping[str, Held], shape: Shape) -> Point:
    answers = [item.answer_loss for item in held.values() if item.answer_loss is not None]
    experts = routing_use(held, shape).experts
    return Point(
        step,
        loss,
        {name: item.loss for name, item in held.items()},
        sum(answers) / max(1, len(answers)),
        sum(experts) / len(experts),
    )


if __name__ == "__main__":
    main()
