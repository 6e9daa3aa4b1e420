"""The server or store that a command asks, and the options that name it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from expertrag.api.errors import InvalidArgument
from expertrag.api.tls import Tls
from expertrag.cli.completers import a_collection, a_file_or
from expertrag.cli.options import Command, flag, list_typed, list_typed_settings
from expertrag.cli.output import note
from expertrag.config import ENV_PREFIX, Config

if TYPE_CHECKING:
    from expertrag.client import AsyncClient, Client

LOAD_TIMEOUT_S = 600.0
SYSTEM_CA = "system"

server_option = flag(
    "--server",
    metavar="ADDRESS",
    help="Server to ask, HOST:PORT or unix:PATH, in place of --index; the models and the gate are "
    "then its own. Without either: the default address of `expertrag serve`.",
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


class _Timeout(TypedDict, total=False):
    timeout: float


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The server or store that a command asks, and the call's deadline in seconds.

    ``ca`` is a file of certificates, or "system"; None means no TLS.
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
            from expertrag_index.store.opening import check_published

            if ready:  # fail on a bad store before loading models
                check_published(Path(self.config.index))
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


PLACES = {"server": "--server", "index": "--index"}
"""Options that name what to ask, by their names in a context."""
_OF_A_SERVER = {"collection": "--collection", "ca": "--ca", "token_file": "--token-file"}
_SERVER_OPTIONS = (ca_option, token_file_option, server_option)


def with_server(*used: str, collection: bool = True) -> Callable[[Command], Command]:
    """Pass a command its ``server``, from its options and the configuration.

    Options that a server or a store does not heed are refused, if they are typed. Settings of the
    models, for example, are the server's own.

    :param used: keys or sections of settings that the command itself uses, whatever it asks.
    :param collection: whether it is about a collection.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(
            server: str | None,
            timeout: float | None,
            config: Config,
            token_file: Path | None,
            ca: str | None,
            collection: str = "",
            **rest: Any,
        ) -> Any:
            if list_typed(PLACES) == ["--index"]:
                server = None  # what is typed takes precedence over the environment
            options = ServerOptions(server, timeout, config, token_file, ca, collection)
            refuse_unheeded(options, used)
            return command(server=options, **rest)

        own = (collection_option,) if collection else ()
        wrapped: Command = run
        for option in (timeout_option, *own, *_SERVER_OPTIONS):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def refuse_unheeded(server: ServerOptions, used: Collection[str]) -> None:
    """Raise for typed options that have no effect on what the command asks.

    :raises click.UsageError: there are some; says what to do instead.
    """
    if server.in_process:
        if options := list_typed(_OF_A_SERVER):
            raise click.UsageError(
                f"{', '.join(options)}: no effect on a store in this process; leave it out, or "
                "name a server with --server instead of --index"
            )
        return
    if server.server and len(list_typed(PLACES)) > 1:
        raise click.UsageError("--server and --index name two places to ask; keep one")
    unheeded = [
        written
        for key, written in list_typed_settings().items()
        if key != "index" and key not in used and key.partition(".")[0] not in used
    ]
    if unheeded:
        raise click.UsageError(
            f"{', '.join(unheeded)}: no effect on a server, which decides it for all; set it with "
            "`expertrag serve`, or ask a store in this process with --index STORE and no --server"
        )
