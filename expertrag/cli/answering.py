"""``expertrag ask`` and ``retrieve``, and the options shared by all commands that ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from expertrag.api.types import Constraint, DeltaEvent, GateMode, Sampling
from expertrag.cli.constraint import constrained
from expertrag.cli.options import (
    configured,
    domain_option,
    filter_option,
    flag,
    json_flag,
    search_mode_option,
)
from expertrag.cli.output import (
    emit_json,
    print_answer_facts,
    print_answer_heading,
    print_passages,
    printable,
)
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.client import Client

SAMPLING = Sampling()
LOAD_TIMEOUT_S = 600.0

server_option = flag(
    "--server",
    metavar="ADDRESS",
    help="Server to ask, HOST:PORT or unix:PATH; takes precedence over --index. "
    "Without either: the default address of `expertrag serve`.",
)
timeout_option = flag(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Deadline in seconds. Unset: 60 for ask, 30 for the other commands.",
)
mode_option = flag(
    "--mode",
    type=click.Choice([mode.value for mode in GateMode]),
    default=GateMode.AUTO.value,
    show_default=True,
    help="auto: the gate decides; never, always: skip or force retrieval; strict: answer from the "
    "documents or abstain.",
)


def asking(*keys: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options shared by all commands that ask a server or a store."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (timeout_option, server_option):
            command = option(command)
        return configured("index", "model", *keys)(json_flag(command))

    return decorate


@click.command()
@click.argument("question")
@mode_option
@flag(
    "--max-tokens",
    type=int,
    default=SAMPLING.max_tokens,
    show_default=True,
    help="Maximum length of the answer, in tokens.",
)
@flag(
    "--temperature",
    type=float,
    default=SAMPLING.temperature,
    show_default=True,
    help="Sampling temperature; 0 is greedy.",
)
@flag(
    "--seed",
    type=int,
    default=SAMPLING.seed,
    show_default=True,
    help="Random seed; the same seed gives the same answer.",
)
@flag(
    "--frequency-penalty",
    type=float,
    help="Frequency penalty, 0 to 2; higher values break repetition loops. Unset: the model's own.",
)
@constrained
@flag(
    "--logprobs",
    type=int,
    metavar="N",
    help="Add the log probability of each token, and of the N most likely tokens at its position "
    "(0 to 20), to the output of --json.",
)
@flag(
    "--steps",
    type=int,
    default=1,
    show_default=True,
    help="Number of searches, 1 to 3; each after the first adds a draft answer to the query.",
)
@filter_option
@domain_option
@asking("gate", "search")
def ask(
    question: str,
    mode: str,
    max_tokens: int,
    temperature: float,
    seed: int,
    frequency_penalty: float | None,
    constraint: Constraint | None,
    logprobs: int | None,
    steps: int,
    metadata_filter: Mapping[str, object] | None,
    domain: str | None,
    timeout: float | None,
    server: str | None,
    config: Config,
    as_json: bool,
) -> None:
    """Answer a question.

    Stream the text, then print sources, gate decision and cost.

    A line above the text marks an answer that comes from the model alone, not from the documents.
    A line below it says why the passages do not support the answer.
    """
    from expertrag.api.folding import AnswerFolder

    arguments: dict[str, Any] = {
        "mode": mode,
        "k": config.search.k,
        "filter": metadata_filter,
        "domain": domain,
        "threshold": config.gate.threshold,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "frequency_penalty": frequency_penalty,
        "constraint": constraint,
        "logprobs": logprobs,
        "steps": steps,
        **timeout_argument(timeout),
    }
    with open_client(server, config) as client:
        if as_json:
            emit_json(client.answer(question, **arguments))
            return
        folder, begun = AnswerFolder(), False
        try:
            for event in client.stream(question, **arguments):
                folder.add(event)
                print_answer_heading(event, GateMode(mode))
                if isinstance(event, DeltaEvent):
                    click.echo(printable(event.text), nl=False)
                    begun = True
        finally:
            if begun:  # so that an error gets its own line
                click.echo("\n")
    print_answer_facts(folder.answer())


@click.command()
@click.argument("query")
@search_mode_option
@filter_option
@asking("search")
def retrieve(
    query: str,
    mode: str,
    metadata_filter: Mapping[str, object] | None,
    timeout: float | None,
    server: str | None,
    config: Config,
    as_json: bool,
) -> None:
    """Print the best passages for a query."""
    with open_client(server, config) as client:
        result = client.retrieve(
            query,
            k=config.search.k,
            filter=metadata_filter,
            mode=mode,
            **timeout_argument(timeout),
        )
    if as_json:
        emit_json(result)
        return
    print_passages(result.passages)


@contextmanager
def open_client(server: str | None, config: Config, *, ready: bool = True) -> Iterator[Client]:
    """Connect to the server or open the store, and close it at the end.

    :param ready: load the models of an in-process store first; False if no model is needed.
    """
    from expertrag.client import Client

    if not server and config.index:
        from expertrag.llm.load.loading import quiet

        with Client(Path(config.index), config=config) as client:
            if ready:
                with quiet():
                    client.wait_ready(LOAD_TIMEOUT_S)  # loading is not part of the answer's time
            yield client
        return
    with Client(server or config.service.address) as client:
        yield client


def timeout_argument(timeout: float | None) -> dict[str, float]:
    """Return the timeout as a keyword argument, or no argument if it is unset."""
    return {} if timeout is None else {"timeout": timeout}
