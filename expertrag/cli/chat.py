"""``expertrag chat``: a conversation in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Unpack

import click

from expertrag.api.errors import ExpertRAGError
from expertrag.api.turns import Turn, latest
from expertrag.cli.answering import ServerOptions, generating, stream_answer
from expertrag.cli.exits import message_of
from expertrag.cli.output import decision_lines, emit_json, note, print_sources

if TYPE_CHECKING:
    from expertrag.client import Client
    from expertrag.client.requests import AnswerOptions

NEW, EXIT = "/new", "/exit"
PROMPT = "> "


@click.command()
@generating
def chat(server: ServerOptions, as_json: bool, **options: Unpack[AnswerOptions]) -> None:
    """Answer questions one after another, as one conversation.

    Reads one question per line, from the terminal or from a pipe. A question may refer to the
    earlier ones ("When was it added?"). /new starts another conversation, /exit or Ctrl-D ends;
    Ctrl-C stops an answer.
    """
    history: list[Turn] = []
    with server.open() as client:
        for question in _questions():
            if question == NEW:
                history.clear()
                continue
            options["history"] = latest(history)
            text = _answered(client, question, server, options, as_json=as_json)
            if text:
                history += [Turn.user(question), Turn.assistant(text)]


def _questions() -> Iterator[str]:
    """Yield the lines of the user until the end; without a terminal, echo them."""
    interactive = sys.stdin.isatty()
    if interactive:
        import readline  # noqa: F401 - line editing of input()

        note(f"Ask a question; {NEW} starts another conversation, {EXIT} or Ctrl-D ends.")
    while True:
        try:
            line = input(PROMPT if interactive else "").strip()
        except EOFError:
            return
        if line == EXIT:
            return
        if line:
            if not interactive:
                note(f"{PROMPT}{line}")
            yield line


def _answered(
    client: Client, question: str, server: ServerOptions, options: AnswerOptions, *, as_json: bool
) -> str:
    """Print the answer to a question and return its text; "" if there is none.

    In a terminal, an error or Ctrl-C ends the answer, not the conversation.
    """
    try:
        if as_json:
            answer = client.answer(question, **options, **server.deadline)
            emit_json(answer)
        else:
            answer = stream_answer(client, question, server, options)
            print_sources(answer)
            for line in decision_lines(answer.decision, brief=True):
                click.echo(line)
            click.echo()
        return answer.text
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
        note("stopped")
    except ExpertRAGError as error:
        if not sys.stdin.isatty():
            raise
        note(f"error: {message_of(error)}")
    return ""
