"""``expertrag llm compress``: experts in a smaller form, trained on a team's own traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import configured, flags_of, json_flag, out_folder, seed_flag
from expertrag.cli.output import print_made, size
from expertrag.cli.progress import progress
from expertrag.cli.traffic_source import TrafficSource, named_sources
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.llm.surgery.changes.compress_light import LightMixture

flag = flags_of("COMPRESS")


@click.command()
@click.argument("model")
@click.argument("sources", nargs=-1, required=True, metavar="[DOMAIN=]STORE|ROWS...")
@flag(
    "--light",
    is_flag=True,
    help="Replace experts of each token, those of the least weights, by vectors: fewer weights are "
    "active. Required, as long as there is no other form.",
)
@flag(
    "--per-token",
    type=click.IntRange(min=1),
    required=True,
    help="Experts of a token that still compute; the others that its router chooses become light.",
)
@flag(
    "--steps",
    type=click.IntRange(min=1),
    default=300,
    help="Steps of the training, of four prompts each.",
)
@flag(
    "--limit",
    type=click.IntRange(min=2),
    help="Prompts of each domain at most, drawn with --seed. Unset: all.",
)
@flag("--most-tokens", type=click.IntRange(min=1), default=64, help="Tokens of an answer, at most.")
@seed_flag("EXPERTRAG_COMPRESS_SEED", "Seed of the questions that are made and drawn, and trained.")
@out_folder("EXPERTRAG_COMPRESS_OUT", "FOLDER")
@configured("search.k", "model.embedder", "model.reranker", "model.device")
@json_flag
def compress(
    model: str,
    sources: tuple[str, ...],
    light: bool,
    per_token: int,
    steps: int,
    limit: int | None,
    most_tokens: int,
    seed: int,
    out: Path,
    config: Config,
    as_json: bool,
) -> None:
    """Compress the experts of MODEL for prompts as they are served.

    MODEL is a mixture whose routers choose experts by token: folder or hub id of a checkpoint of
    transformers. ROWS is a file of prompts with their answers (.jsonl, .jsonl.gz); for a STORE,
    questions are asked and its passages are retrieved. Where no answer is known, MODEL writes one.

    The weights of MODEL stay as they are. What replaces experts is trained to give the next-token
    probabilities of MODEL; our engine runs FOLDER with `--generator`. `expertrag llm verify`
    compares both models. An interrupted run resumes with the same command.
    """
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.llm.surgery.changes.compress_light import compress_light
    from expertrag.llm.surgery.changes.light_training import LightRecipe
    from expertrag.runtime.error_mapping import translated_errors
    from expertrag.runtime.threads import all_cores

    if not light:
        raise InvalidArgument("compress makes light experts: give --light")
    named, source = named_sources(sources), TrafficSource(out, limit, seed, config)
    with translated_errors(), quiet(), all_cores(), progress() as report:
        made = compress_light(
            models.resolve(model),
            source.prompts(named, report),
            out,
            report,
            per_token=per_token,
            most_tokens=most_tokens,
            recipe=LightRecipe(steps=steps, seed=seed),
        )
    print_made(made, out, as_json, _lines(made))


def _lines(made: LightMixture) -> Iterator[str]:
    before, after = made.changed.before, made.changed.after
    yield (
        f"experts per token   {before.experts_per_token} -> {after.experts_per_token}, "
        f"and {made.light_experts} light"
    )
    yield f"parameters          {before.parameters:,} -> {after.parameters:,}"
    yield f"weights             {size(before.bytes)} -> {size(after.bytes)}"
    yield (
        f"from MODEL          {made.divergence:.4f} nats a token on held-out prompts; without the "
        f"light experts {made.dropped:.4f}"
    )
    yield f"trained on          {made.prompts:,} prompts in {made.seconds:.0f} s"
    if made.skipped:
        yield f"{made.skipped:,} prompts do not fit the model's context and were left out"
