"""A dense model split into experts: held-out losses by experts a token, and its super experts.

    python lab/benchmarks/eval_split.py --data DATA --json FILE

SmolLM2-135M-Instruct is split by train prompts of all domains. Losses are of test prompts, relative
to the dense model, on average over the domains. ``router``: a token uses the experts that the
router chooses; ``fixed``: all tokens use those that it chooses the most often. Super experts are
dropped from the mixture whose tokens use all experts, which is the dense model.

``--shares`` instead compares shares of the neurons that count as active, on train prompts that the
model was not split by; ``ACTIVE_SHARE`` was chosen so. Losses of single prompts are kept in --work,
so a killed run continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import results_file
import torch
from split_tables import printed
from surgery_losses import Losses as DomainLosses
from surgery_losses import measured_losses
from surgery_stats import Losses, mean_of, rise
from surgery_texts import Traffic, traffic_of
from surgery_variants import as_many_others, silenced

from expertrag import models
from expertrag.cli.progress import progress
from expertrag.llm.convert.dense import Dense, load_dense
from expertrag.llm.load.loading import quiet
from expertrag.runtime.threads import all_cores
from expertrag_index.types import Progress
from expertrag_lab.data.named_sets import TRAIN
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile
from expertrag_lab.surgery.profiling.observe import observe
from expertrag_lab.surgery.splitting.assembly import assemble
from expertrag_lab.surgery.splitting.dense_inputs import dense_inputs
from expertrag_lab.surgery.splitting.layer_split import split_layer
from expertrag_lab.surgery.splitting.neuron_activity import ACTIVE_SHARE
from expertrag_lab.surgery.splitting.pre_gate_training import (
    PreGateRecipe,
    RoutedTexts,
    recall,
    recall_of_frequent,
    train_pre_gate,
)
from expertrag_lab.surgery.splitting.split import MOST_INPUTS
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes
from expertrag_lab.surgery.verification.router_agreement import choices

MODEL = "smollm2-135m-instruct-moe"
"""A mixture of equal experts, from which the dense model is recovered."""
EXPERTS = SplitSizes()
PER_TOKEN = (10, 8, 6, 4)
DENSE, SUPER, OTHERS = "dense", "super", "others"
DRAWS = 4
"""Sets of other experts that are dropped instead of super experts."""
PROFILED = 2  # prompts of each domain that experts are profiled on
POSITIONS = 1024  # tokens of a prompt at most
SPLITTING = (
    "lab/expertrag_lab/surgery/mixture.py",
    "lab/expertrag_lab/surgery/profiling/importance.py",
    "lab/expertrag_lab/surgery/profiling/observe.py",
    "lab/expertrag_lab/surgery/splitting",
)
CODE = (
    *SPLITTING,
    "lab/benchmarks/fixture_texts.py",
    "lab/benchmarks/surgery_losses.py",
    "lab/benchmarks/surgery_stats.py",
    "lab/benchmarks/surgery_texts.py",
    "lab/benchmarks/surgery_variants.py",
    "lab/benchmarks/eval_split.py",
)


@dataclass(frozen=True, slots=True)
class SplitPrompts:
    """Prompts of a domain that the model is split by, and that are reported on."""

    seen: int
    held: int


SIZES = {"tiny": SplitPrompts(2, 1), "full": SplitPrompts(20, 4)}


def main() -> None:
    """Measure, print the tables, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--quick", action="store_true", help="few prompts: does it run?")
    parser.add_argument("--shares", nargs="+", type=float, help="compare these on train prompts")
    given = parser.parse_args()
    with progress() as report, quiet(), all_cores():
        bench = SplitBench.prepared(given, report)
        body = bench.by_share(given.shares) if given.shares else bench.body()
    body["inputs"] = {"model": MODEL, "experts": asdict(EXPERTS), **asdict(_size(given))}
    print("\n".join(map(str, body["shares"]) if given.shares else printed(body)))
    results_file.write(given.json, body, CODE)


