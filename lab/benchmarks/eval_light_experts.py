"""Light experts: held-out losses, active parameters and speed, beside experts that are dropped.

    python lab/benchmarks/eval_light_experts.py --data DATA --fixture FOLDER --json FILE

On the mixture of ``fixture_moe.py``, which is trained first if FOLDER does not exist. For half of
its experts per token and for fewer, light experts are trained on train prompts of all domains;
losses are of test prompts, relative to the whole mixture, on average over the domains. Its experts
are too small for their number to matter to speed: tokens a second are of the same mixtures with
neurons that are zero, ``NEURONS`` in each expert. A killed run continues from the last evaluation
of a training, which is kept in --work.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fixture_moe
import results_file
import torch
from eval_surgery import TEXT_CODE, trained_fixture
from fixture_engine import TEXTS, speeds
from light_tables import light
from residency_trained import padded
from surgery_speed import PROMPT_TOKENS, on_engine
from surgery_stats import closed, rise
from surgery_texts import PromptLosses, Traffic, losses_of, traffic_of

from expertrag.cli.progress import progress
from expertrag.llm.engine.families import light_vectors
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.loading import quiet
from expertrag.runtime.threads import all_cores
from expertrag_index.types import Progress
from expertrag_kernels import Routing
from expertrag_lab.data.named_sets import TRAIN
from expertrag_lab.surgery.changes.light_training import LightRecipe, LightTrainer
from expertrag_lab.surgery.mixture import Mixture, load_mixture

TRAINING = (
    "lab/expertrag_lab/surgery/mixture.py",
    "lab/expertrag_lab/surgery/changes/light_training.py",
    "kernels/expertrag_kernels/light.py",
)
CODE = (
    *results_file.ENGINE,
    *TRAINING,
    *TEXT_CODE,
    "lab/benchmarks/fixture_engine.py",
    "lab/benchmarks/fixture_moe.py",
    "lab/benchmarks/fixture_network.py",
    "lab/benchmarks/surgery_speed.py",
    "lab/benchmarks/surgery_stats.py",
    "lab/benchmarks/residency_trained.py",
    "lab/benchmarks/eval_light_experts.py",
)
FULL = "full"
NEURONS = 4096
Losses = Mapping[str, PromptLosses]


@dataclass(frozen=True, slots=True)
class LightSize:
    """Prompts of a domain that are trained and reported on, and steps of a training."""

    seen: int
    held: int
    steps: int


SIZES = {
    "tiny": LightSize(6, 4, 4),
    "small": LightSize(200, 24, 300),
    "full": LightSize(800, 60, 1000),
}
"""Named as the trainings of the fixture; tiny: to see that it runs."""


def main() -> None:
    """Train, measure, print the table, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--fixture", type=Path, help="folder of the mixture; default: in --work")
    parser.add_argument("--profile", choices=SIZES, default="full")
    parser.add_argument("--quick", action="store_true", help="--profile tiny")
    parser.add_argument("--no-speed", action="store_true", help="leave out tokens a second")
    given = parser.parse_args()
    name = "tiny" if given.quick else given.profile
    size, folder = SIZES[name], given.fixture or given.work / f"fixture-{name}"
    with progress() as report, quiet(), all_cores():
        trained_fixture(given.data, folder, name, report)
        bench = LightBench.prepared(given.data, folder, size, given.work / "light", report)
        body = bench.body()
        with nullcontext() if given.no_speed else tempfile.TemporaryDirectory() as scratch:
            if scratch:
                bench.add_engine(body["runs"], Path(scratch))
    card = json.loads((folder / fixture_moe.CARD_FILE).read_text(encoding="utf-8"))
    model = {name: card[name] for name in ("command", "shape", "steps", "tokens", "parameters")}
    body["inputs"] = {"model": model, "profile": name, "size": asdict(size)}
    print("\n".join(light(body)))
    results_file.write(given.json, body, CODE)


