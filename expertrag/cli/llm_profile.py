"""``expertrag llm profile | show``: which experts of a mixture a team's own traffic uses."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.heat_lines import NO_TERMINAL, heat_lines
from expertrag.cli.llm_change import METHODS
from expertrag.cli.options import flags_of, json_flag, out_folder
from expertrag.cli.output import emit_json, note, one_line, print_made
from expertrag.cli.progress import progress
from expertrag.cli.traffic_sources import TrafficSources, traffic_options
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.llm.surgery.profiling.profile import ProfileReport

flag = flags_of("PROFILE")


@click.command()
@click.argument("model")
@click.argument("sources", nargs=-1, required=True, metavar="[DOMAIN=]STORE|ROWS...")
@out_folder("EXPERTRAG_PROFILE_OUT", "FOLDER")
@traffic_options("PROFILE")
@json_flag
def profile(
    model: str,
    sources: tuple[str, ...],
    out: Path,
    log: Path | None,
    domain_key: str,
    limit: int | None,
    most_tokens: int,
    seed: int,
    config: Config,
    as_json: bool,
) -> None:
    """Profile the experts of MODEL on prompts as they are served.

    MODEL is a checkpoint of transformers whose routers choose experts by token: a folder, hub id or
    package model. ROWS is a file of prompts with their answers (.jsonl, .jsonl.gz); for a STORE,
    questions are asked and its passages are retrieved. Where no answer is known, MODEL writes one.
    The domain of prompts that name none is DOMAIN, by default the name of the file or folder.

    FOLDER holds sums for each domain, and no text. An interrupted run resumes with the same
    command.
    """
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.llm.surgery.profiling.profile import profile_mixture
    from expertrag.runtime.error_mapping import translated_errors

    given = TrafficSources.of(sources, out, log, domain_key, limit, seed, config)
    with translated_errors(), quiet(), progress() as report:
        made = profile_mixture(
            models.resolve(model),
            given.traffic(report),
            given.names,
            out,
            report,
            most_tokens=most_tokens,
        )
    print_made(made, out, as_json, _made_lines(made))


def _made_lines(made: ProfileReport) -> Iterator[str]:
    yield f"{len(made.layers)} layers of {made.experts} experts, {made.top_k} a token"
    for name, item in made.domains.items():
        yield one_line(f"{name}  {item.prompts:,} prompts, {item.tokens:,} tokens")
    supers = ", ".join(f"{layer}:{expert}" for layer, expert in made.super_experts)
    yield f"super experts (layer:expert)  {supers or 'none'}"
    if made.skipped:
        yield f"{made.skipped:,} prompts do not fit the model's context and were left out"


@click.command()
@click.argument("folder", metavar="PROFILE", type=click.Path(path_type=Path))
@flag(
    "--method",
    type=click.Choice(METHODS),
    default="easy-ep",
    help="Measure of importance: output-aware score, expected selection score, weighted norm of "
    "the output, share of tokens, or random numbers for comparison.",
)
@flag(
    "domains",
    "--domain",
    multiple=True,
    metavar="NAME",
    help="Domain to show. Repeatable: the domains get the same weight. Unset: all.",
)
@flag(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Also write a page with a heat map of all domains together, and of each.",
)
@json_flag
def show(
    folder: Path, method: str, domains: tuple[str, ...], page: Path | None, as_json: bool
) -> None:
    """Show how much each expert of a PROFILE matters.

    PROFILE comes from `expertrag llm profile`. A line of the heat map is a layer, a character an
    expert; in a narrow terminal, several experts share one.
    """
    from expertrag.llm.surgery.profiling.heat_map import heat_map
    from expertrag.llm.surgery.profiling.importance import Method
    from expertrag.llm.surgery.profiling.profile_folder import load_card, load_profile

    loaded, card = load_profile(folder), load_card(folder)
    shown = heat_map(loaded, card.model, Method(method), domains)
    if page is not None:
        from expertrag.llm.surgery.profiling.profile_page import profile_page
        from expertrag_index.durable import write_durably

        each = shown.domains if len(shown.domains) > 1 else ()
        alone = [heat_map(loaded, card.model, Method(method), [name]) for name in each]
        write_durably(page, profile_page([shown, *alone]).encode())
        note(f"wrote {page}")
    if as_json:
        emit_json(shown)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else NO_TERMINAL
    for line in heat_lines(shown, width):
        click.echo(line)
