"""``expertrag ask`` and ``retrieve``, and the options shared by all commands that ask."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from expertrag.api.events import DeltaEvent, GateEvent
from expertrag.api.types import Answer, GateDecision, GateMode
from expertrag.cli.answer_lines import Detail, heading_of, print_facts
from expertrag.cli.answer_table import ReadingProgress, table_lines
from expertrag.cli.constraint import with_constraint
from expertrag.cli.contrast import contrast_of
from expertrag.cli.history import history_of_option
from expertrag.cli.options import (
    Command,
    filter_option,
    flag,
    json_flag,
    search_mode_option,
    with_config,
)
from expertrag.cli.output import emit_json, note, passage_lines, print_found, printable
from expertrag.cli.question import question_argument
from expertrag.cli.server_options import ServerOptions, with_server
from expertrag.config import ENV_PREFIX

if TYPE_CHECKING:
    from expertrag.client import Client
    from expertrag.client.requests import AnswerOptions

SEARCHING = (
    "model",
    "rerank",
    "lab.passages",
    "lab.wording",
    "lab.routing",
    "lab.expert_patterns",
    "lab.expert_share",
    "lab.weights_mib",
)
"""Settings, or sections of them, of what searches: a store in this process, or a server."""
ANSWERING = (*SEARCHING, "gate")
"""Settings, or sections of them, of what answers."""
JUDGED = ("gate.mode", "gate.threshold", "request.domain")
"""Settings that a request for a decision carries."""
ASKED = (
    *JUDGED,
    "search.k",
    "request",
    "lab.routing",
    "lab.contrast",
    "lab.beta",
    "lab.weak_routing",
)
"""Settings that a request for an answer carries."""


def asking(
    *keys: str, settable: tuple[str, ...] = SEARCHING, sent: tuple[str, ...] = ()
) -> Callable[[Command], Command]:
    """Add the options shared by all commands that ask a server or a store.

    :param keys: settings with a flag of their own.
    :param settable: keys or sections of settings of a store, which ``--set`` sets.
    :param sent: keys or sections of settings that a request carries, so that a server heeds them.
    """

    def decorate(command: Command) -> Command:
        settings = with_config("index", *keys, settable=(*settable, *sent))
        return settings(json_flag(with_server(*sent)(command)))

    return decorate


_GENERATION_OPTIONS = (
    flag(
        "--adapter",
        default="",
        metavar="NAME",
        env=f"{ENV_PREFIX}ASK_ADAPTER",
        help="Adapter (LoRA) of the language model that answers. Unset: none.",
    ),
    filter_option,
    asking(
        "model.generator",
        "gate.mode",
        "search.k",
        "request.max_tokens",
        "request.temperature",
        "request.scope",
        "request.as_of",
        settable=ANSWERING,
        sent=ASKED,
    ),
)


def generating(command: Command) -> Command:
    """Add the options of commands that print answers; pass their values as ``AnswerOptions``."""

    @functools.wraps(command)
    def run(
        server: ServerOptions, metadata_filter: Mapping[str, object] | None, **options: Any
    ) -> Any:
        config = server.config
        options |= asdict(config.request)
        options["k"] = config.search.k
        options["filter"] = metadata_filter
        options["mode"] = config.gate.mode
        options["threshold"] = config.gate.threshold
        options["routing"] = config.lab.routing
        options["contrast"] = contrast_of(config.lab)
        return command(server=server, **options)

    wrapped: Command = run
    for option in reversed(_GENERATION_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def stream_answer(
    client: Client,
    question: str,
    server: ServerOptions,
    options: AnswerOptions,
    *,
    headed: bool = True,
    decided: Callable[[GateDecision], None] = lambda _: None,
) -> Answer:
    """Print the text of an answer on stdout while it is generated, and return the answer.

    Its table follows where it says more than the text.

    :param headed: print on stderr how far the documents are read, and above the text that it is
        from the model alone, if it is.
    :param decided: called with the gate's decision, before the text is printed.
    """
    from expertrag.api.folding import AnswerFolder

    folder, begun, mode = AnswerFolder(), False, GateMode.AUTO
    reading = ReadingProgress()
    try:
        for event in client.stream(question, **options, **server.deadline):
            folder.add(event)
            if headed:
                reading.show(event)
            if isinstance(event, GateEvent):
                mode = event.decision.mode
                decided(event.decision)
            if headed and (heading := heading_of(event, mode)):
                note(heading)
            if isinstance(event, DeltaEvent):
                click.echo(printable(event.text), nl=False)
                begun = True
    finally:
        reading.close()
        if begun:  # so that an error gets its own line
            click.echo()
    answer = folder.answer()
    for line in table_lines(answer):
        click.echo(line)
    return answer


@click.command()
@question_argument
@flag(
    "quiet",
    "-q",
    "--quiet",
    is_flag=True,
    env=f"{ENV_PREFIX}ASK_QUIET",
    help="Print the answer alone, and errors.",
)
@flag(
    "verbose",
    "-v",
    "--verbose",
    is_flag=True,
    env=f"{ENV_PREFIX}ASK_VERBOSE",
    help="Also print all passages, what the decision rests on, and the seconds of each stage.",
)
@generating
@with_constraint
@flag(
    "history",
    "--history",
    type=click.Path(path_type=Path),
    metavar="FILE",
    callback=history_of_option,
    help="The conversation so far: JSON lines such as "
    """'{"role": "user", "text": "What is WAL?"}', oldest first.""",
)
def ask(
    question: str,
    quiet: bool,
    verbose: bool,
    server: ServerOptions,
    as_json: bool,
    **options: Unpack[AnswerOptions],
) -> None:
    """Answer a question.

    The answer is streamed to stdout, and then its table. Everything else goes to stderr: above the
    text, a line that marks an answer from the model alone, not from the documents. Below it,
    that the documents support it or what to check, its sources and the gate's decision. For a list
    or a count, how it was counted, and whether it is complete.

    Several words are one question; quote it if it has a word that begins with a dash. - reads the
    question from stdin.
    """
    if quiet and verbose:
        raise click.UsageError("-q and -v exclude each other")
    if options["logprobs"] is not None and not as_json:
        raise click.UsageError("request.logprobs needs --json, whose output has them; add it")
    detail = Detail.NOTHING if quiet else Detail.EVERYTHING if verbose else Detail.FACTS
    with server.open() as client:
        if as_json:
            emit_json(client.answer(question, **options, **server.deadline))
            return
        answer = stream_answer(client, question, server, options, headed=not quiet)
    print_facts(answer, detail)


@click.command()
@click.argument("query")
@search_mode_option
@filter_option
@asking("search.k", "request.rerank", sent=("search.k", "request.rerank"))
def retrieve(
    query: str,
    mode: str,
    metadata_filter: Mapping[str, object] | None,
    server: ServerOptions,
    as_json: bool,
) -> None:
    """Print the best passages for a query."""
    k, rerank = server.config.search.k, server.config.request.rerank
    with server.open() as client:
        result = client.retrieve(
            query, k=k, filter=metadata_filter, mode=mode, rerank=rerank, **server.deadline
        )
    if result.rerank_skipped:
        note(f"not reranked: {result.rerank_skipped}")
    print_found(result, as_json, passage_lines(result.passages))