class LightBench:
    """A mixture, the prompts to train and to report on, and its forms with fewer experts."""

    def __init__(
        self,
        mixture: Mixture,
        seen: Mapping[str, Traffic],
        held: Mapping[str, Traffic],
        recipe: LightRecipe,
        work: Path,
        report: Progress,
    ) -> None:
        """Take a mixture in float32.

        :param work: folder of the trainings.
        """
        self._held, self._recipe, self._report = held, recipe, report
        self._sequences = [tokens for item in seen.values() for tokens in item.tokens]
        self._work = work
        self._made: dict[str, Mixture] = {FULL: mixture}
        for per_token in range(mixture.top_k // 2, 0, -1):
            self._made[f"dropped {per_token}"] = dropped(mixture, per_token)
            self._made[f"light {per_token}"] = self._light(mixture, per_token)

    @classmethod
    def prepared(
        cls, data: Path, folder: Path, size: LightSize, work: Path, report: Progress
    ) -> LightBench:
        """Load the mixture, read the prompts, and train; trainings of before are continued."""
        mixture = load_mixture(str(folder), torch.float32)
        positions = mixture.model.config.max_position_embeddings
        seen, held = (
            traffic_of(data, split, most, mixture.tokenizer, positions, report)
            for split, most in ((TRAIN, size.seen), ("test", size.held))
        )
        hashes = [results_file.code_hash(path) for path in (*TRAINING, *TEXT_CODE)]
        key = f"{fingerprint(folder)}{size}{hashes}{torch.__version__}"
        own = work / str(results_file.hash_of({"key": key.encode()}))
        return cls(mixture, seen, held, LightRecipe(steps=size.steps), own, report)

    def body(self) -> dict[str, Any]:
        """Return the losses of all forms, relative to the whole mixture."""
        found = {}
        for done, (name, mixture) in enumerate(self._made.items()):
            self._report("held-out losses", done, len(self._made))
            found[name] = losses_of(mixture.model, self._held)
        self._report("held-out losses", len(self._made), len(self._made))
        runs: dict[str, Any] = {FULL: {"per_token": self._made[FULL].top_k}}
        for name in list(self._made)[1:]:
            per_token = int(name.split()[1])
            sides = found[FULL], found[f"dropped {per_token}"], found[name]
            runs[name] = {"per_token": per_token, **_compared(*sides)}
        return {"runs": runs}

    def add_engine(self, runs: dict[str, Any], folder: Path) -> None:
        """Add active parameters and tokens a second on our engine, measured in turns."""
        models = {name: on_engine(name, item, folder / "own") for name, item in self._made.items()}
        wide = {
            name: on_engine(name, item, folder / "wide") for name, item in self._widened().items()
        }
        prompts = [row[:PROMPT_TOKENS] for item in self._held.values() for row in item.tokens[:2]]
        measured = speeds(
            {name: (model, Routing()) for name, model in wide.items()},
            prompts[:TEXTS],
            self._report,
        )
        for name, model in models.items():
            use = model.network.weights()
            assert use is not None, "our engine counts them"
            active = use.active()
            runs[name]["active"] = active.parameters
            runs[name]["active_layers"] = (
                use.body + use.expert.times(use.top_k) + use.light.times(use.light_per_token)
            ).parameters
            runs[name]["total"] = use.total.parameters
            runs[name]["speed"] = {task: asdict(value) for task, value in measured[name].items()}

    def _widened(self) -> dict[str, Mixture]:
        """Return all forms with more neurons, which are zero."""
        full = self._made[FULL]
        weights = []
        for layer in full.layers:
            own = {name: tensor.detach() for name, tensor in layer.weights.items()}
            both = own["experts.gate_up_proj"], own["experts.down_proj"]
            own["experts.gate_up_proj"], own["experts.down_proj"] = padded(*both, NEURONS)
            weights.append(own)
        wide = full.with_experts(weights, moe_intermediate_size=NEURONS)
        found = {FULL: wide}
        for name, form in list(self._made.items())[1:]:
            if light := form.light_experts:
                vectors = [light_vectors(layer.block) for layer in form.layers]
                found[name] = wide.with_light(vectors, light)
            else:
                found[name] = dropped(wide, form.top_k)
        return found

    def _light(self, mixture: Mixture, per_token: int) -> Mixture:
        count = mixture.top_k - per_token
        trainer = LightTrainer(mixture, count, self._recipe)
        found = trainer.train(self._sequences, self._work / str(per_token), self._report)
        return mixture.with_light(list(found.weights.values()), count)


def dropped(mixture: Mixture, per_token: int) -> Mixture:
    """Return a mixture with fewer experts per token, and nothing in place of the others."""
    weights = [layer.weights for layer in mixture.layers]
    return mixture.with_experts(weights, num_experts_per_tok=per_token)


def _compared(full: Losses, without: Losses, after: Losses) -> dict[str, Any]:
    """Return how much losses rise, and which share of the rise without light experts is gone."""
    found: dict[str, Any] = {}
    for name, kind in (("loss", "tokens"), ("replies", "replies")):
        sides = [
            {
                domain: getattr(item, kind)
                for domain, item in side.items()
                if getattr(full[domain], kind).any()
            }
            for side in (full, without, after)
        ]
        found[name] = asdict(rise(sides[0], sides[0], sides[2]))
        if after is not without:
            found[f"{name}_closed"] = asdict(closed(*sides))
    return found


if __name__ == "__main__":
    main()
