"""``expertrag llm profile | show``: which experts of a mixture a team's own traffic uses."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flags_of, json_flag, out_folder, with_config
from expertrag.cli.output import emit_json, format_count, note, one_line
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag_lab.cli.heat_lines import NO_TERMINAL, heat_lines
from expertrag_lab.cli.llm_change import METHODS
from expertrag_lab.cli.options import creatable, seed_flag
from expertrag_lab.cli.output import print_made
from expertrag_lab.cli.traffic_source import (
    TrafficSource,
    note_too_long,
    parse_sources,
)

if TYPE_CHECKING:
    from expertrag_lab.surgery.profiling.profile import ProfileReport

flag = flags_of("PROFILE")


@click.command()
@click.argument("model")
@click.argument("sources", nargs=-1, required=True, metavar="[DOMAIN=]STORE|ROWS...")
@out_folder("EXPERTRAG_PROFILE_OUT", "FOLDER")
@flag(
    "log",
    "--audit",
    metavar="LOG",
    type=click.Path(path_type=Path),
    help="Audit log of `serve` with texts: its questions are asked, and corrected answers of its "
    "feedback are the right ones. Needs one STORE. Unset: questions are made from the documents of "
    "each STORE.",
)
@flag(
    "--domain-key",
    metavar="FIELD",
    default="",
    help="Field that names the domain: of a row [default: domain], or of the metadata of the best "
    "passage.",
)
@flag(
    "--limit",
    type=click.IntRange(min=1),
    help="Prompts of each domain at most, drawn with --seed. Unset: all.",
)
@flag("--most-tokens", type=click.IntRange(min=1), default=64, help="Tokens of an answer, at most.")
@seed_flag("EXPERTRAG_PROFILE_SEED", "Seed of the questions that are made and drawn.")
@with_config("search.k", "model.embedder", "model.reranker", "lab.wording", "model.device")
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
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag_lab.surgery.profiling.profile import profile_mixture

    named = parse_sources(sources)
    if log and sum(path.is_dir() for _, path in named) != 1:
        raise InvalidArgument(
            "audit: the questions of a log are asked of one store; give one STORE"
        )
    instead = "give a file of ROWS, or a log of questions with --audit"
    given = TrafficSource(out, limit, seed, config, log, domain_key, instead)
    with translate_errors(), quiet(), progress() as report:
        made = profile_mixture(
            models.resolve(model),
            given.prompts(named, report),
            [path.name for _, path in named],
            out,
            report,
            most_tokens=most_tokens,
        )
    print_made(made, out, as_json, _profile_lines(made))


def _profile_lines(made: ProfileReport) -> Iterator[str]:
    yield f"{len(made.layers)} layers of {made.experts} experts, {made.top_k} a token"
    for name, item in made.domains.items():
        counts = f"{format_count(item.prompts, 'prompt')}, {format_count(item.tokens, 'token')}"
        yield f"{one_line(name)}  {counts}"
    supers = ", ".join(f"{layer}:{expert}" for layer, expert in made.super_experts)
    yield f"super experts (layer:expert)  {supers or 'none'}"
    yield from note_too_long(made.skipped)


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
    callback=creatable,
    metavar="FILE.html",
    help="Also write a page with a heat map of all domains together, and of each.",
)
@json_flag
def show(
    folder: Path, method: str, domains: tuple[str, ...], page: Path | None, as_json: bool
) -> None:
    """Show how much each expert of a PROFILE matters.

    PROFILE comes from `expertrag llm profile`. A line of the heat map is a layer, a character an
    expert; in a narrow terminal, several experts share one. Each level stands for three times the
    importance of the one below.
    """
    from expertrag_lab.surgery.profiling.heat_map import heat_map
    from expertrag_lab.surgery.profiling.importance import Method
    from expertrag_lab.surgery.profiling.profile_folder import load_card, load_profile

    loaded, card = load_profile(folder), load_card(folder)
    shown = heat_map(loaded, card.model, Method(method), domains)
    if page is not None:
        from expertrag_common.durable import write_durably
        from expertrag_lab.surgery.profiling.profile_page import profile_page

        each = shown.domains if len(shown.domains) > 1 else ()
        alone = [heat_map(loaded, card.model, Method(method), [name]) for name in each]
        page.parent.mkdir(parents=True, exist_ok=True)
        write_durably(page, profile_page([shown, *alone]).encode())
        note(f"wrote {page}")
    if as_json:
        emit_json(shown)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else NO_TERMINAL
    for line in heat_lines(shown, width):
        click.echo(line)
