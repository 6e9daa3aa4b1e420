"""``expertrag ask`` and ``retrieve``, and the options shared by all commands that ask."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Answer, AnswerEvent, DeltaEvent, GateMode, Sampling, Tls
from expertrag.cli.answer_lines import Detail, heading_of, print_facts
from expertrag.cli.completers import a_collection, a_file_or
from expertrag.cli.constraint import constrained
from expertrag.cli.contrast import contrasting
from expertrag.cli.history import history_of_option
from expertrag.cli.options import (
    Command,
    configured,
    domain_option,
    filter_option,
    flag,
    json_flag,
    rerank_option,
    search_mode_option,
)
from expertrag.cli.output import emit_json, note, passage_lines, print_found, printable
from expertrag.cli.question import question_argument
from expertrag.config import ENV_PREFIX, Config

if TYPE_CHECKING:
    from expertrag.client import AsyncClient, Client
    from expertrag.client.requests import AnswerOptions

SAMPLING = Sampling()
LOAD_TIMEOUT_S = 600.0
SYSTEM_CA = "system"

server_option = flag(
    "--server",
    metavar="ADDRESS",
    help="Server to ask, HOST:PORT or unix:PATH; takes precedence over --index. "
    "Without either: the default address of `expertrag serve`.",
)
token_file_option = flag(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with the bearer token for the server. Unset: EXPERTRAG_TOKEN.",
)
ca_option = flag(
    "--ca",
    metavar="FILE",
    shell_complete=a_file_or(SYSTEM_CA),
    help="Use TLS; certificates (PEM) that sign the server's, or `system`. For mutual TLS, see "
    "EXPERTRAG_CLIENT_CERT and EXPERTRAG_CLIENT_KEY.",
)
collection_option = flag(
    "--collection",
    default="",
    metavar="NAME",
    env=f"{ENV_PREFIX}ASK_COLLECTION",
    shell_complete=a_collection,
    help="Collection of the server. Unset: the default one.",
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
    help="auto: the gate decides; never, always: skip or force retrieval; strict: answer from the "
    "documents or abstain.",
)


class _Timeout(TypedDict, total=False):
    timeout: float


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The server or store that a command asks, and the call's deadline in seconds.

    ``ca`` is a file of certificates, or "system"; None is no TLS.
    """

    server: str | None
    timeout: float | None
    config: Config
    token_file: Path | None = None
    ca: str | None = None
    collection: str = ""

    @contextmanager
    def open(self, *, ready: bool = True) -> Iterator[Client]:
        """Connect to the server or open the store, and close it at the end.

        :param ready: wait until the models are loaded; False if no model is needed.
        """
        from expertrag.client import Client

        if self.in_process:
            from expertrag.llm.load.loading import quiet

            with Client(Path(self.config.index), config=self.config) as client:
                if ready:
                    with quiet():
                        client.wait_ready(LOAD_TIMEOUT_S)  # not part of the answer's time
                yield client
            return
        address = self.server or self.config.service.address
        with Client(
            address, token=self._token, tls=self._tls, collection=self.collection
        ) as client:
            if ready and client.info(**self.deadline).index is None:
                note("the server is loading its models")
                client.wait_ready(self.timeout or LOAD_TIMEOUT_S)
            yield client

    def connect(self) -> AsyncClient:
        """Return an asyncio client; it connects, or loads the models, at its first call."""
        from expertrag.client import AsyncClient

        if self.in_process:
            store = Path(self.config.index)
            return AsyncClient(store, config=self.config, collection=self.collection)
        address = self.server or self.config.service.address
        return AsyncClient(address, token=self._token, tls=self._tls, collection=self.collection)

    @property
    def in_process(self) -> bool:
        """Whether a store is served in this process, not by a server."""
        return not self.server and bool(self.config.index)

    @property
    def _token(self) -> str | None:
        if self.token_file is None:
            return None
        try:
            return self.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument(
                f"the token file {self.token_file} cannot be read ({error})"
            ) from None

    @property
    def _tls(self) -> Tls | bool | None:
        if self.ca is None or self.ca == SYSTEM_CA:
            return True if self.ca else None
        from expertrag.client.connection import tls_of

        return tls_of(self.ca)

    @property
    def deadline(self) -> _Timeout:
        """The timeout as a keyword argument, or no argument if it is unset."""
        return {} if self.timeout is None else {"timeout": self.timeout}


_SERVER_OPTIONS = (
    timeout_option,
    collection_option,
    ca_option,
    token_file_option,
    server_option,
)


