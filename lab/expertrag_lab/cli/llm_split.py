"""``expertrag llm split``: a dense model as a mixture of experts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.options import flags_of, json_flag, out_folder, with_config
from expertrag.cli.output import format_count, one_line, size
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag_lab.cli.options import seed_flag
from expertrag_lab.cli.output import print_made
from expertrag_lab.cli.traffic_source import (
    TrafficSource,
    note_too_long,
    parse_sources,
)

if TYPE_CHECKING:
    from expertrag_lab.surgery.splitting.split_report import SplitReport

flag = flags_of("SPLIT")

EXPERTS, SHARED, PER_TOKEN, MOST_TOKENS = 16, 4, 8, 64
"""Defaults, copied from the surgery, whose import is heavy; a test checks that they agree."""


@click.command()
@click.argument("model")
@click.argument("sources", nargs=-1, required=True, metavar="[DOMAIN=]STORE|ROWS...")
@out_folder("EXPERTRAG_SPLIT_OUT", "FOLDER")
@flag(
    "--experts",
    type=click.IntRange(min=3),
    default=EXPERTS,
    help="Experts that each feed-forward network is split into, shared ones included.",
)
@flag(
    "--shared",
    type=click.IntRange(min=1),
    default=SHARED,
    help="Experts that every token uses: they have the neurons that are active the most often.",
)
@flag(
    "--per-token",
    type=click.IntRange(min=1),
    default=PER_TOKEN,
    help="Experts that a token uses of those that are not shared; with all of them, the result is "
    "the dense model.",
)
@flag(
    "--limit",
    type=click.IntRange(min=8),
    default=64,
    help="Prompts of each domain at most, drawn with --seed; every eighth is held out.",
)
@flag(
    "--most-tokens",
    type=click.IntRange(min=1),
    default=MOST_TOKENS,
    help="Tokens of an answer, at most.",
)
@flag(
    "--pre-gate/--no-pre-gate",
    default=True,
    help="Train a pre-gate, which expects the experts of all layers from the tokens alone.",
)
@seed_flag("EXPERTRAG_SPLIT_SEED", "Seed of what is drawn, and of the training of the pre-gate.")
@with_config("search.k", "model.embedder", "model.reranker", "lab.wording", "model.device")
@json_flag
def split(
    model: str,
    sources: tuple[str, ...],
    out: Path,
    experts: int,
    shared: int,
    per_token: int,
    limit: int,
    most_tokens: int,
    pre_gate: bool,
    seed: int,
    config: Config,
    as_json: bool,
) -> None:
    """Split the dense MODEL into a mixture of experts.

    MODEL is of type Llama, Mistral, Qwen2 or Qwen3: package model, folder, GGUF file or hub id.
    Neurons that are active for the same tokens become an expert, and a router is fitted that
    chooses among them. Prompts are given as for `expertrag llm profile`.

    FOLDER gets a checkpoint of transformers, of type GLM-4-MoE, which loads with `--generator`.
    `expertrag llm verify` compares it with MODEL. An interrupted run resumes with the same command.
    """
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag_lab.surgery.splitting.pre_gate_training import PreGateRecipe
    from expertrag_lab.surgery.splitting.split import SplitSettings, split_model
    from expertrag_lab.surgery.splitting.split_sizes import SplitSizes
    from expertrag_lab.surgery.splitting.splittable import neurons_of

    named = parse_sources(sources)
    recipe = PreGateRecipe(seed=seed) if pre_gate else None
    given = TrafficSource(out, limit, seed, config)
    with translate_errors(), quiet(), progress() as report:
        name = models.resolve(model)
        sizes = SplitSizes.of(neurons_of(name), experts, shared, per_token)
        settings = SplitSettings(sizes, most_tokens, seed, recipe)
        traffic = given.prompts(named, report)
        made = split_model(name, traffic, settings, out, report)
    print_made(made, out, as_json, _lines(made))


def _lines(made: SplitReport) -> Iterator[str]:
    sizes, loss = made.sizes, made.loss
    yield f"experts of a layer  {sizes.shared} shared, {sizes.routed} others"
    yield f"experts per token   {sizes.per_token} of the others: {sizes.active:.0%} of the neurons"
    yield f"weights             {size(made.size.bytes)}"
    for name, prompts in made.domains.items():
        yield f"{one_line(name)}: {format_count(prompts, 'prompt')}"
    yield from note_too_long(made.skipped)
    yield f"loss on {format_count(loss.prompts, 'held-out prompt')}, nats a token"
    yield f"  dense             {loss.dense:.4f}"
    yield f"  all experts       {loss.all_experts:.4f}"
    yield f"  {sizes.per_token:<2} per token      {loss.chosen_experts:.4f}"
    if gate := made.pre_gate:
        yield f"pre-gate expects    {gate.pre_gate:.1%} of the experts of a token"
        yield f"  the most frequent {gate.frequent:.1%}"
