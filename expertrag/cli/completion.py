"""Shell completion: ``expertrag completion``, and the answer to a shell that completes a line."""

from __future__ import annotations

import os
import sys

import click
from click.shell_completion import (
    BashComplete,
    add_completion_class,
    get_completion_class,
    shell_complete,
)

from expertrag.api.errors import InvalidArgument
from expertrag.cli.output import note

PROGRAM = "expertrag"
VARIABLE = "_EXPERTRAG_COMPLETE"
"""Set by the scripts, to what they want: ``bash_complete``; ``bash_source`` prints the script."""

PLACES = {
    "bash": "add to ~/.bashrc: source <(expertrag completion bash)",
    "zsh": "add to ~/.zshrc, below compinit: source <(expertrag completion zsh)",
    "fish": "run: expertrag completion fish > ~/.config/fish/completions/expertrag.fish",
}
"""Where each shell's script goes."""


@add_completion_class
class BashWords(BashComplete):
    """Also completes ``--mode=strict``, which bash splits at the equals sign."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and what there is of that one."""
        words, begun = super().get_completion_args()
        return [word for word in words if word != "="], begun


def answer_the_shell(cli: click.Command) -> None:
    """Print what a completion script asks for, and exit; return if none asks.

    ``click`` does so in ``Command.main``, which ``expertrag`` does not call.

    :raises InvalidArgument: the variable names a shell or a request that there is not.
    """
    asked = os.environ.get(VARIABLE)
    if not asked:
        return
    if shell_complete(cli, {}, PROGRAM, VARIABLE, asked):
        raise InvalidArgument(f"{VARIABLE} is {asked!r}; set it to {_sources()}, or unset it")
    raise click.exceptions.Exit(0)


def _sources() -> str:
    return ", ".join(f"{shell}_source" for shell in PLACES)


@click.command(epilog="\b\n" + "\n".join(f"{shell}: {place}" for shell, place in PLACES.items()))
@click.argument("shell", type=click.Choice(tuple(PLACES)))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and their values in a shell."""
    completion_class = get_completion_class(shell)
    assert completion_class is not None  # click has the three shells
    cli = click.get_current_context().find_root().command
    click.echo(completion_class(cli, {}, PROGRAM, VARIABLE).source(), nl=False)
    if sys.stdout.isatty():
        note(f"To use it, {PLACES[shell]}")