def targeted(command: Command) -> Command:
    """Pass a command its ``server``, from its options and the configuration."""

    @functools.wraps(command)
    def run(
        server: str | None,
        timeout: float | None,
        config: Config,
        token_file: Path | None,
        ca: str | None,
        collection: str,
        **rest: Any,
    ) -> Any:
        options = ServerOptions(server, timeout, config, token_file, ca, collection)
        return command(server=options, **rest)

    wrapped: Command = run
    for option in _SERVER_OPTIONS:
        wrapped = option(wrapped)
    return wrapped


def asking(*keys: str) -> Callable[[Command], Command]:
    """Add the options shared by all commands that ask a server or a store."""

    def decorate(command: Command) -> Command:
        return configured("index", "model", "rerank", *keys)(json_flag(targeted(command)))

    return decorate


_GENERATION_OPTIONS = (
    mode_option,
    flag(
        "--max-tokens",
        type=int,
        default=SAMPLING.max_tokens,
        help="Maximum length of the answer, in tokens.",
    ),
    flag(
        "--temperature",
        type=float,
        default=SAMPLING.temperature,
        help="Sampling temperature; 0 is greedy.",
    ),
    flag(
        "--seed",
        type=int,
        default=SAMPLING.seed,
        help="Random seed; the same seed gives the same answer.",
    ),
    flag(
        "--frequency-penalty",
        type=float,
        help="Frequency penalty, 0 to 2; higher values break repetition loops. Unset: the model's "
        "own.",
    ),
    flag(
        "--adapter",
        default="",
        metavar="NAME",
        env=f"{ENV_PREFIX}ASK_ADAPTER",
        help="Adapter (LoRA) of the language model that answers. Unset: none.",
    ),
    flag(
        "--steps",
        type=int,
        default=1,
        help="Number of searches, 1 to 3; each after the first adds a draft answer to the query.",
    ),
    filter_option,
    rerank_option,
    domain_option,
    asking("gate", "search"),
)


def generating(command: Command) -> Command:
    """Add the options of commands that print answers; pass their values as ``AnswerOptions``."""

    @functools.wraps(command)
    def run(
        server: ServerOptions, metadata_filter: Mapping[str, object] | None, **options: Any
    ) -> Any:
        options["k"] = server.config.search.k
        options["filter"] = metadata_filter
        options["threshold"] = server.config.gate.threshold
        options["routing"] = server.config.model.routing
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
    show: Callable[[AnswerEvent], None],
) -> Answer:
    """Print the text of an answer on stdout while it is generated, and return the answer.

    :param show: called with each event before its text is printed.
    """
    from expertrag.api.folding import AnswerFolder

    folder, begun = AnswerFolder(), False
    try:
        for event in client.stream(question, **options, **server.deadline):
            folder.add(event)
            show(event)
            if isinstance(event, DeltaEvent):
                click.echo(printable(event.text), nl=False)
                begun = True
    finally:
        if begun:  # so that an error gets its own line
            click.echo()
    return folder.answer()


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
    help="Print all passages, what the decision rests on, and the seconds of each stage, too.",
)
@generating
@constrained
@contrasting
@flag(
    "--logprobs",
    type=int,
    metavar="N",
    help="Add the log probability of each token, and of the N most likely tokens at its position "
    "(0 to 20), to the output of --json.",
)
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

    The answer is streamed to stdout. Everything else goes to stderr: above the text, a line that
    marks an answer from the model alone, not from the documents; below it, why the passages do not
    support the answer, its sources, the gate's decision and the cost.

    Several words are one question; quote it if it has a word that begins with a dash. - reads the
    question from stdin.
    """
    if quiet and verbose:
        raise click.UsageError("-q and -v exclude each other")
    detail = Detail.NOTHING if quiet else Detail.EVERYTHING if verbose else Detail.FACTS
    mode = GateMode(options["mode"])

    def show(event: AnswerEvent) -> None:
        if detail and (heading := heading_of(event, mode)):
            note(heading)

    with server.open() as client:
        if as_json:
            emit_json(client.answer(question, **options, **server.deadline))
            return
        answer = stream_answer(client, question, server, options, show)
    print_facts(answer, detail)


@click.command()
@click.argument("query")
@search_mode_option
@filter_option
@rerank_option
@asking("search")
def retrieve(
    query: str,
    mode: str,
    metadata_filter: Mapping[str, object] | None,
    rerank: str,
    server: ServerOptions,
    as_json: bool,
) -> None:
    """Print the best passages for a query."""
    k = server.config.search.k
    with server.open() as client:
        result = client.retrieve(
            query, k=k, filter=metadata_filter, mode=mode, rerank=rerank, **server.deadline
        )
    if result.rerank_skipped:
        note(f"not reranked: {result.rerank_skipped}")
    print_found(result, as_json, passage_lines(result.passages))
