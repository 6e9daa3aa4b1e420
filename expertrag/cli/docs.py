"""Generate the pages cli.md and config.md from the commands and the configuration.

python -m expertrag.cli.docs           write
python -m expertrag.cli.docs --check   fail if a page is out of date
"""

from __future__ import annotations

import copy
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import click

from expertrag.cli.exits import MEANINGS
from expertrag.cli.main import cli
from expertrag.cli.options import parameter_of
from expertrag.config import settings, table

DOCS = Path(__file__).parents[2] / "docs" / "reference"
WIDTH = 100
SHARED_FROM = 3
"""Commands from which on an option is described once for all of them."""
ORIGIN = "<!-- written by `make docs` from the code; do not edit -->"


def pages() -> dict[str, str]:
    """Return the generated pages by file name."""
    return {"cli.md": _cli_page(), "config.md": _config_page()}


def _cli_page() -> str:
    parts = [
        ORIGIN,
        "# Command line",
        "Results go to stdout (`--json` prints one JSON value), logs and progress to stderr. "
        "Every flag but `--set` has an `EXPERTRAG_…` variable; precedence is flag, environment, "
        "file, default ([config.md](config.md)). An error is one line, `error: …`, that says what "
        "to do. "
        "The lab's commands have [a page of their own](../../lab/docs/reference/cli.md).",
        "## Exit codes",
        "| code | meaning |\n|---|---|\n"
        + "\n".join(f"| {code.value} | {text} |" for code, text in MEANINGS.items()),
    ]
    return "\n\n".join([*parts, *help_sections("expertrag")]) + "\n"


def help_sections(distribution: str) -> Iterator[str]:
    """Yield a section for each command of a distribution, with its help.

    Options that several commands share are described once, in the first section.
    """
    commands = [
        (command, context)
        for command, context in _walk(cli, "expertrag", None)
        if (command.callback or cli.callback).__module__.partition(".")[0] == distribution
    ]
    counts = Counter(
        record for command, context in commands for _, record in _records(command, context)
    )
    shared = {record for record, count in counts.items() if count >= SHARED_FROM}
    formatter = click.HelpFormatter(width=WIDTH)
    with formatter.indentation():
        formatter.write_dl(sorted(shared, key=lambda record: (record[0].lstrip("-"), record[1])))
    yield (
        "## Shared options\n\nSeveral commands have these options, and every command has "
        "`--help`.\n\n"
        f"```\n{_strip_lines(formatter.getvalue())}\n```"
    )
    for command, context in commands:
        yield _section(command, context, shared)


def _section(command: click.Command, context: click.Context, shared: Set[tuple[str, str]]) -> str:
    """Return a command's help; of shared options only the names."""
    records = list(_records(command, context))
    left_out = [option for option, record in records if record in shared]
    short = copy.copy(command)
    short.params = [each for each in command.params if each not in left_out]
    short.add_help_option = False
    if command is cli:
        short.epilog = None  # the page has a table of the exit codes
    names = [each.opts[-1] for each in left_out if "--help" not in each.opts]
    listed = textwrap.fill("  ".join(names), WIDTH, break_on_hyphens=False)
    also = f"\n\nShared options:\n\n```\n{listed}\n```" if names else ""
    text = _strip_lines(short.get_help(context))
    return f"## {context.command_path}\n\n```\n{text}\n```{also}"


def _records(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Option, tuple[str, str]]]:
    """Yield the options that a command's help shows, with their names and help."""
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if isinstance(option, click.Option) and record is not None:
            yield option, record


def _walk(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield a command and its subcommands, each with a context to render its help in."""
    context = click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield command, context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            child = command.get_command(context, below)
            if child is not None:
                yield from _walk(child, below, context)


def _strip_lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def _list_flag_keys(command: click.Command) -> set[str]:
    """Return the keys of the settings that a command of the service has a flag for."""
    if not (command.callback or cli.callback).__module__.startswith("expertrag."):
        return set()
    names = {parameter.name for parameter in command.params}
    keys = {item.key for item in settings() if parameter_of(item) in names}
    if isinstance(command, click.Group):
        context = click.Context(command)
        children = (command.get_command(context, name) for name in command.list_commands(context))
        keys.update(*(_list_flag_keys(child) for child in children if child is not None))
    return keys


def _config_page() -> str:
    parts = [
        ORIGIN,
        "# Configuration",
        "Precedence: flag, then environment, then the file of `--config` or `EXPERTRAG_CONFIG`, "
        "then default. A command takes a setting without a flag of its own as "
        "`--set SECTION.KEY=VALUE`, which has the precedence of a flag. An unknown key, or a "
        "variable that misspells a setting, is an error. `--print-config` prints the effective "
        "values with the origin of each, in the form that `--config` reads.",
        table(_list_flag_keys(cli)).rstrip(),
        "Three variables are not settings: `EXPERTRAG_CONFIG` (the file), `EXPERTRAG_CACHE` (where "
        "models are stored) and `EXPERTRAG_DEBUG=1` (tracebacks). Keys are never printed or "
        "logged: `EXPERTRAG_OPENAI_API_KEY` is the key of an `openai:` generator, "
        "`EXPERTRAG_EMBEDDER_API_KEY` and `EXPERTRAG_RERANKER_API_KEY` are the keys of models on "
        "[other servers](../guide/endpoints.md). Instead of each, the same name with `_FILE` names "
        "a file with the key. `EXPERTRAG_QDRANT_API_KEY` is the key of "
        "[an engine for vectors](../guide/engines.md).",
        "`expertrag serve --print-config > expertrag.toml` writes a file with every setting.",
    ]
    return "\n\n".join(parts) + "\n"


@click.command()
@click.option("--check", is_flag=True, help="Fail if a page is out of date; write nothing.")
def main(check: bool) -> None:
    """Write the generated pages of the documentation."""
    write_pages(DOCS, pages(), check=check)


def write_pages(folder: Path, texts: Mapping[str, str], *, check: bool) -> None:
    """Write pages by file name.

    :param check: write nothing.
    :raises click.ClickException: a page is out of date, with ``check``.
    """
    for name, text in texts.items():
        file = folder / name
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        if check:
            raise click.ClickException(f"{name} is out of date: run `make docs`")
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
