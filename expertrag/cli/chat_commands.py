"""The commands of ``expertrag chat``, such as /why; all print on stderr."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument
from expertrag.api.turns import Turn
from expertrag.api.types import Answer, GateDecision, GateMode
from expertrag.cli.answer_lines import decision_lines, evidence_lines, source_lines
from expertrag.cli.output import note, passage_lines

if TYPE_CHECKING:
    from expertrag.client.requests import AnswerOptions

_COMMAND = re.compile(r"/\w*")
_DEFAULT = "default"
"""The mode of the token, of the collection or of the server."""
_MODES = (_DEFAULT, *GateMode)


@dataclass(slots=True)
class Dialogue:
    """A conversation in the terminal: its options and turns, and what came of the last question.

    ``answer`` is None if the question was not answered, as after Ctrl-C.
    """

    options: AnswerOptions
    history: list[Turn] = field(default_factory=list)
    decision: GateDecision | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """A command; ``run`` gets the conversation and the text after the command's name."""

    help: str
    run: Callable[[Dialogue, str], None]
    argument: str = ""


def is_command(line: str) -> bool:
    """Return whether a line is a command: /help, but not /etc/hosts."""
    return _COMMAND.fullmatch(line.split()[0]) is not None


def run_command(dialogue: Dialogue, line: str) -> None:
    """Run the command of a line.

    :raises InvalidArgument: there is no such command, or it takes no such argument.
    """
    name, _, argument = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        raise InvalidArgument(f"there is no command {name}; there are {', '.join(COMMANDS)}")
    if argument and not command.argument:
        raise InvalidArgument(f"{name} takes no argument; a question does not begin with /")
    command.run(dialogue, argument.strip())


def _why(dialogue: Dialogue, _: str) -> None:
    if dialogue.decision is None:
        raise InvalidArgument("there is no question yet; ask one first")
    _print(decision_lines(dialogue.decision))
    _print(evidence_lines(dialogue.decision))


def _sources(dialogue: Dialogue, _: str) -> None:
    answer = dialogue.answer
    if answer is None:
        raise InvalidArgument("there is no answer; ask a question first")
    _print(source_lines(answer))
    if not answer.passages:
        note("The last answer is not from the documents: there are no passages.")
        return
    note(f"Passages that were read for it, {len(answer.passages)}:")
    _print(f"  {line}" for line in passage_lines(answer.passages))


def _mode(dialogue: Dialogue, argument: str) -> None:
    modes = ", ".join(_MODES)
    if argument:
        if argument not in _MODES:
            raise InvalidArgument(f"there is no mode {argument}; choose one of {modes}")
        dialogue.options["mode"] = None if argument == _DEFAULT else argument
    note(f"Mode: {dialogue.options['mode'] or _DEFAULT} (of {modes})")


def _new(dialogue: Dialogue, _: str) -> None:
    dialogue.history.clear()
    dialogue.decision = dialogue.answer = None
    note("Another conversation begins.")


def _help(_dialogue: Dialogue, _: str) -> None:
    _print(command_lines())


def _exit(_dialogue: Dialogue, _: str) -> None:
    raise click.exceptions.Exit(0)


def command_lines() -> Iterator[str]:
    """Yield a line on each command."""
    usages = [f"{name} {command.argument}".strip() for name, command in COMMANDS.items()]
    width = max(map(len, usages))
    for usage, command in zip(usages, COMMANDS.values(), strict=True):
        yield f"{usage.ljust(width)}  {command.help}"


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        note(line)


COMMANDS: Mapping[str, ChatCommand] = {
    "/why": ChatCommand("explain the decision about the last question", _why),
    "/sources": ChatCommand("list the sources of the last answer, and all its passages", _sources),
    "/mode": ChatCommand("show the mode, or set it", _mode, f"[{'|'.join(_MODES)}]"),
    "/new": ChatCommand("start another conversation", _new),
    "/help": ChatCommand("list the commands", _help),
    "/exit": ChatCommand("end, as Ctrl-D does", _exit),
}
