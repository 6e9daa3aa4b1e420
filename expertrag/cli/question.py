"""The question of a command: words of the command line, or the text of stdin."""

from __future__ import annotations

import sys

import click

from expertrag.api.errors import InvalidArgument

STDIN = "-"


def _question(context: click.Context, _argument: click.Parameter, words: tuple[str, ...]) -> str:
    if words == (STDIN,) and not context.resilient_parsing:  # completion must not wait for stdin
        return _stdin()
    return " ".join(words)


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode().strip()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"the question on stdin is not UTF-8 text ({error.reason})") from None


question_argument = click.argument(
    "question", nargs=-1, required=True, metavar="QUESTION...", callback=_question
)