class SplitBench:
    """A dense model, the prompts to split it by and to report on, and its forms with experts."""

    def __init__(
        self,
        dense: Dense,
        seen: Mapping[str, Traffic],
        held: Mapping[str, Traffic],
        kept: Path,
        report: Progress,
    ) -> None:
        """Take a model in float32.

        :param kept: folder of the losses.
        """
        self._dense, self._seen, self._held, self._report = dense, seen, held, report
        self._kept = kept
        self._inputs = dense_inputs(dense.model, _texts(seen), MOST_INPUTS, 0, report)

    @classmethod
    def prepared(cls, given: argparse.Namespace, report: Progress) -> SplitBench:
        """Load the model and read the prompts; to choose on, others of the train prompts."""
        size = _size(given)
        dense = load_dense(models.resolve(MODEL), upcycled=False)
        tokenizer = dense.tokenizer
        more = size.seen + (size.held if given.shares else 0)
        seen = traffic_of(given.data, TRAIN, more, tokenizer, POSITIONS, report)
        if given.shares:
            held = {name: _part(item, slice(size.seen, None)) for name, item in seen.items()}
            seen = {name: _part(item, slice(size.seen)) for name, item in seen.items()}
        else:
            held = traffic_of(given.data, "test", size.held, tokenizer, POSITIONS, report)
        held = {name: item for name, item in held.items() if item.tokens}
        hashes = [results_file.code_hash(path) for path in CODE]
        key = f"{size}{bool(given.shares)}{hashes}{torch.__version__}".encode()
        name = f"{results_file.hash_of({'key': key})}.jsonl"
        return cls(dense, seen, held, given.work / "split" / name, report)

    def body(self) -> dict[str, Any]:
        """Return the losses of all forms, relative to the dense model."""
        mixture = self._split(ACTIVE_SHARE)
        whole, per_token = mixture(EXPERTS.routed), (EXPERTS.routed, *PER_TOKEN)
        often = self._profile(mixture(EXPERTS.per_token)).use().selected
        made: dict[str, Callable[[], Any]] = {DENSE: lambda: self._dense}
        for count in per_token:
            made[f"router {count}"] = partial(mixture, count)
        for count in PER_TOKEN:
            made[f"fixed {count}"] = partial(silenced, whole, all_but(often, count))
        supers = self._profile(whole).super_experts()
        if supers.any():
            made[SUPER] = partial(silenced, whole, supers)
        for draw in range(DRAWS if supers.any() else 0):
            made[f"{OTHERS} {draw}"] = partial(silenced, whole, as_many_others(supers, draw))
        found = measured_losses(made, self._held, self._kept, self._report)
        rows = [self._row(count, found) for count in per_token]
        super_experts = self._super(supers, found) if supers.any() else {}
        pre_gate = self._pre_gate(mixture(EXPERTS.per_token))
        return {"kept": rows, "super": super_experts, "pre_gate": pre_gate}

    def by_share(self, shares: Sequence[float]) -> dict[str, Any]:
        """Return the losses at each share of neurons that count as active."""
        made: dict[str, Callable[[], Any]] = {DENSE: lambda: self._dense}
        for share in shares:
            made[f"{share:g}"] = partial(self._split(share), EXPERTS.per_token)
        found = measured_losses(made, self._held, self._kept, self._report)
        rows = [
            {"share": share, **self._risen([found[f"{share:g}"]], found[DENSE])} for share in shares
        ]
        return {"shares": rows}

    def _split(self, share: float) -> Callable[[int], Mixture]:
        """Return how the model becomes a mixture, by the experts that a token uses."""

        @cache
        def split() -> Mixture:
            layers = []
            networks = [layer.mlp for layer in self._dense.model.model.layers]
            for done, (network, own) in enumerate(zip(networks, self._inputs, strict=True)):
                self._report(f"split, {share:.0%} active", done, len(networks))
                layers.append(split_layer(network, own, EXPERTS, share))
            self._report(f"split, {share:.0%} active", len(networks), len(networks))
            return assemble(self._dense, layers, EXPERTS, {})

        def using(count: int) -> Mixture:
            weights = [layer.weights for layer in split().layers]
            return split().with_experts(weights, num_experts_per_tok=count)

        return using

    def _profile(self, mixture: Mixture) -> ExpertProfile:
        use = {}
        for done, (domain, item) in enumerate(self._seen.items()):
            self._report("profile", done, len(self._seen))
            use[domain] = observe(mixture, item.tokens[:PROFILED])
        self._report("profile", len(self._seen), len(self._seen))
        return ExpertProfile("", [layer.number for layer in mixture.layers], use)

    def _row(self, count: int, found: Mapping[str, DomainLosses]) -> dict[str, Any]:
        neurons = (EXPERTS.shared + count) / EXPERTS.experts
        row = {"shared": EXPERTS.shared, "per_token": count, "neurons": neurons}
        ways = [way for way in ("router", "fixed") if f"{way} {count}" in found]
        each = {way: self._risen([found[f"{way} {count}"]], found[DENSE]) for way in ways}
        return {**row, **each}

    def _super(self, supers: torch.Tensor, found: Mapping[str, DomainLosses]) -> dict[str, Any]:
        drawn = [each for name, each in found.items() if name.startswith(f"{OTHERS} ")]
        full = found[DENSE]
        means = [self._risen([each], full)["loss"]["mean"] for each in drawn]
        return {
            "experts": supers.nonzero().tolist(),
            "dropped": self._risen([found[SUPER]], full),
            "others": {**self._risen(drawn, full), "draws": [min(means), max(means), len(means)]},
        }

    def _pre_gate(self, mixture: Mixture) -> dict[str, float]:
        """Train a pre-gate; return its recall of the chosen experts, beside the most frequent."""
        seen, held = (
            RoutedTexts(texts, choices(mixture, texts, self._report), mixture.num_experts)
            for texts in map(_texts, (self._seen, self._held))
        )
        embeddings = mixture.model.get_input_embeddings().weight
        folder, count = self._kept.with_suffix(".pre_gate"), mixture.top_k
        gate = train_pre_gate(embeddings, seen, PreGateRecipe(), folder, self._report)
        return {
            "expected": recall(gate, embeddings, held, count),
            "frequent": recall_of_frequent(seen, held, count),
            "random": count / mixture.num_experts,
        }

    def _risen(self, after: Sequence[DomainLosses], full: DomainLosses) -> dict[str, Any]:
        """Return the rise of the mean of several losses, of all tokens and of replies."""
        found = {}
        for name, kind in (("loss", "tokens"), ("replies", "replies")):
            before, *changed = (self._of(each, kind) for each in (full, *after))
            found[name] = asdict(rise(before, before, mean_of(changed)))
        return found

    def _of(self, losses: DomainLosses, kind: str) -> Losses:
        return {
            domain: getattr(item, kind)
            for domain, item in losses.items()
            if kind == "tokens" or any(self._held[domain].replies)
        }


def all_but(often: torch.Tensor, count: int) -> torch.Tensor:
    """Return all experts (L, E) but those of each layer that are used the most often."""
    others = torch.ones_like(often, dtype=torch.bool)
    return others.scatter_(1, often.topk(count, dim=1).indices, False)


def _texts(traffic: Mapping[str, Traffic]) -> list[Sequence[int]]:
    return [tokens for item in traffic.values() for tokens in item.tokens]


def _size(given: argparse.Namespace) -> SplitPrompts:
    return SIZES["tiny" if given.quick else "full"]


def _part(traffic: Traffic, part: slice) -> Traffic:
    return Traffic(traffic.tokens[part], traffic.replies[part])


if __name__ == "__main__":
    main()
