"""``expertrag chat``: a conversation in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Unpack

import click

from expertrag.api.errors import ExpertRAGError
from expertrag.api.turns import Turn, latest
from expertrag.api.types import GateDecision
from expertrag.cli.answer_lines import decision_lines, print_dimmed, source_lines
from expertrag.cli.answering import generating, stream_answer
from expertrag.cli.chat_commands import Dialogue, command_lines, is_command, run_command
from expertrag.cli.exits import message_of
from expertrag.cli.output import emit_json, note
from expertrag.cli.server_options import ServerOptions

if TYPE_CHECKING:
    from expertrag.client import Client
    from expertrag.client.requests import AnswerOptions

PROMPT = "> "


@click.command(epilog="\b\nCommands:\n" + "\n".join(f"  {line}" for line in command_lines()))
@generating
def chat(server: ServerOptions, as_json: bool, **options: Unpack[AnswerOptions]) -> None:
    """Answer questions one after another, as one conversation.

    Reads one question per line, from the terminal or from a pipe. A question may refer to the
    earlier ones ("When was it added?"). Answers go to stdout, everything else to stderr: above an
    answer the gate's decision, below it the sources. Ctrl-C stops an answer.
    """
    dialogue = Dialogue(options)
    with server.open() as client:
        for line in _lines():
            _reply(client, server, dialogue, line, as_json=as_json)


def _lines() -> Iterator[str]:
    """Yield the lines of the user until the end; without a terminal, echo them."""
    interactive = sys.stdin.isatty()
    if interactive:
        import readline  # noqa: F401 - line editing of input()

        note("Ask a question; /help lists the commands, Ctrl-D ends.")
    while True:
        try:
            line = _read_line() if interactive else input().strip()
        except EOFError:
            return
        if line:
            if not interactive:
                note(f"{PROMPT}{line}")
            yield line


def _read_line() -> str:
    """Read a line from the terminal."""
    prompt = PROMPT
    if not sys.stdout.isatty():  # where input() would print the prompt
        click.echo(PROMPT, nl=False, err=True)
        prompt = ""
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        note("")  # the prompt of the shell gets its own line
        raise


def _reply(
    client: Client, server: ServerOptions, dialogue: Dialogue, line: str, *, as_json: bool
) -> None:
    """Answer a question, or run a command.

    In a terminal, an error or Ctrl-C ends the answer, not the conversation.
    """
    try:
        if is_command(line):
            run_command(dialogue, line)
        else:
            _answer(client, server, dialogue, line, as_json=as_json)
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
        note("stopped")
    except ExpertRAGError as error:
        if not sys.stdin.isatty():
            raise
        note(f"error: {message_of(error)}")


def _answer(
    client: Client, server: ServerOptions, dialogue: Dialogue, question: str, *, as_json: bool
) -> None:
    """Print the answer to a question, and add both to the conversation."""
    options = dialogue.options
    options["history"] = latest(dialogue.history)
    dialogue.decision = dialogue.answer = None

    def show_decision(decision: GateDecision) -> None:
        dialogue.decision = decision
        print_dimmed(decision_lines(decision, brief=True))

    if as_json:
        answer = client.answer(question, **options, **server.deadline)
        emit_json(answer)
    else:
        answer = stream_answer(client, question, server, options, decided=show_decision)
        for line in source_lines(answer):
            note(line)
        click.echo()
    dialogue.decision, dialogue.answer = answer.decision, answer
    if answer.text:
        dialogue.history += [Turn.user(question), Turn.assistant(answer.text)]
