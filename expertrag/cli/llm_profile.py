"""``expertrag llm profile | show``: which experts of a mixture a team's own traffic uses."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.cli.heat_lines import NO_TERMINAL, heat_lines
from expertrag.cli.llm_change import METHODS
from expertrag.cli.options import configured, flags_of, json_flag, out_folder, seed_flag
from expertrag.cli.output import emit_json, note, one_line, print_made
from expertrag.cli.progress import progress
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.llm.surgery.profiling.profile import ProfileReport
    from expertrag.llm.surgery.profiling.traffic import TrafficPrompt
    from expertrag_index.types import Progress

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
@configured("search.k", "model.embedder", "model.reranker", "model.device")
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
    from expertrag.data.named_sets import parse_data
    from expertrag.llm.load.loading import quiet
    from expertrag.llm.surgery.profiling.profile import profile_mixture
    from expertrag.llm.surgery.profiling.traffic import drawn
    from expertrag.runtime.error_mapping import translated_errors

    named = [(name, path) for name, paths in parse_data(sources).items() for path in paths]
    _check(named, log)
    given = _Given(out, log, domain_key, limit, seed, config)
    with translated_errors(), quiet(), progress() as report:
        found: list[TrafficPrompt] = []
        for domain, path in named:
            read = given.of_store if path.is_dir() else given.of_rows
            found += read(path, domain, report)
        traffic = drawn(found, limit, seed)
        made = profile_mixture(
            models.resolve(model),
            traffic,
            [path.name for _, path in named],
            out,
            report,
            most_tokens=most_tokens,
        )
    print_made(made, out, as_json, _made_lines(made))


def _check(named: Sequence[tuple[str, Path]], log: Path | None) -> None:
    """Check the sources before a model is loaded."""
    for _, path in named:
        if not path.exists():
            raise NotFound(
                f"no store or file of prompts {path}; check the path", reason="FILE_NOT_FOUND"
            )
    if log and sum(path.is_dir() for _, path in named) != 1:
        raise InvalidArgument(
            "audit: the questions of a log are asked of one store; give one STORE"
        )


@dataclass(frozen=True, slots=True)
class _Given:
    """The options that prompts depend on."""

    out: Path
    log: Path | None
    domain_key: str
    limit: int | None
    seed: int
    config: Config

    def of_rows(self, path: Path, domain: str, _report: Progress) -> Sequence[TrafficPrompt]:
        """Read the prompts of a file."""
        from expertrag.llm.surgery.profiling.traffic import DOMAIN_KEY, read_traffic

        return read_traffic(path, domain, self.domain_key or DOMAIN_KEY)

    def of_store(self, store: Path, domain: str, report: Progress) -> Sequence[TrafficPrompt]:
        """Ask the questions of a log, or questions about its own documents, of a store."""
        from expertrag.train.store_traffic import logged_questions, made_questions, store_traffic
        from expertrag_retriever.publish import work_folder

        if self.log:
            questions = logged_questions(self.log)
        else:
            with work_folder(self.out, keep=True) as work:
                # with a field, the domains are known only once the passages are
                most = None if self.domain_key else self.limit
                questions = made_questions(store, work, most, self.seed, report)
        return store_traffic(
            store, domain, questions, self.config, report, domain_key=self.domain_key
        )


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
