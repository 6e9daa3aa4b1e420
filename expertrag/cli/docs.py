"""Generate the pages cli.md and config.md from the commands and the configuration.

python -m expertrag.cli.docs           write
python -m expertrag.cli.docs --check   fail if a page is out of date
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from expertrag.cli.exits import MEANINGS
from expertrag.cli.main import cli
from expertrag.cli.options import parameter_of
from expertrag.config import load, render, settings, table

DOCS = Path(__file__).parents[2] / "docs" / "reference"
WIDTH = 100
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
    """Yield a section for each command of a distribution, with its help."""
    for path, command, text in _helps(cli, "expertrag", None):
        package = (command.callback or cli.callback).__module__.partition(".")[0]
        if package == distribution:
            yield f"## {path}\n\n```\n{text}\n```"


def _helps(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, str]]:
    """Yield the path and the help of a command and of its subcommands."""
    context = click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    lines = command.get_help(context).splitlines()
    yield context.command_path, command, "\n".join(line.rstrip() for line in lines)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            child = command.get_command(context, below)
            if child is not None:
                yield from _helps(child, below, context)


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
        "Three variables are not settings: `EXPERTRAG_CONFIG` (the file), `EXPERTRAG_CACHE` "
        "(where models are stored) and `EXPERTRAG_DEBUG=1` (tracebacks). "
        "`EXPERTRAG_OPENAI_API_KEY` is the key of an `openai:` endpoint, "
        "`EXPERTRAG_QDRANT_API_KEY` is the key of [an engine for vectors](../guide/engines.md); "
        "they are never printed or logged.",
        "## A file with every default",
        f"```toml\n{render(load(environ={})).rstrip()}\n```",
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
