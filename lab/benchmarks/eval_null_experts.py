"""Null experts: held-out losses, experts a token and speed, beside mixtures without them.

    python lab/benchmarks/eval_null_experts.py --data DATA --models FOLDER ... --json FILE

The folders are of ``fixture_moe.py``, of trainings of the same length: the first one without null
experts. Losses are on our engine, of rows of test splits; a change is that of the mean loss of a
row, with its interval over the rows. Models with null experts are measured with fewer of them, too,
others with one expert less a token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import results_file
import torch
from fixture_engine import TEXTS, Contestant, Model, speeds
from fixture_texts import ANSWER_WEIGHT, RowSets, rows_of, test_prompts, texts_of
from reader_figures import means

from expertrag.cli.progress import progress
from expertrag.llm.load.loading import quiet
from expertrag_index.types import Progress
from expertrag_kernels import Routing

QUICK, PROMPT_TOKENS = 10, 256
CODE = (
    *results_file.ENGINE,
    "lab/benchmarks/fixture_engine.py",
    "lab/benchmarks/fixture_moe.py",
    "lab/benchmarks/fixture_network.py",
    "lab/benchmarks/fixture_texts.py",
    "lab/benchmarks/eval_null_experts.py",
)


def main() -> None:
    """Measure the models, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--texts", type=int, default=100, help="test texts of a domain")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} texts")
    given = parser.parse_args()
    with progress() as report, quiet():
        models = [Model.load(folder.name, folder, given.dtype) for folder in given.models]
        count = QUICK if given.quick else given.texts
        body = Bench(models, given.data, count, report).body()
    body["inputs"] = {"texts": count, "dtype": given.dtype}
    results_file.write(given.json, body, CODE)
    for name, found in body["runs"].items():
        print(f"{name}: loss {found['loss']:.4f}, {found['experts']:.2f} experts a token")


class Bench:
    """Models of one training length, on the same texts."""

    def __init__(self, models: Sequence[Model], data: Path, count: int, report: Progress) -> None:
        self._models, self._report = models, report
        self._texts = texts_of(data, "test", count)
        self._prompts = test_prompts(data, count, report)

    def body(self) -> dict[str, Any]:
        """Measure all models with all of their policies."""
        runs: dict[str, dict[str, Any]] = {}
        contestants: dict[str, Contestant] = {}
        base: Mapping[str, list[float]] = {}
        for model in self._models:
            rows = rows_of(self._texts, self._prompts, model.tokenizer)
            for policy in _policies(model):
                name = f"{model.name}, {policy}"
                found, losses = self._run(model, rows, policy)
                base = base or losses
                before, after = (
                    [loss for some in side.values() for loss in some] for side in (base, losses)
                )
                change = means(name, before, after).change
                assert change is not None, "there are rows"
                runs[name] = {**found, "change": asdict(change)}
                contestants[name] = model, policy
        texts = [row[:PROMPT_TOKENS].tolist() for row in _first(rows)[:TEXTS]]
        for name, found_speeds in speeds(contestants, texts, self._report).items():
            runs[name]["speed"] = {task: asdict(value) for task, value in found_speeds.items()}
        return {"models": {model.name: model.inputs for model in self._models}, "runs": runs}

    def _run(
        self, model: Model, rows: RowSets, policy: Routing
    ) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """Return the figures of a policy, and the losses of each row by kind."""
        experts, tokens = model.routed
        losses: dict[str, list[float]] = {}
        answers: list[float] = []
        for done, (name, some) in enumerate(rows.items()):
            self._report(f"{model.name}, {policy}", done, len(rows))
            found, weights = model.losses(some.tokens, policy), some.weights[:, 1:]
            losses[name] = [
                float(loss[weight > 0].mean()) for loss, weight in zip(found, weights, strict=True)
            ]
            if bool((weights == ANSWER_WEIGHT).any()):
                answers.append(float(found[weights == ANSWER_WEIGHT].mean()))
        self._report(f"{model.name}, {policy}", len(rows), len(rows))
        used, seen = (
            after - before for after, before in zip(model.routed, (experts, tokens), strict=True)
        )
        kinds = {name: sum(some) / len(some) for name, some in losses.items()}
        figures = {
            "model": model.name,
            "policy": str(policy),
            "loss": sum(kinds.values()) / len(kinds),
            "answers": sum(answers) / len(answers),
            "losses": kinds,
            "experts": used / seen,
        }
        return figures, losses


def _policies(model: Model) -> Iterator[Routing]:
    nulls = model.card["shape"]["null_experts"]
    yield Routing()
    if nulls:
        yield Routing(null=nulls // 2)
        yield Routing(null=0)
    else:
        yield Routing(top_k=model.card["shape"]["top_k"] - 1)


def _first(rows: RowSets) -> torch.Tensor:
    return next(iter(rows.values())).tokens


if __name__ == "__main__":
    main()
