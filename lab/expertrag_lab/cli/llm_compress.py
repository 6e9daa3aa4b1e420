"""``expertrag llm compress``: experts in a smaller form, fitted to a team's own traffic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flags_of, json_flag, out_folder, with_config
from expertrag.cli.output import size
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
    from expertrag_index.types import Progress
    from expertrag_lab.surgery.changes.compress_light import LightMixture
    from expertrag_lab.surgery.changes.compress_low_rank import LowRankMixture
    from expertrag_lab.surgery.changes.light_training import LightRecipe
    from expertrag_lab.surgery.changes.record import ChangedMixture
    from expertrag_lab.surgery.profiling.traffic import TrafficPrompt

flag = flags_of("COMPRESS")


@click.command()
@click.argument("model")
@click.argument("sources", nargs=-1, required=True, metavar="[DOMAIN=]STORE|ROWS...")
@flag(
    "share",
    "--size",
    type=float,
    metavar="SHARE",
    help="Share of the experts' weights that stays, between 0 and 1: experts become a low-rank "
    "part and whole neurons, fitted to the prompts.",
)
@flag(
    "--light",
    is_flag=True,
    help="Instead, replace the experts of a token with the least weights by vectors and a few "
    "neurons, trained on the prompts: fewer weights are active.",
)
@flag(
    "--per-token",
    type=click.IntRange(min=1),
    help="With --light, experts of a token that still compute; the others that its router chooses "
    "become light.",
)
@flag(
    "--neurons",
    type=click.IntRange(min=0),
    default=4,
    help="With --light, neurons of each light expert, next to its vectors.",
)
@flag(
    "--steps",
    type=click.IntRange(min=1),
    default=300,
    help="With --light, steps of the training, of four prompts each.",
)
@flag(
    "--limit",
    type=click.IntRange(min=2),
    help="Prompts of each domain at most, drawn with --seed. Unset: all.",
)
@flag("--most-tokens", type=click.IntRange(min=1), default=64, help="Tokens of an answer, at most.")
@seed_flag("EXPERTRAG_COMPRESS_SEED", "Seed of the questions that are made and drawn, and trained.")
@out_folder("EXPERTRAG_COMPRESS_OUT", "FOLDER")
@with_config("search.k", "model.embedder", "model.reranker", "lab.wording", "model.device")
@json_flag
def compress(
    model: str,
    sources: tuple[str, ...],
    share: float | None,
    light: bool,
    per_token: int | None,
    neurons: int,
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

    There are two forms: --size, for fewer weights on disk and in memory, and --light, for fewer
    that a token uses. Our engine runs FOLDER with `--generator`, and `llm pack` packs it.
    `expertrag llm verify` compares both models. An interrupted run resumes with the same command.
    """
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag.runtime.threads import all_cores

    if light is (share is not None):
        raise InvalidArgument("compress: give either --size SHARE, such as 0.5, or --light")
    if light is (per_token is None):
        raise InvalidArgument("per-token: --light needs --per-token K, and --size has none")
    named, source = parse_sources(sources), TrafficSource(out, limit, seed, config)
    with translate_errors(), quiet(), all_cores(), progress() as report:
        prompts = source.prompts(named, report)
        if share is not None:
            made, lines = _low_rank(model, prompts, out, report, share, most_tokens)
        else:
            from expertrag_lab.surgery.changes.light_training import LightRecipe

            recipe = LightRecipe(neurons=neurons, steps=steps, seed=seed)
            made, lines = _light(model, prompts, out, report, per_token or 0, most_tokens, recipe)
    print_made(made, out, as_json, lines)


def _low_rank(
    model: str,
    prompts: Sequence[TrafficPrompt],
    out: Path,
    report: Progress,
    share: float,
    most_tokens: int,
) -> tuple[LowRankMixture | LightMixture, Iterator[str]]:
    """Write low-rank experts; return what was made, and the lines that tell it."""
    from expertrag import models
    from expertrag_lab.surgery.changes.compress_low_rank import compress_low_rank

    name = models.resolve(model)
    made = compress_low_rank(name, prompts, out, report, size=share, most_tokens=most_tokens)
    return made, _low_rank_lines(made)


def _light(
    model: str,
    prompts: Sequence[TrafficPrompt],
    out: Path,
    report: Progress,
    per_token: int,
    most_tokens: int,
    recipe: LightRecipe,
) -> tuple[LowRankMixture | LightMixture, Iterator[str]]:
    """Write light experts; return what was made, and the lines that tell it."""
    from expertrag import models
    from expertrag_lab.surgery.changes.compress_light import compress_light

    made = compress_light(
        models.resolve(model),
        prompts,
        out,
        report,
        per_token=per_token,
        most_tokens=most_tokens,
        recipe=recipe,
    )
    return made, _light_lines(made)


def _low_rank_lines(made: LowRankMixture) -> Iterator[str]:
    yield f"experts             {made.shape}"
    yield from _size_lines(made.changed)
    on_disk = sum(path.stat().st_size for path in made.changed.model.glob("*.safetensors"))
    yield f"on disk             {size(on_disk)}, with plain experts, which `llm pack` leaves out"
    yield f"fitted to           {made.prompts:,} prompts"
    yield from note_too_long(made.skipped)


def _light_lines(made: LightMixture) -> Iterator[str]:
    before, after = made.changed.before, made.changed.after
    yield (
        f"experts per token   {before.experts_per_token} -> {after.experts_per_token}, "
        f"and {made.light_experts} light"
    )
    yield from _size_lines(made.changed)
    yield (
        f"from MODEL          {made.divergence:.4f} nats a token on held-out prompts; without the "
        f"light experts {made.dropped:.4f}"
    )
    yield f"trained on          {made.prompts:,} prompts in {made.seconds:.0f} s"
    yield from note_too_long(made.skipped)


def _size_lines(changed: ChangedMixture) -> Iterator[str]:
    before, after = changed.before, changed.after
    yield f"parameters          {before.parameters:,} -> {after.parameters:,}"
    yield f"weights             {size(before.bytes)} -> {size(after.bytes)}"
